"""A receipt erases a clip only if it names exactly that clip."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import pytest

from fsd_agent.records.clip import Receipt
from fsd_agent.wire.envelope import open_envelope, public_key_of, seal_envelope
from fsd_agent.wire.receipt import encode_receipt, verify_receipt
from fsd_agent.wire.refusal import Refusal, RefusalReason, encode_refusal
from fsd_agent.wire.verdict import VerdictError

KEY = bytes(range(32))
PUBLIC = public_key_of(KEY)
RECEIPT = Receipt("ab" * 16, "cn", "car-1", b"\x07" * 32, 1_800_000_000_000_000_000)


def verify(data: bytes, public_keys: Sequence[bytes] = (PUBLIC,)) -> Receipt:
    return verify_receipt(
        data, public_keys, clip_id=RECEIPT.clip_id, region_id="cn", vehicle="car-1", sha256=RECEIPT.sha256
    )


def test_round_trip() -> None:
    assert verify(encode_receipt(RECEIPT, KEY)) == RECEIPT


@pytest.mark.parametrize(
    ("field", "value"),
    [("clip_id", "cd" * 16), ("region_id", "eu"), ("vehicle", "car-2"), ("sha256", b"\x08" * 32)],
)
def test_a_genuine_receipt_for_something_else_counts_for_nothing(field: str, value: str | bytes) -> None:
    other = dataclasses.replace(RECEIPT, **{field: value})
    with pytest.raises(VerdictError, match=field):
        verify(encode_receipt(other, KEY))


def test_another_regions_signature_counts_for_nothing() -> None:
    with pytest.raises(VerdictError, match="bad_signature"):
        verify(encode_receipt(RECEIPT, bytes(32)))


def test_any_receipt_key_of_the_policy_will_do_and_none_is_none() -> None:
    data, retired = encode_receipt(RECEIPT, KEY), public_key_of(bytes(31) + b"\1")
    assert verify(data, (retired, PUBLIC)) == verify(data, (PUBLIC, retired)) == RECEIPT
    for keys in ((), (retired,)):
        with pytest.raises(VerdictError, match="bad_signature"):
            verify(data, keys)


def test_every_flipped_bit_is_refused() -> None:
    data = encode_receipt(RECEIPT, KEY)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(VerdictError):
            verify(bytes(damaged))


def test_another_payload_under_the_right_key_is_refused() -> None:
    for payload in (b"", msgspec.msgpack.encode({"clip_id": RECEIPT.clip_id}), b"\xc1"):
        with pytest.raises(VerdictError, match="malformed payload"):
            verify(seal_envelope("receipt", payload, "k1", KEY))
    with pytest.raises(VerdictError, match="wrong_context"):
        verify(seal_envelope("campaigns", b"", "k1", KEY))
    with pytest.raises(VerdictError, match="at most"):
        verify(seal_envelope("receipt", bytes(2000), "k1", KEY))


def test_the_bytes_of_both_verdicts_are_what_they_were() -> None:
    """Payloads as they are documented, members in that order: vehicles and regions are not updated together."""
    about = {"clip_id": "ab" * 16, "region_id": "cn", "vehicle": "car-1", "sha256": b"\x07" * 32}
    receipt = about | {"stored_wall_ns": RECEIPT.stored_wall_ns}
    refusal = about | {"reason": "too_large", "detail": "why"}
    made = encode_refusal(Refusal(*about.values(), RefusalReason.TOO_LARGE, "why"), KEY)  # type: ignore[arg-type]  # as above
    for data, context, payload in (
        (encode_receipt(RECEIPT, KEY), "receipt", receipt),
        (made, "refuse", refusal),
    ):
        assert open_envelope(data, context, PUBLIC) == msgspec.msgpack.encode(payload)
