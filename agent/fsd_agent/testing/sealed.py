"""Real sealed files with little in them: an MCAP clip without video, of about any size, encrypted and signed."""

from __future__ import annotations

import random

from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.clip import ClipFile, SealedFile
from fsd_agent.records.region import Route
from fsd_agent.testing.regions import sample_redacted_clip
from fsd_agent.wire.clip import encode_clip
from fsd_agent.wire.sealed import seal_clip


def sealed_sample(route: Route, keys: VehicleKeys, clip_id: str, *, filler_bytes: int = 0) -> bytes:
    """A file that the route's region can open; ``filler_bytes`` of noise make it at least that large."""
    redacted = sample_redacted_clip(clip_id, route.policy.region_id)
    noise = random.Random(clip_id).randbytes(filler_bytes).hex()  # noqa: S311 - reproducible, not secret
    clip_file = encode_clip(redacted, vehicle=route.registration.vehicle, provenance={"noise": noise})
    return seal_bytes(route, keys, clip_id, clip_file)


def seal_bytes(route: Route, keys: VehicleKeys, clip_id: str, content: bytes) -> bytes:
    """Any content, sealed as the clip of that id; nobody has looked at it."""
    redacted, unseen = sample_redacted_clip(clip_id, route.policy.region_id), ClipFile(content)
    file = seal_clip(redacted, unseen, route=route, sign=keys.sign, device_key_id=keys.device_key_id())
    return b"".join(file.chunks)


def as_file(content: bytes, content_key: bytes = bytes(32)) -> SealedFile:
    """Any bytes, to be put into a spool as a sealed file."""
    return SealedFile(len(content), content_key, (content,))
