"""Columns as arrays and as lists say the same, whichever came first, and parts of frames are those frames."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fsd_firmware.can_frames import CAN_EFF_FLAG, CAN_WIDTHS, CanFrames
from fsd_firmware.samples import Signals

WHOLE = st.integers(-(2**62), 2**62)
VALUES = st.floats(allow_nan=False)


@given(st.lists(st.tuples(WHOLE, st.integers(0, 2**31 - 1), VALUES), max_size=30))
def test_signals_are_the_same_in_either_form(samples: list[tuple[int, int, float]]) -> None:
    t_ns, row, value = ([one[at] for one in samples] for at in range(3))
    arrays = np.array(t_ns, np.int64), np.array(row, np.int32), np.array(value, np.float64)
    listed, columns = Signals.of_lists(t_ns, row, value), Signals(*arrays)
    assert len(listed) == len(columns) == len(samples)
    for one in (listed, columns, listed.packed(), columns.packed()):
        assert one.listed == (t_ns, row, value)
        for found, expected in zip((one.t_ns, one.signal, one.value), arrays, strict=True):
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)


def test_packed_signals_keep_no_lists() -> None:
    listed = Signals.of_lists([1], [2], [3.0])
    assert listed.packed().listed[0] is not listed.listed[0]


@st.composite
def frames(draw: st.DrawFn) -> CanFrames:
    n, width = draw(st.integers(0, 20)), draw(st.sampled_from(CAN_WIDTHS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return CanFrames(
        np.sort(rng.integers(0, 2**60, n)),
        rng.integers(0, 256, n, np.uint8),
        rng.integers(0, CAN_EFF_FLAG * 2, n, np.uint32),
        rng.integers(0, 9, n, np.uint8),
        rng.integers(0, 256, (n, width), np.uint8),
    )


def columns_of(frames: CanFrames) -> tuple[np.ndarray, ...]:
    return frames.t_ns, frames.bus, frames.can_id, frames.length, frames.data


@given(frames(), st.data())
def test_parts_of_frames_are_those_frames(whole: CanFrames, data: st.DataObject) -> None:
    part, low, high = whole, 0, len(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        begin = data.draw(st.integers(0, len(part)))
        end = data.draw(st.integers(begin, len(part)))
        if data.draw(st.booleans()):
            assert len(part.listed[0]) == len(part)
        part, low, high = part.rows(begin, end), low + begin, low + end
    assert len(part) == high - low
    assert part.width == whole.data.shape[1]
    expected = [column[low:high] for column in columns_of(whole)]
    *lists, raw = part.listed
    assert lists == [column.tolist() for column in expected[:4]]
    assert raw == expected[4].tobytes()
    for found, wanted in zip(columns_of(part), expected, strict=True):
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        assert np.array_equal(found, wanted)
