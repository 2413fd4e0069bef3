"""One flipped bit, another context or another key: the envelope stays shut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.wire.envelope import (
    ENROLMENT,
    EXPIRED,
    MAX_ENVELOPE_BYTES,
    EnvelopeError,
    EnvelopeFault,
    key_id_of,
    open_envelope,
    public_key_of,
    seal_envelope,
)

KEY = bytes(range(32))
OTHER = bytes(range(1, 33))
PUBLIC = public_key_of(KEY)
GOLDEN = seal_envelope("receipt", b"payload", "k1", KEY)


def fault_of(data: bytes, context: str = "receipt", public_key: bytes = PUBLIC) -> EnvelopeFault:
    with pytest.raises(EnvelopeError) as caught:
        open_envelope(data, context, public_key)
    return caught.value.fault


def test_the_format_does_not_drift() -> None:
    assert GOLDEN.hex() == (
        "85a17601a7636f6e74657874a772656365697074a66b65795f6964a26b31a77061796c6f6164c4077061796c6f6164a3736967c440"
        "fd1c98d291aad763dc29c1cb46099824e8cb86ef5de14921b681fdb8a671e8a5934365c8ed989d7b4a7fe63a12dfbb9365d25b363198db72ec55bfbae8800405"
    )
    assert open_envelope(GOLDEN, "receipt", PUBLIC) == b"payload"
    assert (EXPIRED, ENROLMENT) == ("expired", "enrolment-request"), "they are signed too"


@settings(max_examples=40)
@given(payload=st.binary(max_size=300), name=st.from_regex(r"[!-~]{1,64}", fullmatch=True))
def test_what_is_sealed_opens(payload: bytes, name: str) -> None:
    assert open_envelope(seal_envelope(name, payload, name, KEY), name, PUBLIC) == payload


def test_every_flipped_bit_is_refused() -> None:
    for bit in range(len(GOLDEN) * 8):
        damaged = bytearray(GOLDEN)
        damaged[bit // 8] ^= 1 << (bit % 8)
        fault_of(bytes(damaged))


def test_every_truncation_and_extension_is_refused() -> None:
    for end in range(len(GOLDEN)):
        assert fault_of(GOLDEN[:end]) is EnvelopeFault.MALFORMED
    assert fault_of(GOLDEN + b"\0") is EnvelopeFault.MALFORMED


def test_another_context_and_another_key_are_refused() -> None:
    assert fault_of(GOLDEN, context="campaigns") is EnvelopeFault.WRONG_CONTEXT
    assert fault_of(GOLDEN, public_key=public_key_of(OTHER)) is EnvelopeFault.BAD_SIGNATURE


def test_relabelling_does_not_carry_the_signature_over() -> None:
    fields = msgspec.msgpack.decode(GOLDEN)
    for change in ({"context": "campaigns"}, {"key_id": "k2"}, {"payload": b"payloae"}):
        context = change.get("context", "receipt")
        assert isinstance(context, str)
        assert fault_of(msgspec.msgpack.encode(fields | change), context) is EnvelopeFault.BAD_SIGNATURE
    # Moving a byte from the key id to the payload must not give the same signed bytes.
    assert fault_of(msgspec.msgpack.encode(fields | {"key_id": "k", "payload": b"1payload"})) is (
        EnvelopeFault.BAD_SIGNATURE
    )


def test_a_second_spelling_is_refused() -> None:
    fields = msgspec.msgpack.decode(GOLDEN)
    reordered = dict(reversed(list(fields.items())))
    assert fault_of(msgspec.msgpack.encode(reordered)) is EnvelopeFault.MALFORMED
    assert fault_of(msgspec.msgpack.encode(fields | {"extra": 1})) is EnvelopeFault.MALFORMED


def test_a_later_version_says_so() -> None:
    fields = msgspec.msgpack.decode(GOLDEN)
    assert fault_of(msgspec.msgpack.encode(fields | {"v": 2})) is EnvelopeFault.UNKNOWN_VERSION


def test_size_is_bounded_on_both_sides() -> None:
    with pytest.raises(EnvelopeError, match="too_large"):
        seal_envelope("receipt", bytes(MAX_ENVELOPE_BYTES), "k1", KEY)
    assert fault_of(bytes(MAX_ENVELOPE_BYTES + 1)) is EnvelopeFault.TOO_LARGE


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "é"])
def test_names_that_could_not_be_opened_are_not_sealed(name: str) -> None:
    with pytest.raises(EnvelopeError, match="malformed"):
        seal_envelope(name, b"", "k1", KEY)
    with pytest.raises(EnvelopeError, match="malformed"):
        seal_envelope("receipt", b"", name, KEY)


def test_key_ids_are_the_start_of_the_hash() -> None:
    assert key_id_of(b"") == "e3b0c44298fc1c14"
