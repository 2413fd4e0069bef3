"""Compiled tables give what cantools gives, and a mapping that can't be compiled is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cantools
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.samples import CanFrames
from fsd_tools.data import data_dir
from fsd_tools.drive.dbc_compile import DbcSource, MappedSignal, Mapping, compile_table
from fsd_tools.errors import ToolError

HEAD = 'VERSION ""\nNS_ :\nBS_:\nBU_: XXX\n'
COMMA = data_dir() / "comma2k19"


def _map_all(sources: list[DbcSource]) -> tuple[Mapping, dict[tuple[int, int], Any]]:
    """Every signal of every source under ``bus.message.signal``, and cantools' messages by (bus, id)."""
    signals, messages = {}, {}
    for source in sources:
        for message in cantools.database.load_string(source.text, "dbc", strict=False).messages:
            messages[source.bus, message.frame_id] = message
            for s in message.signals:
                path = f"{source.bus}.{message.name}.{s.name}"
                signals[path] = MappedSignal(source.bus, message.name, s.name, (0, 1), "")
    return Mapping(signals), messages


def _expected(frames: CanFrames, messages: dict[tuple[int, int], Any]) -> dict[tuple[int, str], float]:
    values = {}
    for i in range(len(frames)):
        bus = int(frames.bus[i])
        message = messages.get((bus, int(frames.can_id[i])))
        if message is None:
            continue
        data = frames.data[i, : frames.length[i]].tobytes()
        decoded = message.decode(data, decode_choices=False, allow_truncated=True, allow_excess=True)
        for name, value in decoded.items():
            values[i, f"{bus}.{message.name}.{name}"] = float(value)
    return values


def _compare(sources: list[DbcSource], frames: CanFrames) -> int:
    mapping, messages = _map_all(sources)
    catalogue, table = compile_table(sources, mapping)
    got = Decoder(table).decode(frames)
    paths = [entry.path for entry in catalogue.entries]
    mine = {
        (t, paths[s]): v
        for t, s, v in zip(got.t_ns.tolist(), got.signal.tolist(), got.value.tolist(), strict=True)
    }
    wanted = _expected(frames, messages)
    assert mine == wanted  # bit for bit: no tolerance
    return len(wanted)


