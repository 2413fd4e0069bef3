"""Sketches and remembered codes as bytes: round trips, one spelling, what is refused, and under which key they are."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.novelty import (
    CODE_BYTES,
    SENT_MAX,
    SKETCH_MAX,
    ClipCode,
    Maker,
    SentCode,
    Sketch,
    Subject,
)
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.sent_codes import SentCodesError, open_sent, seal_sent, state_key
from fsd_agent.wire.sketch import (
    SKETCH_BYTES_MAX,
    SketchFormatError,
    decode_sketch,
    encode_sketch,
    pack_sketch,
    unpack_sketch,
)

ABOUT = Subject("crossing", Maker.BOXES, "boxes@1", "front")
OURS = Compartment("cn", Purpose.SAFETY)
KEY = bytes(range(32))


def code(at: int, about: Subject = ABOUT) -> ClipCode:
    return ClipCode(about, (at + 1).to_bytes(4, "big") + bytes(CODE_BYTES - 4))


subjects = st.builds(
    Subject,
    st.sampled_from(["a", "b"]),
    st.sampled_from(Maker),
    st.sampled_from(["x@1", "y"]),
    st.just("front"),
)
codes = st.builds(code, st.integers(0, 99), subjects)
sketches = st.builds(lambda some: Sketch("cn", tuple(sorted(some))), st.sets(codes, max_size=20))
sent = st.lists(st.builds(SentCode, codes, st.sampled_from(["", "f" * 32])), max_size=9).map(tuple)
SKETCH = Sketch("cn", (code(1), code(2), code(0, replace(ABOUT, maker=Maker.PICTURES))))


# ---- sketches


@given(sketches)
def test_a_sketch_comes_back_and_has_one_spelling(sketch: Sketch) -> None:
    assert decode_sketch(encode_sketch(sketch)) == sketch


def test_golden() -> None:
    """A change of these bytes is a new version: vehicles on the road read the old ones."""
    assert hashlib.sha256(encode_sketch(SKETCH)).hexdigest()[:16] == "fe1daa3415c14824"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "version 2; this software reads 1"),
        ({"region_id": "C N"}, "region_id"),
        ({"extra": 1}, "unknown field"),
        ({"subjects": [["a", "smell", "b", "c", [bytes([1]) * 96]]]}, "Invalid enum value"),
        ({"subjects": [["a", "boxes", "", "c", [bytes([1]) * 96]]]}, "length >= 1"),
        ({"subjects": [["a", "boxes", "b" * 161, "c", [bytes([1]) * 96]]]}, "length <= 160"),
        ({"subjects": [["a", "boxes", "b", "c", []]]}, "length >= 1"),
        ({"subjects": [["a", "boxes", "b", "c", [bytes([1]) * 95]]]}, "length >= 96"),
        ({"subjects": [["a", "boxes", "b", "c", [bytes([1]) * 97]]]}, "length <= 96"),
        ({"subjects": [["a", "boxes", "b", "c", [bytes(96)]]]}, "zeros alone"),
        ({"subjects": [["a", "boxes", "b", "c", [bytes([2]) * 96, bytes([1]) * 96]]]}, "not in order"),
        ({"subjects": [["a", "boxes", "b", "c", [bytes([1]) * 96] * 2]]}, "there twice"),
        ({"subjects": [["a", "boxes", "b", "c", [bytes([1]) * 96]]] * 2}, "there twice"),
        ({"subjects": 7}, "Expected `array`"),
    ],
)
def test_what_is_wrong_is_refused_aloud(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(SketchFormatError, match=reason):
        unpack_sketch({**pack_sketch(SKETCH), **change})


def test_a_sketch_is_bounded() -> None:
    most = Sketch("cn", tuple(code(at) for at in range(SKETCH_MAX)))
    assert len(encode_sketch(most)) < 128 * 1024
    assert decode_sketch(encode_sketch(most)) == most
    other = replace(ABOUT, campaign_id="d")
    with pytest.raises(SketchFormatError, match=f"{SKETCH_MAX + 1} codes, at most {SKETCH_MAX}"):
        encode_sketch(Sketch("cn", (*most.codes, code(0, other))))
    with pytest.raises(SketchFormatError, match="bytes, at most"):
        decode_sketch(bytes(SKETCH_BYTES_MAX + 1))


def test_what_is_not_msgpack_is_refused() -> None:
    for data in (b"", b"\xc1", encode_sketch(SKETCH)[:-1], b"\x93\1\2\3"):
        with pytest.raises(SketchFormatError):
            decode_sketch(data)


# ---- remembered codes


@given(sent)
def test_remembered_codes_come_back_under_their_key_alone(some: tuple[SentCode, ...]) -> None:
    data = seal_sent(some, OURS, KEY)
    assert open_sent(data, OURS, KEY) == some
    for compartment, key in (
        (OURS, bytes(32)),
        (Compartment("eu", OURS.purpose), KEY),
        (Compartment("cn", Purpose.DIAGNOSTICS), KEY),
    ):
        with pytest.raises(SentCodesError, match="not under this key"):
            open_sent(data, compartment, key)


def test_no_two_are_under_one_nonce() -> None:
    assert len({seal_sent((), OURS, KEY) for _ in range(20)}) == 20


def test_each_compartment_has_a_place_of_its_own() -> None:
    assert state_key(OURS) == "novelty/cn/safety"


@given(sent, st.data())
def test_damaged_bytes_are_refused(some: tuple[SentCode, ...], data: st.DataObject) -> None:
    whole = bytearray(seal_sent(some, OURS, KEY))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SentCodesError):
        open_sent(bytes(whole), OURS, KEY)
    with pytest.raises(SentCodesError):
        open_sent(bytes(whole[:at]), OURS, KEY)


def test_more_than_is_remembered_is_refused() -> None:
    many = [SentCode(code(at), "") for at in range(SENT_MAX + 1)]
    with pytest.raises(SentCodesError, match="length"):
        open_sent(seal_sent(many, OURS, KEY), OURS, KEY)


def test_bytes_are_msgpack_of_rows() -> None:
    assert msgspec.msgpack.decode(encode_sketch(SKETCH))["subjects"][0][:4] == [
        "crossing",
        "boxes",
        "boxes@1",
        "front",
    ]
