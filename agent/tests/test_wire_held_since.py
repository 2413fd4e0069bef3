"""Since when clips are held, as bytes: what is written is read, and nothing else."""

from __future__ import annotations

from array import array

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.held_since import EARLIER_NS, HeldSince
from fsd_agent.wire.held_since import HeldSinceError, decode_held_since, encode_held_since

IDS = st.lists(st.binary(min_size=16, max_size=16), max_size=5, unique=True)
MOMENTS = st.integers(-(2**63), 2**63 - 1)


@given(IDS, st.data())
def test_what_is_written_is_read(ids: list[bytes], data: st.DataObject) -> None:
    since, seen = (array("q", [data.draw(MOMENTS) for _ in ids]) for _ in range(2))
    held = HeldSince(b"".join(ids), since, seen)
    assert decode_held_since(encode_held_since(held)) == held


def test_the_bytes_are_what_they_were() -> None:
    ids = bytes.fromhex("01" * 16 + "ab" * 16)
    data = encode_held_since(HeldSince(ids, array("q", [1, -2]), array("q", [256, EARLIER_NS])))
    since, seen = "0100000000000000feffffffffffffff", "0001000000000000ffffffffffffffff"
    assert data.hex() == "9402" + "c420" + ids.hex() + "c410" + since + "c410" + seen


@given(IDS, st.data())
def test_what_version_1_wrote_is_read(ids: list[bytes], data: st.DataObject) -> None:
    held = {one.hex(): data.draw(MOMENTS) for one in ids}
    since, seen = array("q", held.values()), array("q", [EARLIER_NS] * len(held))
    assert decode_held_since(msgspec.msgpack.encode(held)) == HeldSince(b"".join(ids), since, seen)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "truncated"),
        (msgspec.msgpack.encode((3, b"", b"", b"")), "Invalid enum value 3"),
        (msgspec.msgpack.encode((2, bytes(16), bytes(7), bytes(8))), "columns of 16, 7, 8 bytes"),
        (msgspec.msgpack.encode((2, bytes(16), bytes(8), bytes(16))), "columns of 16, 8, 16 bytes"),
        (msgspec.msgpack.encode((2, bytes(15), b"", b"")), "columns of 15, 0, 0 bytes"),
        (msgspec.msgpack.encode((2, bytes(17), bytes(8), bytes(8))), "columns of 17, 8, 8 bytes"),
        (msgspec.msgpack.encode((2, bytes(32), bytes(16), bytes(16))), "a clip is there twice"),
        (msgspec.msgpack.encode((2, b"", b"")), "length"),
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
