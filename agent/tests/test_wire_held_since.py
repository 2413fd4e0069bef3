"""Since when clips are held, as bytes: what is written is read, and nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.wire.held_since import HeldSinceError, decode_held_since, encode_held_since

IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)
MOMENTS = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.tuples(IDS, MOMENTS), max_size=5))
def test_what_is_written_is_read(held: list[tuple[str, int]]) -> None:
    assert list(decode_held_since(encode_held_since(held))) == held


def test_the_bytes_are_what_they_were() -> None:
    data = encode_held_since([("01" * 16, 1), ("ab" * 16, -2)])
    moments = "0100000000000000" + "feffffffffffffff"
    assert data.hex() == "9302" + "c420" + "01" * 16 + "ab" * 16 + "c410" + moments


@given(st.dictionaries(IDS, MOMENTS, max_size=5))
def test_what_version_1_wrote_is_read(held: dict[str, int]) -> None:
    assert dict(decode_held_since(msgspec.msgpack.encode(held))) == held


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "truncated"),
        (msgspec.msgpack.encode((3, b"", b"")), "Invalid enum value 3"),
        (msgspec.msgpack.encode((2, bytes(16), bytes(7))), "16 bytes of ids, 7 of moments"),
        (msgspec.msgpack.encode((2, bytes(15), b"")), "15 bytes of ids, 0 of moments"),
        (msgspec.msgpack.encode((2, bytes(17), bytes(8))), "17 bytes of ids, 8 of moments"),
        (msgspec.msgpack.encode((2, bytes(16), b"")), "16 bytes of ids, 0 of moments"),
        (msgspec.msgpack.encode((2, b"", b"", 1)), "length"),
        (msgspec.msgpack.encode({"0" * 31: 1}), "regex"),
        (msgspec.msgpack.encode({"A" * 32: 1}), "regex"),
        (msgspec.msgpack.encode({"0" * 32: 2**63}), "<="),
        (msgspec.msgpack.encode({"0" * 32: "long ago"}), "Expected `int`"),
        (b"\x81\xa1\xff\x01", "utf-8"),
    ],
)
def test_what_was_not_written_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(HeldSinceError, match=says):
        decode_held_since(data)