@st.composite
def _dbc(draw: st.DrawFn) -> str:
    """Some messages, each a row of little-endian or big-endian signals that don't overlap."""
    text = HEAD
    for m in range(draw(st.integers(1, 3))):
        text += f"BO_ {100 + m} M{m}: 8 XXX\n"
        bit = draw(st.integers(0, 5))
        big = draw(st.booleans())
        for s in range(draw(st.integers(1, 5))):
            length = draw(st.integers(1, 53))
            if bit + length > 64:
                break
            start = 8 * (bit // 8) + 7 - bit % 8 if big else bit
            sign = draw(st.sampled_from("+-"))
            scale, offset = draw(
                st.sampled_from([("1", "0"), ("0.01", "0"), ("0.1", "-40"), ("-1", "0"), ("0.3", "0.7")])
            )
            text += (
                f' SG_ S{s} : {start}|{length}@{"0" if big else "1"}{sign} ({scale},{offset}) [0|0] "" XXX\n'
            )
            bit += length + draw(st.integers(0, 3))
    return text


@settings(max_examples=40, deadline=None)
@given(
    text=_dbc(),
    rows=st.lists(st.tuples(st.integers(100, 103), st.binary(max_size=8)), min_size=1, max_size=20),
)
def test_equals_cantools_on_random_files(text: str, rows: list[tuple[int, bytes]]) -> None:
    frames = CanFrames(
        np.arange(len(rows), dtype=np.int64),
        np.zeros(len(rows), np.uint8),
        np.array([can_id for can_id, _ in rows], np.uint32),
        np.array([len(data) for _, data in rows], np.uint8),
        np.frombuffer(b"".join(data.ljust(8, b"\0") for _, data in rows), np.uint8).reshape(-1, 8),
    )
    _compare([DbcSource(0, "random.dbc", text)], frames)


MUX = (
    HEAD
    + "BO_ 100 M: 8 XXX\n"
    + ' SG_ KIND M : 0|4@1+ (1,0) [0|15] "" XXX\n'
    + ' SG_ A m0 : 8|8@1+ (0.5,1) [0|0] "" XXX\n'
    + ' SG_ B m1 : 8|16@1- (0.1,0) [0|0] "" XXX\n'
    + ' SG_ C : 32|8@1+ (1,0) [0|0] "" XXX\n'
)


def test_equals_cantools_on_multiplexed_messages() -> None:
    rng = np.random.default_rng(5)
    data = rng.integers(0, 256, (200, 8), dtype=np.uint8)
    data[:, 0] = rng.integers(0, 2, 200)
    length = np.full(200, 8, np.uint8)
    zeros = np.zeros(200, np.uint8)
    frames = CanFrames(np.arange(200), zeros, np.full(200, 100, np.uint32), length, data)
    assert _compare([DbcSource(0, "mux.dbc", MUX)], frames) == 600


@pytest.mark.slow
@pytest.mark.skipif(not COMMA.is_dir(), reason=f"{COMMA} is missing")
def test_equals_cantools_on_a_real_minute() -> None:
    raw = COMMA / "processed_log" / "CAN" / "raw_can"
    with (raw / "data").open("rb") as f:
        data = np.load(f)
    with (raw / "address").open("rb") as f:
        address = np.load(f)
    with (raw / "src").open("rb") as f:
        bus = np.load(f)
    sources = [
        DbcSource(0, "pt.dbc", (COMMA / "dbc" / "toyota_new_mc_pt_generated.dbc").read_text()),
        DbcSource(1, "adas.dbc", (COMMA / "dbc" / "toyota_adas.dbc").read_text()),
    ]
    kept = np.flatnonzero(bus < 2)
    length = _lengths(sources, bus[kept], address[kept])
    frames = CanFrames(
        np.arange(kept.size, dtype=np.int64),
        bus[kept].astype(np.uint8),
        address[kept].astype(np.uint32),
        length,
        np.ascontiguousarray(data[kept].astype("S8")).view(np.uint8).reshape(-1, 8),
    )
    assert _compare(sources, frames) > 400_000


def _lengths(sources: list[DbcSource], bus: Any, address: Any) -> Any:
    _, messages = _map_all(sources)
    known = {key: min(message.length, 8) for key, message in messages.items()}
    return np.array([known.get((int(b), int(a)), 8) for b, a in zip(bus, address, strict=True)], np.uint8)


GOOD = MappedSignal(0, "M", "C", (0, 250), "d")


def _speed(**other: Any) -> Mapping:
    return Mapping({"Vehicle.Speed": replace(GOOD, **other)})


def test_the_catalogue_is_the_mapping() -> None:
    catalogue, table = compile_table([DbcSource(0, "m.dbc", MUX)], _speed())
    assert [(e.path, e.type, e.unit, e.maximum) for e in catalogue.entries] == [
        ("Vehicle.Speed", "double", "", 250)
    ]
    assert table.catalogue_row.tolist() == [0]


@pytest.mark.parametrize(
    ("other", "dbc", "named"),
    [
        ({"bus": 1}, MUX, "Vehicle.Speed: message: bus 1"),
        ({"message": "N"}, MUX, "Vehicle.Speed: message: .*'N'"),
        ({"signal": "Z"}, MUX, "Vehicle.Speed: signal: .*'Z'"),
        ({"range": (9, 2)}, MUX, "Vehicle.Speed: range"),
        ({}, MUX.replace("32|8", "8|54"), "54 bits"),
        ({}, MUX.replace("32|8@1+ (1,0)", "0|53@1+ (2,0)"), "53 bits"),
        ({}, MUX.replace("32|8", "60|8"), "past the"),
        ({}, MUX.replace("32|8", "32|32") + "SIG_VALTYPE_ 100 C : 1;\n", "floating-point"),
        ({}, "not a dbc", "m.dbc"),
    ],
)
def test_what_cannot_be_exact_is_refused(other: dict[str, Any], dbc: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        compile_table([DbcSource(0, "m.dbc", dbc)], _speed(**other))


def test_one_message_described_twice_is_refused() -> None:
    sources = [DbcSource(0, "a.dbc", MUX), DbcSource(0, "b.dbc", MUX)]
    with pytest.raises(ToolError, match=r"b.dbc: bus 0: message M"):
        compile_table(sources, _speed())
