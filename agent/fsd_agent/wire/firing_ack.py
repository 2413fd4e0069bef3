"""Acknowledgement of a firing: the region's word that it holds what a vehicle told it of one.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``firing``, the region's receipt key) whose
payload is a msgpack map ``{"region_id": str, "vehicle": str, "firing_id": str}``. With it the vehicle stops telling. It ends
nothing else: a clip's receipt has another context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from fsd_agent.wire.firing import About
from fsd_agent.wire.verdict import VerdictError, encode_word, open_word

FIRING = "firing"
MAX_ACK_BYTES = 1024


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    firing_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


def encode_firing_ack(about: About, private_key: bytes) -> bytes:
    """Sign with the region's raw Ed25519 receipt key of 32 bytes."""
    return encode_word(FIRING, _Payload(about.region_id, about.vehicle, about.firing_id), private_key)


def verify_firing_ack(data: bytes, public_keys: Sequence[bytes], *, region_id: str, vehicle: str) -> str:
    """The firing that the region holds, by its word with one of its receipt keys, of this vehicle.

    Raises :class:`~fsd_agent.wire.verdict.VerdictError`.
    """
    payload = open_word(data, FIRING, _Payload, public_keys, max_bytes=MAX_ACK_BYTES)
    if (payload.region_id, payload.vehicle) != (region_id, vehicle):
        raise VerdictError(f"is for {payload.vehicle} in {payload.region_id}, not {vehicle} in {region_id}")
    return payload.firing_id
