"""Refusal: the region's word that it will never take a clip, on which the vehicle drops it with that reason.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``refuse``) whose payload is a msgpack
map ``{"clip_id": str, "region_id": str, "vehicle": str, "sha256": bin(32), "reason": str, "detail": str}``. It is
signed by the receipt key, and like a receipt it counts only if it names exactly what the vehicle sent. Anything
short of it (silence, a hash that did not come out, a receiver without disk or without its key) leaves the clip
where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from fsd_agent.wire.verdict import Subject, encode_word, open_verdict

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


@dataclass(frozen=True, slots=True)
class Refusal:
    """The region will never take this clip."""

    clip_id: str
    region_id: str
    vehicle: str
    sha256: bytes
    reason: RefusalReason
    detail: str


class _Payload(Subject, frozen=True, forbid_unknown_fields=True):
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
    return encode_word(REFUSE, payload, private_key)


def verify_refusal(
    data: bytes, public_keys: Sequence[bytes], *, clip_id: str, region_id: str, vehicle: str, sha256: bytes
) -> Refusal:
    """The refusal, if one of the region's ``public_keys`` (raw Ed25519) signed it for exactly this clip.

    Raises :class:`~fsd_agent.wire.verdict.VerdictError`.
    """
    subject = Subject(clip_id, region_id, vehicle, sha256)
    payload = open_verdict(data, REFUSE, _Payload, public_keys, subject, max_bytes=MAX_REFUSAL_BYTES)
    return Refusal(clip_id, region_id, vehicle, sha256, payload.reason, payload.detail)
