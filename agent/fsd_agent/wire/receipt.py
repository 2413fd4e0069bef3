"""Receipt: the region's word that it holds a clip, on which alone the vehicle erases its copy.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``receipt``) whose payload is a msgpack
map ``{"clip_id": str, "region_id": str, "vehicle": str, "sha256": bin(32), "stored_wall_ns": int}``. ``sha256`` is of
the sealed file. A receipt counts only if every one of these names exactly what the vehicle sent: a genuine receipt
for another clip, vehicle, region or content erases nothing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsd_agent.records.clip import Receipt
from fsd_agent.wire.envelope import (
    RECEIPT,
    EnvelopeError,
    key_id_of,
    open_envelope,
    public_key_of,
    seal_envelope,
)

MAX_RECEIPT_BYTES = 1024
"""Four short names and two hashes are under 400 bytes."""


class ReceiptError(Exception):
    """Not a receipt for this clip; the message says why. The clip is kept."""


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    clip_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    sha256: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    stored_wall_ns: Annotated[int, msgspec.Meta(ge=0)]


def encode_receipt(receipt: Receipt, private_key: bytes) -> bytes:
    """Sign a receipt with the region's raw Ed25519 receipt key of 32 bytes."""
    payload = _Payload(
        receipt.clip_id, receipt.region_id, receipt.vehicle, receipt.sha256, receipt.stored_wall_ns
    )
    key_id = key_id_of(public_key_of(private_key))
    return seal_envelope(RECEIPT, msgspec.msgpack.encode(payload), key_id, private_key)


def verify_receipt(
    data: bytes, public_key: bytes, *, clip_id: str, region_id: str, vehicle: str, sha256: bytes
) -> Receipt:
    """The receipt, if the region's ``public_key`` (raw Ed25519) signed it for exactly this clip.

    Raises :class:`ReceiptError`.
    """
    if len(data) > MAX_RECEIPT_BYTES:
        raise ReceiptError(f"{len(data)} bytes, at most {MAX_RECEIPT_BYTES}")
    try:
        payload = msgspec.msgpack.decode(open_envelope(data, RECEIPT, public_key), type=_Payload)
    except EnvelopeError as error:
        raise ReceiptError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReceiptError(f"malformed payload: {error}") from error
    for field, got, expected in (
        ("clip_id", payload.clip_id, clip_id),
        ("region_id", payload.region_id, region_id),
        ("vehicle", payload.vehicle, vehicle),
        ("sha256", payload.sha256.hex(), sha256.hex()),
    ):
        if got != expected:
            raise ReceiptError(f"{field} is {got!r}, expected {expected!r}")
    return Receipt(clip_id, region_id, vehicle, sha256, payload.stored_wall_ns)
