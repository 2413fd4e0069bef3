"""The history of holds as it is kept: which bytes are one, and when it is written, told and given."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.status import HoldSpan
from fsd_agent.wire.holds import HoldsError, decode_holds, encode_holds

CLOSED = HoldSpan("no_registration", 1_000, 2_000, 35)
OPEN = HoldSpan("registration_expired", 3_000, 0, 7)
MAP = {"reason": "no_registration", "since_wall_ns": 1_000, "until_wall_ns": 2_000, "held_ns": 35}

# The bytes.


def test_the_bytes_are_what_they_were() -> None:
    """A vehicle is updated with a history on board."""
    assert encode_holds(()) == b"\x92\x01\x90"
    assert encode_holds((CLOSED,)) == msgspec.msgpack.encode([1, [MAP]])
    assert decode_holds(msgspec.msgpack.encode([1, [MAP]])) == (CLOSED,)


@given(
    st.lists(
        st.builds(HoldSpan, st.text(), *(st.integers(-(2**63), 2**64 - 1) for _ in range(3))), max_size=5
    )
)
def test_what_is_written_is_read(spans: list[HoldSpan]) -> None:
    assert decode_holds(encode_holds(tuple(spans))) == tuple(spans)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Input data was truncated"),
        (b"\xc1", "MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)"),
        (encode_holds((OPEN,))[:-1], "Input data was truncated"),
        (encode_holds((OPEN,)) + b"\0", "MessagePack data is malformed: trailing characters (byte 73)"),
        (msgspec.msgpack.encode([0, [MAP]]), "Invalid enum value 0 - at `$[0]`"),
        (msgspec.msgpack.encode([2, [MAP]]), "Invalid enum value 2 - at `$[0]`"),
        (msgspec.msgpack.encode([1]), "Expected `array` of length 2, got 1"),
        (msgspec.msgpack.encode([1, [MAP], 0]), "Expected `array` of length 2, got 3"),
        (msgspec.msgpack.encode([1, MAP]), "Expected `array`, got `object` - at `$[1]`"),
        (
            msgspec.msgpack.encode([1, [MAP | {"held_ns": "35"}]]),
            "Expected `int`, got `str` - at `$[1][0].held_ns`",
        ),
        (
            msgspec.msgpack.encode([1, [MAP]]).replace(b"no_registration", b"no_registratio\xff"),
            "'utf-8' codec can't decode byte 0xff in position 14: invalid start byte",
        ),
    ],
)
def test_what_nobody_wrote_as_a_history_is_named(data: bytes, says: str) -> None:
    with pytest.raises(HoldsError) as caught:
        decode_holds(data)
    assert str(caught.value) == says
