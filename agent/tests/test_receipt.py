"""A receipt erases a clip only if it names exactly that clip."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from fsd_agent.records.clip import Receipt
from fsd_agent.wire.envelope import public_key_of, seal_envelope
from fsd_agent.wire.receipt import ReceiptError, encode_receipt, verify_receipt

KEY = bytes(range(32))
PUBLIC = public_key_of(KEY)
RECEIPT = Receipt("ab" * 16, "cn", "car-1", b"\x07" * 32, 1_800_000_000_000_000_000)


def verify(data: bytes, public_key: bytes = PUBLIC) -> Receipt:
    return verify_receipt(
        data, public_key, clip_id=RECEIPT.clip_id, region_id="cn", vehicle="car-1", sha256=RECEIPT.sha256
    )


def test_round_trip() -> None:
    assert verify(encode_receipt(RECEIPT, KEY)) == RECEIPT


@pytest.mark.parametrize(
    ("field", "value"),
    [("clip_id", "cd" * 16), ("region_id", "eu"), ("vehicle", "car-2"), ("sha256", b"\x08" * 32)],
)
def test_a_genuine_receipt_for_something_else_counts_for_nothing(field: str, value: str | bytes) -> None:
    other = dataclasses.replace(RECEIPT, **{field: value})
    with pytest.raises(ReceiptError, match=field):
        verify(encode_receipt(other, KEY))


def test_another_regions_signature_counts_for_nothing() -> None:
    with pytest.raises(ReceiptError, match="bad_signature"):
        verify(encode_receipt(RECEIPT, bytes(32)))


def test_every_flipped_bit_is_refused() -> None:
    data = encode_receipt(RECEIPT, KEY)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(ReceiptError):
            verify(bytes(damaged))


def test_another_payload_under_the_right_key_is_refused() -> None:
    for payload in (b"", msgspec.msgpack.encode({"clip_id": RECEIPT.clip_id}), b"\xc1"):
        with pytest.raises(ReceiptError, match="malformed payload"):
            verify(seal_envelope("receipt", payload, "k1", KEY))
    with pytest.raises(ReceiptError, match="wrong_context"):
        verify(seal_envelope("campaigns", b"", "k1", KEY))
    with pytest.raises(ReceiptError, match="at most"):
        verify(seal_envelope("receipt", bytes(2000), "k1", KEY))
