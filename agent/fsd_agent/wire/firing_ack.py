"""Acknowledgement of a firing: the region's word that it holds what a vehicle told it of one.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``firing``, the region's receipt key) whose
payload is a msgpack map ``{"region_id": str, "vehicle": str, "firing_id": str}``. With it the vehicle stops telling. It ends
nothing else: a clip's receipt has another context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from fsd_agent.wire.envelope import EnvelopeError, key_id_of, open_envelope, public_key_of, seal_envelope
from fsd_agent.wire.firing import About
from fsd_agent.wire.verdict import VerdictError

FIRING = "firing"
MAX_ACK_BYTES = 1024


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    firing_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


def encode_firing_ack(about: About, private_key: bytes) -> bytes:
    """Sign with the region's raw Ed25519 receipt key of 32 bytes."""
    payload = msgspec.msgpack.encode(_Payload(about.region_id, about.vehicle, about.firing_id))
    return seal_envelope(FIRING, payload, key_id_of(public_key_of(private_key)), private_key)


def verify_firing_ack(data: bytes, public_keys: Sequence[bytes], *, region_id: str, vehicle: str) -> str:
    """The firing that the region holds, by its word with one of its receipt keys, of this vehicle.

    Raises :class:`~fsd_agent.wire.verdict.VerdictError`.
    """
    if len(data) > MAX_ACK_BYTES:
        raise VerdictError(f"{len(data)} bytes, at most {MAX_ACK_BYTES}")
    try:
        payload = msgspec.msgpack.decode(open_envelope(data, FIRING, *public_keys), type=_Payload)
    except EnvelopeError as error:
        raise VerdictError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VerdictError(f"malformed payload: {error}") from error
    if (payload.region_id, payload.vehicle) != (region_id, vehicle):
        raise VerdictError(f"is for {payload.vehicle} in {payload.region_id}, not {vehicle} in {region_id}")
    return payload.firing_id
