"""The car's decoder gives cantools' values bit for bit: on generated DBC files and on a real minute."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cantools
import numpy as np
import pytest
from cantools.database.errors import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_firmware.can.decoder import DecodeCounts, Decoder
from fsd_firmware.can_frames import CAN_EFF_FLAG, CAN_LENGTHS, CanFrames
from fsd_firmware.drive.columns import join, rows
from fsd_tools.bench.decode import load_minute
from fsd_tools.data import data_dir
from fsd_tools.drive.dbc_compile import DbcSource, MappedSignal, Mapping, compile_table

HEAD = 'VERSION ""\nNS_ :\nBS_:\nBU_: XXX\n'
COMMA = data_dir() / "comma2k19"
SCALES = [
    ("1", "0"), ("0.01", "0"), ("0.1", "-40"), ("-1", "0"), ("0.3", "0.7"), ("3", "7"), ("3", "0.5"), ("3.0", "0.5"),
    ("1000003", "-12345"), ("-7", "9007199254740993.0"), ("1E-300", "0"), ("2", "0"), ("1E+100", "1"), ("0", "5"),
]  # fmt: skip
"""As DBC files write them: whether a number is written whole decides how long integers are scaled."""


@dataclass
class Message:
    """One message of a DBC file on its way into text."""

    can_id: int
    size: int
    lines: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    """Lines for the end of the file: value types and extended multiplexing."""

    def text(self) -> str:
        return f"BO_ {self.can_id} M{self.can_id}: {self.size} XXX\n" + "".join(self.lines)


def _cells(start: int, length: int, *, big: bool) -> set[tuple[int, int]]:
    """(byte, bit) of each bit of a signal. ``start`` counts in the signal's own order."""
    if big:
        return {(bit // 8, 7 - bit % 8) for bit in range(start, start + length)}
    return {(bit // 8, bit % 8) for bit in range(start, start + length)}


def _place(draw: st.DrawFn, size: int, length: int, taken: set[tuple[int, int]]) -> tuple[int, bool] | None:
    """A free place in the message: where the signal begins in its own order, and that order."""
    if length > 8 * size:
        return None
    big = draw(st.booleans())
    start = draw(st.integers(0, 8 * size - length))
    cells = _cells(start, length, big=big)
    if cells & taken:
        return None
    taken |= cells
    return start, big


def _signal(draw: st.DrawFn, message: Message, name: str, mark: str, taken: set[tuple[int, int]]) -> None:
    number = draw(st.sampled_from(["int", "int", "float"]))
    length = draw(st.integers(1, 64)) if number == "int" else draw(st.sampled_from([32, 64]))
    place = _place(draw, message.size, length, taken)
    if place is None:
        return
    scale, offset = draw(st.sampled_from(SCALES))
    message.lines.append(_line(name, mark, place, length, draw(st.sampled_from("+-")), scale, offset))
    if number == "float":
        message.after.append(f"SIG_VALTYPE_ {message.can_id} {name} : {length // 32};\n")


def _line(
    name: str, mark: str, place: tuple[int, bool], length: int, sign: str, scale: str, offset: str
) -> str:
    start, big = place
    if big:
        start = 8 * (start // 8) + 7 - start % 8
    return f' SG_ {name} {mark}: {start}|{length}@{0 if big else 1}{sign} ({scale},{offset}) [0|0] "" XXX\n'


def _selector(
    draw: st.DrawFn, message: Message, name: str, mark: str, taken: set[tuple[int, int]]
) -> int | None:
    length = draw(st.integers(1, 9))
    place = _place(draw, message.size, length, taken)
    if place is None:
        return None
    message.lines.append(_line(name, mark, place, length, "+", "1", "0"))
    return 1 << length


@st.composite
def _message(draw: st.DrawFn, number: int) -> Message:
    """Plain, multiplexed, or multiplexed in two levels with ranges of values; signals don't overlap in a branch."""
    extended = draw(st.booleans())
    message = Message(
        100 + number | (CAN_EFF_FLAG if extended else 0), draw(st.sampled_from(CAN_LENGTHS[1:]))
    )
    taken: set[tuple[int, int]] = set()
    if draw(st.booleans()):
        values = _selector(draw, message, "SEL", "M ", taken)
        if values is not None:
            _branches(draw, message, values, taken)
    for s in range(draw(st.integers(1, 5))):
        _signal(draw, message, f"S{s}", "", taken)
    if not message.lines:
        message.lines.append(_line("ONLY", "", (0, False), 1, "+", "1", "0"))
    return message


def _branches(draw: st.DrawFn, message: Message, values: int, taken: set[tuple[int, int]]) -> None:
    nested = draw(st.booleans())
    every = range(min(values, 4))
    for value in every:
        own = set(taken)
        for s in range(draw(st.integers(0, 2))):
            name, before = f"B{value}_{s}", len(message.lines)
            _signal(draw, message, name, f"m{value} ", own)
            if nested and len(message.lines) > before:
                ranges = f"{value}-{value}" if draw(st.booleans()) else f"{value}-{value}, 600-605"
                message.after.append(f"SG_MUL_VAL_ {message.can_id} {name} SEL {ranges};\n")
    if not nested:
        return
    inner = set(taken)
    if (count := _selector(draw, message, "INNER", "m0M ", inner)) is None:
        return
    message.after.append(f"SG_MUL_VAL_ {message.can_id} INNER SEL 0-0;\n")
    before = len(message.lines)
    _signal(draw, message, "DEEP", "m1 ", inner)
    if len(message.lines) > before:
        message.after.append(f"SG_MUL_VAL_ {message.can_id} DEEP INNER 0-{count // 2};\n")
    taken |= inner


@st.composite
def _dbc(draw: st.DrawFn) -> tuple[str, list[Message]]:
    messages = [draw(_message(number)) for number in range(draw(st.integers(1, 3)))]
    text = HEAD + "".join(m.text() for m in messages) + "".join(line for m in messages for line in m.after)
    return text, messages


def _map_all(sources: list[DbcSource]) -> tuple[Mapping, dict[tuple[int, int], Any]]:
    """Every signal of every source under ``bus.message.signal``, and cantools' messages by (bus, id)."""
    signals, messages = {}, {}
    for source in sources:
        for message in cantools.database.load_string(source.text, "dbc", strict=False).messages:
            flag = CAN_EFF_FLAG if message.is_extended_frame else 0
            messages[source.bus, message.frame_id | flag] = message
            for s in message.signals:
                path = f"{source.bus}.{message.name}.{s.name}"
                signals[path] = MappedSignal(source.bus, message.name, s.name, (0, 1), "")
    return Mapping(signals), messages


def _bits(value: float) -> bytes | str:
    """What makes two doubles the same: every bit, but any NaN is NaN."""
    return "nan" if math.isnan(value) else struct.pack("<d", value)


def _expected(
    frames: CanFrames, messages: dict[tuple[int, int], Any]
) -> dict[int, dict[str, bytes | str] | None]:
    """cantools' values by frame and path; None where it gives up, because no branch has the selector's value."""
    found: dict[int, dict[str, bytes | str] | None] = {}
    for i in range(len(frames)):
        bus = int(frames.bus[i])
        message = messages.get((bus, int(frames.can_id[i])))
        if message is None:
            continue
        data = frames.data[i, : frames.length[i]].tobytes()
        try:
            decoded = message.decode(data, decode_choices=False, allow_truncated=True, allow_excess=True)
        except DecodeError:
            found[i] = None
            continue
        found[i] = {f"{bus}.{message.name}.{name}": _bits(float(value)) for name, value in decoded.items()}
    return found


def _compare(sources: list[DbcSource], frames: CanFrames) -> DecodeCounts:
    """All values of both, at every bit. ``frames.t_ns`` must be the row."""
    mapping, messages = _map_all(sources)
    catalogue, table = compile_table(sources, mapping)
    decoder = Decoder(table)
    got = decoder.decode(frames)
    paths = [entry.path for entry in catalogue.entries]
    wanted = _expected(frames, messages)
    mine: dict[int, dict[str, bytes | str]] = {i: {} for i, values in wanted.items() if values is not None}
    for i, row, value in zip(got.t_ns.tolist(), got.signal.tolist(), got.value.tolist(), strict=True):
        if wanted[i] is not None:
            assert paths[row] not in mine[i]
            mine[i][paths[row]] = _bits(value)
    assert mine == {i: values for i, values in wanted.items() if values is not None}
    return decoder.counts


def _frames(rows: list[tuple[int, bytes]], width: int) -> CanFrames:
    data = b"".join(data[:width].ljust(width, b"\0") for _, data in rows)
    return CanFrames(
        np.arange(len(rows), dtype=np.int64),
        np.zeros(len(rows), np.uint8),
        np.array([can_id for can_id, _ in rows], np.uint32),
        np.array([min(len(data), width) for _, data in rows], np.uint8),
        np.frombuffer(data, np.uint8).reshape(-1, width),
    )


BYTES = st.one_of(
    st.binary(min_size=64, max_size=64),
    st.binary(max_size=64),
    st.sampled_from([b"\0" * 64, b"\xff" * 64, b"\x7f\xf0" * 32, b"\x80" + b"\0" * 63]),
)


@settings(max_examples=150, deadline=None)
@given(
    dbc=_dbc(),
    rows=st.lists(st.tuples(st.integers(0, 3), BYTES), min_size=1, max_size=20),
    width=st.sampled_from([8, 64]),
)
def test_generated_files(dbc: tuple[str, list[Message]], rows: list[tuple[int, bytes]], width: int) -> None:
    text, messages = dbc
    ids = [message.can_id for message in messages] + [99]
    known = _frames([(ids[which % len(ids)], data) for which, data in rows], width)
    _compare([DbcSource(0, "random.dbc", text)], known)


@settings(max_examples=25, deadline=None)
@given(dbc=_dbc(), seed=st.integers(0, 1 << 32), width=st.sampled_from([8, 64]))
def test_one_message_many_times(dbc: tuple[str, list[Message]], seed: int, width: int) -> None:
    text, messages = dbc
    rng = np.random.default_rng(seed)
    rows = [(messages[0].can_id, rng.bytes(64)) for _ in range(200)]
    _compare([DbcSource(0, "random.dbc", text)], _frames(rows, width))


@pytest.mark.skipif(not COMMA.is_dir(), reason=f"{COMMA} is missing")
def test_a_bus_at_ten_times_its_rate_loses_nothing() -> None:
    minute = load_minute(COMMA)
    frames = minute.frames
    hurried_ns = frames.t_ns[0] + (frames.t_ns - frames.t_ns[0]) // 10
    busy = CanFrames(hurried_ns, frames.bus, frames.can_id, frames.length, frames.data)
    tick_ns = 10_000_000
    edges = np.arange(int(busy.t_ns[0]), int(busy.t_ns[-1]) + tick_ns, tick_ns)
    cuts = [*np.searchsorted(busy.t_ns, edges).tolist(), len(busy)]
    normal, hurried = Decoder(minute.table), Decoder(minute.table)
    wanted = normal.decode(frames)
    got = join([hurried.decode(rows(busy, low, high)) for low, high in pairwise(cuts)])
    assert np.array_equal(got.signal, wanted.signal)
    assert np.array_equal(got.value, wanted.value)
    assert hurried.counts == normal.counts
    assert (normal.counts.frames, normal.counts.samples) == (98_680, len(wanted))


@pytest.mark.slow
@pytest.mark.skipif(not COMMA.is_dir(), reason=f"{COMMA} is missing")
def test_a_real_minute() -> None:
    minute = load_minute(COMMA)
    frames = minute.frames
    rows = CanFrames(np.arange(len(frames)), frames.bus, frames.can_id, frames.length, frames.data)
    counts = _compare(list(minute.sources), rows)
    assert counts.samples > 400_000
    assert (counts.frames_short, counts.frames_overlong, counts.frames_disordered) == (0, 0, 0)
