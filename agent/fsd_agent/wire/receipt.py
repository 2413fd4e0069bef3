"""Receipt: the region's word that it holds a clip, on which alone the vehicle erases its copy.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``receipt``) whose payload is a msgpack
map ``{"clip_id": str, "region_id": str, "vehicle": str, "sha256": bin(32), "stored_wall_ns": int}``. ``sha256`` is
what the sealed file is known by (:mod:`.pieces`). A receipt counts only if every one of these names exactly what the vehicle sent: a genuine receipt
for another clip, vehicle, region or content erases nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from fsd_agent.records.clip import Receipt
from fsd_agent.wire.envelope import RECEIPT
from fsd_agent.wire.verdict import Subject, encode_word, open_verdict

MAX_RECEIPT_BYTES = 1024
"""Four short names and two hashes are under 400 bytes."""


class _Payload(Subject, frozen=True, forbid_unknown_fields=True):
    stored_wall_ns: Annotated[int, msgspec.Meta(ge=0)]


def encode_receipt(receipt: Receipt, private_key: bytes) -> bytes:
    """Sign a receipt with the region's raw Ed25519 receipt key of 32 bytes."""
    payload = _Payload(
        receipt.clip_id, receipt.region_id, receipt.vehicle, receipt.sha256, receipt.stored_wall_ns
    )
    return encode_word(RECEIPT, payload, private_key)


def verify_receipt(
    data: bytes, public_keys: Sequence[bytes], *, clip_id: str, region_id: str, vehicle: str, sha256: bytes
) -> Receipt:
    """The receipt, if one of the region's ``public_keys`` (raw Ed25519) signed it for exactly this clip.

    Raises :class:`~fsd_agent.wire.verdict.VerdictError`.
    """
    subject = Subject(clip_id, region_id, vehicle, sha256)
    payload = open_verdict(data, RECEIPT, _Payload, public_keys, subject, max_bytes=MAX_RECEIPT_BYTES)
    return Receipt(clip_id, region_id, vehicle, sha256, payload.stored_wall_ns)
