"""The operator's side of a region's broker: publish something retained, read what vehicles have left there, or watch it.

Everything goes through the same connection as a vehicle's: the region's own authority, name and identity.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
OBSERVER: Final = "observer"
ANSWER_S: Final = 15.0
"""A broker that has not answered by then is said to be silent."""
QUIET_S: Final = 0.5
"""A broker sends what is retained at once; after this pause there is no more."""
AGAIN_S: Final = 2.0
"""Between the end of a watched connection and the next try."""
TICK_S: Final = 1.0


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


@dataclass(frozen=True, slots=True)
class Connection:
    """Whether the watched connection is up, and why it is not."""

    up: bool
    reason: str = ""


def follow(
    region: RegionDir, policy: RegionPolicy, subscription: str
) -> Iterator[Message | Connection | None]:
    """What arrives for ``subscription``, as the observer, for ever; None at least every second when nothing does.

    A connection that is lost is told and made anew. Raises :class:`ToolError` where there is none at first, where the
    broker refuses the observer, and where another one has its certificate: the two would end each other's connection
    for ever, and the broker does not say why.
    """
    with _alone(region.observer_key):
        yield from _follow(region, policy, subscription)


@contextlib.contextmanager
def _alone(key: Path) -> Iterator[None]:
    """Nobody else on this computer uses it meanwhile."""
    try:
        handle = os.open(key, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ToolError(f"{key}: {error.strerror}; `fsdctl region init` makes it") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ToolError(
            f"{key}: another watch uses this certificate, and a broker takes one connection of it"
        ) from None
    finally:
        os.close(handle)


def _follow(
    region: RegionDir, policy: RegionPolicy, subscription: str
) -> Iterator[Message | Connection | None]:
    dial = dial_as(policy, OBSERVER, region.observer_cert, region.observer_key, (subscription,))
    link, ever_up = MqttLink(MqttOptions(session_expiry_s=0)), False
    try:
        link.connect(dial)
        while True:
            events = link.events(TICK_S)
            for event in events:
                if isinstance(event, Connected):
                    ever_up = True
                    yield Connection(up=True)
                elif isinstance(event, Message):
                    yield event
                elif isinstance(event, Disconnected):
                    if event.refused or not ever_up:
                        raise ToolError(f"{_where(policy)}: {event.reason}")
                    yield Connection(up=False, reason=event.reason)
                    time.sleep(AGAIN_S)
                    link.connect(dial)
            if not events:
                yield None
    finally:
        link.close()


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
