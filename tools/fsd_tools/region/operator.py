"""The operator's side of a region's broker: publish something retained, or read what vehicles have left there.

Everything goes through the same connection as a vehicle's: the region's own authority, name and identity.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.tls import region_context
from fsd_agent.ports.broker import Acked, BrokerEvent, Connected, Disconnected, Message
from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.policy import PolicyError
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.signing import read_signed

OPERATOR: Final = "operator"
ANSWER_S: Final = 15.0
"""A broker that has not answered by then is said to be silent."""
QUIET_S: Final = 0.5
"""A broker sends what is retained at once; after this pause there is no more."""


def load_policy(region: RegionDir) -> RegionPolicy:
    """The region's policy, as its vehicles have it. Raises :class:`ToolError`."""
    try:
        return read_signed(region)
    except OSError as error:
        raise ToolError(
            f"{region.signed_policy}: {error.strerror}; make the region with `fsdctl region init`"
        ) from None
    except PolicyError as error:
        raise ToolError(str(error)) from None


def dial_as(
    policy: RegionPolicy, who: str, certificate: Path, key: Path, subscriptions: tuple[str, ...]
) -> Dial:
    """How ``who`` reaches the region's broker. Raises :class:`ToolError` for a certificate that can't be used."""
    try:
        context = region_context(policy, policy.endpoints[0], certificate, key)
    except OSError as error:
        raise ToolError(f"{certificate}: the {who}'s certificate can't be used: {error}") from None
    return Dial(policy.endpoints[0], context, who, subscriptions)


def publish_retained(region: RegionDir, policy: RegionPolicy, topic: str, payload: bytes) -> None:
    """Publish as the operator; returns when the broker has taken it. Raises :class:`ToolError`."""
    token: int | None = None
    link = MqttLink(MqttOptions())
    try:
        for event in _events(link, region, policy, (), ANSWER_S):
            if isinstance(event, Connected):
                token = link.publish(topic, payload, retain=True)
            elif isinstance(event, Acked) and event.token == token:
                if event.refusal:
                    raise ToolError(f"{_where(policy)}: refused: {event.refusal}")
                return
    finally:
        link.close()
    raise ToolError(f"{_where(policy)}: no answer within {ANSWER_S:g} s")


def read_retained(region: RegionDir, policy: RegionPolicy, subscription: str) -> dict[str, bytes]:
    """What the broker holds for ``subscription``, by topic. Raises :class:`ToolError`."""
    found: dict[str, bytes] = {}
    connected = False
    link = MqttLink(MqttOptions())
    try:
        for event in _events(link, region, policy, (subscription,), QUIET_S):
            connected |= isinstance(event, Connected)
            if isinstance(event, Message) and event.retained:
                found[event.topic] = event.payload
    finally:
        link.close()
    if not connected:
        raise ToolError(f"{_where(policy)}: no answer within {ANSWER_S:g} s")
    return found


def _events(
    link: MqttLink, region: RegionDir, policy: RegionPolicy, subscriptions: tuple[str, ...], quiet_s: float
) -> Iterator[BrokerEvent]:
    """Everything that happens until, once connected, nothing has for ``quiet_s``."""
    dial = dial_as(policy, OPERATOR, region.operator_cert, region.operator_key, subscriptions)
    link.connect(dial)
    attempts_left = 1
    until_s = time.monotonic() + ANSWER_S
    while (left_s := until_s - time.monotonic()) > 0:
        for event in link.events(left_s):
            if isinstance(event, Disconnected):
                if event.refused or not attempts_left:
                    raise ToolError(f"{_where(policy)}: {event.reason}")
                attempts_left -= 1
                link.connect(dial)  # A broker of MQTT 3.1.1 is found out at the first attempt
                break
            attempts_left = 0
            until_s = time.monotonic() + quiet_s
            yield event


def _where(policy: RegionPolicy) -> str:
    return f"broker {policy.endpoints[0].host}:{policy.endpoints[0].port}"
