"""Every message of a drive: what is encoded comes back, and what isn't a message is refused by field."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_firmware.can_frames import CanFrames
from fsd_firmware.drive import format as fmt
from fsd_firmware.drive.features import decode_features, encode_features
from fsd_firmware.samples import (
    Detections,
    DriveMode,
    EncodedPacket,
    Features,
    GnssFixes,
    ModeChange,
    Signals,
)

few = settings(max_examples=40)
cell = st.integers(0, 2**62 // fmt.CELL_NS)


def _times(draw_cell: int, offsets: list[int]) -> np.ndarray:
    return np.array(sorted(draw_cell * fmt.CELL_NS + o for o in offsets), np.int64)


offsets = st.lists(st.integers(0, fmt.CELL_NS - 1), min_size=1, max_size=20)


@few
@given(cell, offsets, st.randoms(use_true_random=False))
def test_can_comes_back(number: int, at: list[int], random: Any) -> None:
    n = len(at)
    frames = CanFrames(
        _times(number, at),
        np.array([random.randrange(256) for _ in range(n)], np.uint8),
        np.array([random.randrange(2**32) for _ in range(n)], np.uint32),
        np.array([random.randrange(9) for _ in range(n)], np.uint8),
        np.frombuffer(random.randbytes(8 * n), np.uint8).reshape(n, 8),
    )
    back = fmt.decode_can(fmt.encode_can(frames))
    for name in ("t_ns", "bus", "can_id", "length", "data"):
        assert np.array_equal(getattr(frames, name), getattr(back, name))
        assert getattr(frames, name).dtype == getattr(back, name).dtype


@few
@given(cell, st.lists(st.tuples(st.integers(0, fmt.CELL_NS - 1), st.floats()), min_size=1, max_size=20))
def test_signals_come_back(number: int, samples: list[tuple[int, float]]) -> None:
    samples = sorted(samples, key=lambda s: s[0])
    signals = Signals(
        _times(number, [t for t, _ in samples]),
        np.arange(len(samples)).astype(np.int32) % 7,
        np.array([v for _, v in samples], np.float64),
    )
    back = fmt.decode_signals(fmt.encode_signals(signals), 7)
    assert np.array_equal(signals.t_ns, back.t_ns)
    assert np.array_equal(signals.signal, back.signal)
    assert np.array_equal(signals.value, back.value, equal_nan=True)


@few
@given(cell, offsets, st.lists(st.integers(0, 3), min_size=20, max_size=20), st.text(max_size=10))
def test_detections_come_back(number: int, at: list[int], boxes: list[int], source: str) -> None:
    seen = _detections(_times(number, sorted(set(at))), boxes, source)
    back = fmt.decode_detections(fmt.encode_detections(seen))
    assert (back.camera, back.source) == ("front", source)
    for name in ("frame_t_ns", "frame", "kind", "score", "box", "distance_m", "track_id", "ttc_s"):
        mine, theirs = getattr(seen, name), getattr(back, name)
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")


def test_a_time_to_collision_that_nobody_knows_takes_no_room() -> None:
    seen = _detections(_times(0, [0, 1]), [3, 2])
    unknown = replace(seen, ttc_s=np.full(5, np.nan, np.float32))
    data = fmt.encode_detections(unknown)
    assert "ttc_s" not in msgspec.msgpack.decode(data)
    assert np.isnan(fmt.decode_detections(data).ttc_s).tolist() == [True] * 5
    short = msgspec.msgpack.decode(data) | {"ttc_s": bytes(8)}
    with pytest.raises(fmt.BadMessage, match="ttc_s: 2 rows, expected 5"):
        fmt.decode_detections(msgspec.msgpack.encode(short))


def _detections(t_ns: np.ndarray, boxes: list[int], source: str = "firmware") -> Detections:
    counts = boxes[: len(t_ns)]
    n = sum(counts)
    rng = np.random.default_rng(n)
    return Detections(
        "front",
        source,
        t_ns,
        np.repeat(np.arange(len(counts)), counts).astype(np.int32),
        rng.integers(0, 9, n).astype(np.uint8),
        rng.random(n, np.float32),
        rng.random((n, 4), np.float32),
        np.full(n, np.nan, np.float32),
        np.full(n, -1, np.int32),
        np.where(rng.random(n) < 0.5, 1.5, np.nan).astype(np.float32),
    )


@few
@given(st.integers(0, 2**62), st.sampled_from(sorted(fmt.CODECS)), st.binary(), st.integers(0, 99))
def test_packets_come_back(t_ns: int, codec: str, data: bytes, since: int) -> None:
    packet = EncodedPacket("front", t_ns, codec, since == 0, data)
    assert fmt.decode_packet(fmt.encode_packet(packet), t_ns, since) == packet


@few
@given(
    st.tuples(
        st.floats(-90, 90),
        st.floats(-180, 180),
        st.floats(-500, 9000),
        st.floats(0, 120) | st.just(math.nan),
        st.floats(0, 360) | st.just(math.nan),
    )
)
def test_fixes_come_back(values: tuple[float, ...]) -> None:
    fixes = GnssFixes(np.array([7], np.int64), *(np.array([v]) for v in values))
    back = fmt.decode_fix(fmt.encode_fix(fixes, 0))
    assert back == pytest.approx(values, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("mode", list(DriveMode))
def test_modes_come_back(mode: DriveMode) -> None:
    change = ModeChange(5, mode)
    assert fmt.decode_mode(fmt.encode_mode(change), 5) == change


def _can_map(**changes: object) -> bytes:
    frames = CanFrames(
        np.array([1, 2], np.int64),
        np.zeros(2, np.uint8),
        np.zeros(2, np.uint32),
        np.full(2, 8, np.uint8),
        np.zeros((2, 8), np.uint8),
    )
    fields = msgspec.msgpack.decode(fmt.encode_can(frames))
    return msgspec.msgpack.encode({k: v for k, v in {**fields, **changes}.items() if v is not None})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xc1", "not a msgpack map"),
        (b"\x81\xa1\xff\x01", "not a msgpack map: 'utf-8'"),
        (msgspec.msgpack.encode([1]), "not a msgpack map"),
        (_can_map(bus=None), "columns missing or unknown: bus"),
        (_can_map(more=b""), "columns missing or unknown: more"),
        (_can_map(bus="00"), "bus: expected whole rows"),
        (_can_map(bus=b"\0"), "bus: 1 rows, expected 2"),
        (_can_map(data=bytes(15)), "data: expected whole rows of 8 bytes"),
        (_can_map(length=b"\x08\x09"), "length: a frame has more than the 8 bytes"),
        (_can_map(length=b"\x08\x09", data=bytes(128)), "length: no CAN frame has this length"),
        (_can_map(data=bytes(64)), "data: 8 rows, expected 2"),
        (_can_map(t_ns=np.array([2, 1], "<i8").tobytes()), "t_ns: time runs backwards"),
        (_can_map(t_ns=np.array([2, fmt.CELL_NS], "<i8").tobytes()), "t_ns: samples of more than one cell"),
        (_can_map(**dict.fromkeys(("t_ns", "bus", "can_id", "length", "data"), b"")), "t_ns: no samples"),
    ],
)
def test_a_message_that_is_none_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(fmt.BadMessage, match=reason):
        fmt.decode_can(data)


def test_other_messages_are_refused_too() -> None:
    signals = Signals(np.array([1], np.int64), np.array([3], np.int32), np.array([1.0]))
    with pytest.raises(fmt.BadMessage, match="rows 0 to 2"):
        fmt.decode_signals(fmt.encode_signals(signals), 3)
    with pytest.raises(fmt.BadMessage, match="mode: "):
        fmt.decode_mode(msgspec.msgpack.encode({"mode": 77}), 0)
    with pytest.raises(fmt.BadMessage, match="CompressedVideo"):
        fmt.decode_packet(b"\xff\xff", 0, 0)
    with pytest.raises(fmt.BadMessage, match="format: 'mjpeg'"):
        fmt.decode_packet(fmt.encode_packet(EncodedPacket("front", 0, "mjpeg", True, b"")), 0, 0)
    with pytest.raises(fmt.BadMessage, match="LocationFix"):
        fmt.decode_fix(b"\xff\xff")
    seen = _detections(np.array([1, 2], np.int64), [1, 1])
    broken = msgspec.msgpack.decode(fmt.encode_detections(seen))
    broken["frame"] = np.array([1, 2], "<i4").tobytes()
    with pytest.raises(fmt.BadMessage, match="frame: "):
        fmt.decode_detections(msgspec.msgpack.encode(broken))


@few
@given(cell, offsets, st.integers(1, 9), st.data())
def test_features_come_back(number: int, at: list[int], width: int, data: st.DataObject) -> None:
    t_ns = _times(number, sorted(set(at)))
    numbers = st.lists(st.floats(width=32), min_size=width * len(t_ns), max_size=width * len(t_ns))
    value = np.array(data.draw(numbers), np.float32).reshape(-1, width)
    back = decode_features(encode_features(Features("front", "firmware:a", t_ns, value)))
    assert (back.camera, back.source) == ("front", "firmware:a")
    assert np.array_equal(back.t_ns, t_ns)
    assert np.array_equal(back.value, value, equal_nan=True)
    assert (back.t_ns.dtype, back.value.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"width": 0}, "value: 16 bytes, expected 2 rows of 0 numbers"),
        ({"width": 3}, "value: 16 bytes, expected 2 rows of 3 numbers"),
        ({"t_ns": bytes(9)}, "t_ns: expected whole rows of 8 bytes"),
        ({"t_ns": b"", "value": b""}, "t_ns: no samples"),
        ({"t_ns": np.array([2, 1], "<i8").tobytes()}, "t_ns: time runs backwards"),
        ({"camera": 7}, "not features: Expected `str`, got `int`"),
        ({"more": 1}, "unknown field `more`"),
    ],
)
def test_what_are_no_features_is_refused_by_field(wrong: dict[str, Any], reason: str) -> None:
    good = {
        "camera": "front", "source": "a", "width": 2, "value": bytes(16),
        "t_ns": np.array([1, 2], "<i8").tobytes(),
    }  # fmt: skip
    assert decode_features(msgspec.msgpack.encode(good)).value.tolist() == [[0, 0], [0, 0]]
    with pytest.raises(fmt.BadMessage, match=reason):
        decode_features(msgspec.msgpack.encode(good | wrong))
    with pytest.raises(fmt.BadMessage, match="not features: 'utf-8'"):
        decode_features(msgspec.msgpack.encode(good).replace(b"front", b"fr\xffnt"))
