"""Expiry: the region's word that it has removed a clip because its retention was over, for audits.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``expired``) by the region's receipt key
whose payload is a msgpack map ``{"clip_id": str, "region_id": str, "vehicle": str, "sha256": bin(32),
"stored_wall_ns": int, "expired_wall_ns": int, "retention_days": int}``. The first five are what its receipt said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from fsd_agent.records.clip import ExpiredClip
from fsd_agent.wire.envelope import EXPIRED
from fsd_agent.wire.verdict import Subject, encode_word, open_verdict

MAX_EXPIRED_BYTES = 1024
"""As for receipts."""
_Number = Annotated[int, msgspec.Meta(ge=0)]


class _Payload(Subject, frozen=True, forbid_unknown_fields=True):
    stored_wall_ns: _Number
    expired_wall_ns: _Number
    retention_days: Annotated[int, msgspec.Meta(ge=1)]


def encode_expired(expired: ExpiredClip, private_key: bytes) -> bytes:
    """Sign with the region's raw Ed25519 receipt key of 32 bytes."""
    payload = _Payload(
        expired.clip_id,
        expired.region_id,
        expired.vehicle,
        expired.sha256,
        expired.stored_wall_ns,
        expired.expired_wall_ns,
        expired.retention_days,
    )
    return encode_word(EXPIRED, payload, private_key)


def verify_expired(
    data: bytes, public_keys: Sequence[bytes], *, clip_id: str, region_id: str, vehicle: str, sha256: bytes
) -> ExpiredClip:
    """The word, if one of the region's ``public_keys`` (raw Ed25519) signed it for exactly this clip.

    Raises :class:`~fsd_agent.wire.verdict.VerdictError`.
    """
    subject = Subject(clip_id, region_id, vehicle, sha256)
    said = open_verdict(data, EXPIRED, _Payload, public_keys, subject, max_bytes=MAX_EXPIRED_BYTES)
    return ExpiredClip(
        clip_id, region_id, vehicle, sha256, said.stored_wall_ns, said.expired_wall_ns, said.retention_days
    )
