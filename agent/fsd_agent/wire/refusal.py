"""Refusal: the region's word that it will never take a clip, on which the vehicle drops it with that reason.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``refuse``) whose payload is a msgpack
map ``{"clip_id": str, "region_id": str, "vehicle": str, "sha256": bin(32), "reason": str, "detail": str}``. It is
signed by the receipt key, and like a receipt it counts only if it names exactly what the vehicle sent. Anything
short of it (silence, a hash that did not come out, a receiver without disk or without its key) leaves the clip
where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from fsd_agent.wire.envelope import (
    EnvelopeError,
    key_id_of,
    open_envelope,
    public_key_of,
    seal_envelope,
)

REFUSE = "refuse"
"""Context of the envelope."""
MAX_REFUSAL_BYTES = 2048
DETAIL_CHARS = 500
"""A sentence or two for people."""


class RefusalReason(StrEnum):
    """Why a region will never take a clip."""

    TOO_LARGE = "too_large"
    NOT_OPENABLE = "not_openable"
    """Its bytes arrived whole and can't be opened: not signed by this vehicle, or damaged before it was hashed."""
    WRONG_OWNER = "wrong_owner"
    """Its manifest names another vehicle, region or clip than it was sent as."""
    NOT_A_CLIP = "not_a_clip"
    ID_TAKEN = "id_taken"
    """Another clip is stored under this id."""


class RefusalError(Exception):
    """Not a refusal of this clip; the message says why. The clip is kept."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The region will never take this clip."""

    clip_id: str
    region_id: str
    vehicle: str
    sha256: bytes
    reason: RefusalReason
    detail: str


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    clip_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    sha256: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    reason: RefusalReason
    detail: Annotated[str, msgspec.Meta(max_length=DETAIL_CHARS)]


def encode_refusal(refusal: Refusal, private_key: bytes) -> bytes:
    """Sign a refusal with the region's raw Ed25519 receipt key of 32 bytes; a long detail is cut."""
    payload = _Payload(
        refusal.clip_id,
        refusal.region_id,
        refusal.vehicle,
        refusal.sha256,
        refusal.reason,
        refusal.detail[:DETAIL_CHARS],
    )
    return seal_envelope(
        REFUSE, msgspec.msgpack.encode(payload), key_id_of(public_key_of(private_key)), private_key
    )


def verify_refusal(
    data: bytes, public_key: bytes, *, clip_id: str, region_id: str, vehicle: str, sha256: bytes
) -> Refusal:
    """The refusal, if the region's ``public_key`` (raw Ed25519) signed it for exactly this clip.

    Raises :class:`RefusalError`.
    """
    if len(data) > MAX_REFUSAL_BYTES:
        raise RefusalError(f"{len(data)} bytes, at most {MAX_REFUSAL_BYTES}")
    try:
        payload = msgspec.msgpack.decode(open_envelope(data, REFUSE, public_key), type=_Payload)
    except EnvelopeError as error:
        raise RefusalError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusalError(f"malformed payload: {error}") from error
    for field, got, expected in (
        ("clip_id", payload.clip_id, clip_id),
        ("region_id", payload.region_id, region_id),
        ("vehicle", payload.vehicle, vehicle),
        ("sha256", payload.sha256.hex(), sha256.hex()),
    ):
        if got != expected:
            raise RefusalError(f"{field} is {got!r}, expected {expected!r}")
    return Refusal(clip_id, region_id, vehicle, sha256, payload.reason, payload.detail)
