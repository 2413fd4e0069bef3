"""Publish a campaign set to a region: numbered, signed with its campaign key, retained by its broker.

The number is taken, durably, before anything is sent: a push that fails uses one up, and no two sets ever carry
the same. A push replaces what was in force as a whole, with the sketch of what the region has enough of, as far as it is about
the set's campaigns.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.campaigns import CampaignFormatError, encode_set
from fsd_agent.wire.envelope import CAMPAIGNS, EnvelopeError, key_id_of, public_key_of, seal_envelope
from fsd_agent.wire.transfer import campaigns_topic
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy, publish_retained
from fsd_tools.region.sketch import read_sketch, sketch_for


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was published."""

    region_id: str
    campaigns: CampaignSet
    topic: str
    envelope_bytes: int


def push(region: RegionDir, compile_set: Callable[[str, int], CampaignSet]) -> Pushed:
    """Compile, sign and publish; returns when the broker has taken the set.

    ``compile_set`` gets the region's id and the set's number; it runs before the number is taken. Raises
    :class:`ToolError`.
    """
    policy = load_policy(region)
    key = _campaign_key(region, policy)
    with _next_version(region) as (version, take):
        campaigns = compile_set(policy.region_id, version)
        campaigns = replace(campaigns, sketch=sketch_for(campaigns, read_sketch(region, policy.region_id)))
        try:
            payload = encode_set(campaigns)
            envelope = seal_envelope(CAMPAIGNS, payload, key_id_of(public_key_of(key)), key)
        except (CampaignFormatError, EnvelopeError) as error:
            raise ToolError(f"region {policy.region_id}: the set can't be published: {error}") from None
        take()
        topic = campaigns_topic(policy.region_id)
        publish_retained(region, policy, topic, envelope)
    return Pushed(policy.region_id, campaigns, topic, len(envelope))


def _campaign_key(region: RegionDir, policy: RegionPolicy) -> bytes:
    try:
        key = region.campaign_key.read_bytes()
    except OSError as error:
        raise ToolError(f"{region.campaign_key}: {error.strerror}") from None
    if len(key) != 32 or public_key_of(key) not in policy.campaign_public_keys:
        raise ToolError(
            f"{region.campaign_key}: not a campaign key of {region.signed_policy}: no vehicle would accept it"
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
