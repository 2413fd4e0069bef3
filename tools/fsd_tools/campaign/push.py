"""Publish a campaign set to a region: numbered, signed with its campaign key, retained by its broker.

The number is taken, durably, before anything is sent: a push that fails uses one up, and no two sets ever carry
the same. A push replaces what was in force as a whole.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.tls import region_context
from fsd_agent.ports.broker import Acked, Connected, Disconnected
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.campaigns import CampaignFormatError, encode_set
from fsd_agent.wire.envelope import CAMPAIGNS, EnvelopeError, key_id_of, public_key_of, seal_envelope
from fsd_agent.wire.policy import PolicyError, decode_policy
from fsd_agent.wire.transfer import campaigns_topic
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir

OPERATOR: Final = "operator"
ACK_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was published."""

    region_id: str
    campaigns: CampaignSet
    topic: str
    envelope_bytes: int


def region_policy(region: RegionDir) -> RegionPolicy:
    """The region's policy. Raises :class:`ToolError`."""
    try:
        return decode_policy(region.policy.read_bytes(), str(region.policy))
    except OSError as error:
        raise ToolError(
            f"{region.policy}: {error.strerror}; make the region with `fsdctl region init`"
        ) from None
    except PolicyError as error:
        raise ToolError(str(error)) from None


def push(region: RegionDir, compile_set: Callable[[str, int], CampaignSet]) -> Pushed:
    """Compile, sign and publish; returns when the broker has taken the set.

    ``compile_set`` gets the region's id and the set's number; it runs before the number is taken. Raises
    :class:`ToolError`.
    """
    policy = region_policy(region)
    key = _campaign_key(region, policy)
    with _next_version(region) as (version, take):
        campaigns = compile_set(policy.region_id, version)
        try:
            payload = encode_set(campaigns)
            envelope = seal_envelope(CAMPAIGNS, payload, key_id_of(policy.campaign_public_key), key)
        except (CampaignFormatError, EnvelopeError) as error:
            raise ToolError(f"region {policy.region_id}: the set can't be published: {error}") from None
        take()
        topic = campaigns_topic(policy.region_id)
        _publish(_dial(region, policy), topic, envelope)
    return Pushed(policy.region_id, campaigns, topic, len(envelope))


def _campaign_key(region: RegionDir, policy: RegionPolicy) -> bytes:
    try:
        key = region.campaign_key.read_bytes()
    except OSError as error:
        raise ToolError(f"{region.campaign_key}: {error.strerror}") from None
    if len(key) != 32 or public_key_of(key) != policy.campaign_public_key:
        raise ToolError(
            f"{region.campaign_key}: not the campaign key of {region.policy}: no vehicle would accept it"
        )
    return key


@contextmanager
def _next_version(region: RegionDir) -> Iterator[tuple[int, Callable[[], None]]]:
    """The next number, and how to take it for good; held against other pushes meanwhile."""
    path: Path = region.campaign_version
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        text = os.read(handle, 64).decode("ascii", errors="replace").strip()
        if text and not text.isdecimal():
            raise ToolError(f"{path}: {text!r} is not the number of a campaign set")
        version = int(text or 0) + 1

        def take() -> None:
            # Longer or as long as the old number, so one write replaces it whole.
            os.pwrite(handle, f"{version}\n".encode(), 0)
            os.fsync(handle)

        yield version, take
    finally:
        os.close(handle)


def _dial(region: RegionDir, policy: RegionPolicy) -> Dial:
    try:
        context = region_context(policy, region.operator_cert, region.operator_key)
    except OSError as error:
        raise ToolError(
            f"{region.operator_cert}: the operator's certificate can't be used: {error}"
        ) from None
    return Dial(policy.endpoint.host, policy.endpoint.port, context, OPERATOR, ())


def _publish(dial: Dial, topic: str, envelope: bytes) -> None:
    where = f"broker {dial.host}:{dial.port}"
    link = MqttLink(MqttOptions())
    deadline_s = time.monotonic() + ACK_TIMEOUT_S
    try:
        link.connect(dial)
        token: int | None = None
        while time.monotonic() < deadline_s:
            for event in link.events(deadline_s - time.monotonic()):
                if isinstance(event, Connected):
                    token = link.publish(topic, envelope, retain=True)
                elif isinstance(event, Disconnected):
                    raise ToolError(f"{where}: {event.reason}")
                elif isinstance(event, Acked) and event.token == token:
                    if event.refusal:
                        raise ToolError(f"{where}: refused the campaign set: {event.refusal}")
                    return
        raise ToolError(f"{where}: no answer within {ACK_TIMEOUT_S:g} s")
    finally:
        link.close()
