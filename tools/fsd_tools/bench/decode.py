"""``fsdctl bench decode``: the car's CAN decoder against cantools, on a recorded minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Mapped
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from cantools.database.errors import Error as CantoolsError

from fsd_agent.daemon.config import SenseConfig
from fsd_firmware.can.decoder import Decoder
from fsd_firmware.can.table import SignalTable
from fsd_firmware.can_frames import CanFrames
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.drive.columns import rows
from fsd_firmware.samples import Signals
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.bench.paced import median_at_pace
from fsd_tools.data import data_dir
from fsd_tools.drive.dbc_compile import DbcSource, MappedSignal, Mapping, compile_table, load_dbc
from fsd_tools.drive.import_comma2k19 import DBC_OF_BUS, load_segment
from fsd_tools.errors import ToolError

BATCHES_MS = (10, 100, 1000)
"""100 ms is what a drive's batches hold; 10 ms is a tick of the agent."""
GOALS = {10: Goal(">=", 1.4), 100: Goal(">=", 9.0), 1000: Goal(">=", 28.0)}
REPEATED = {"four": (1, "TRACK_B_0"), "eight": (0, "WHEEL_SPEEDS")}
"""Bus and name of messages that are also decoded by themselves, by how many signals they have."""
ONE_FRAMES = 50_000
ONE_BATCH = 10_000
ONE_GOALS = {"four": Goal(">=", 100.0), "eight": None}
TICK_MS = SenseConfig().tick_ms
"""The agent's tick in a car."""
TURN_S = 0.1
PACED_TICKS = 400
PACED_TURNS = 3
PEER = "cantools, one frame at a time"


@dataclass(frozen=True, slots=True)
class Minute:
    """The recorded frames, and every signal of the vehicle's DBC files."""

    frames: CanFrames
    catalogue: Catalogue
    table: SignalTable
    messages: dict[int, Any]
    """cantools' message by ``bus << 32 | id``."""
    sources: tuple[DbcSource, ...]


def bench_decode(rounds: int, progress: Progress) -> BenchResult:
    """Every signal of both DBC files of the comma2k19 minute (two buses, 98,680 received frames) is decoded.

    Ours takes the frames in batches of 10 ms, 100 ms and 1 s (16, 164 and 1,645 frames), as the agent gets them;
    the peer is cantools' `Message.decode` with choices off, a frame at a time, messages looked up in a dictionary.
    Both check lengths. The second load is a message of the minute with four signals (a radar track), and one with
    eight (wheel speeds and their fault bits), each repeated to 50,000 frames; ours takes 10,000 a batch, the peer is
    `Message.decode` in a loop. The third is the minute's first 400 ticks of 12 ms, each at its time and asleep in
    between, so that caches are as cold as in a car; the median tick counts, and the peer has its messages and bytes
    ready. Before anything is timed all values of the first two are compared, exactly; a difference ends the benchmark.
    Rates count all received frames, also those that no DBC knows; in each turn everybody decodes for 0.1 s. One thread.
    """
    progress("loading the minute")
    minute = load_minute(data_dir() / "comma2k19")
    ones = {signals: repeated(minute, *message) for signals, message in REPEATED.items()}
    progress("comparing every value")
    compared = compare(minute) + sum(compare(one) for one in ones.values())
    contenders: dict[str, Callable[[], object]] = {
        "cantools": lambda: decode_with_cantools(minute),
        **{f"{batch_ms} ms": batched(minute, batch_ms) for batch_ms in BATCHES_MS},
    }
    for signals, one in ones.items():
        contenders[f"one, {signals}, cantools"] = partial(decode_one_with_cantools, one)
        contenders[f"one, {signals}"] = batched_by_count(one, ONE_BATCH)
    progress(f"{rounds} rounds in turns")
    seconds = interleaved(rounds, contenders, turn_s=TURN_S)
    progress("ticks at their own pace")
    tick_s = median_at_pace(
        TICK_MS / 1000, PACED_TURNS, {"ours": ticks(minute), "cantools": cantools_ticks(minute)}
    )
    figures = [*_figures(minute, seconds), _tick_figure(tick_s), _equal(compared)]
    return BenchResult("decode", this_machine(), tuple(figures))


def _figures(minute: Minute, seconds: Mapped[str, float]) -> list[Figure]:
    rate = {
        name: (ONE_FRAMES if name.startswith("one") else len(minute.frames)) / spent
        for name, spent in seconds.items()
    }
    figures = [
        figure(
            f"frames decoded, batches of {batch_ms} ms",
            rate[f"{batch_ms} ms"],
            "frames/s",
            peer=PEER,
            peer_value=rate["cantools"],
            goal=GOALS[batch_ms],
        )
        for batch_ms in BATCHES_MS
    ]
    figures += [
        figure(
            f"frames of one message with {signals} signals decoded",
            rate[f"one, {signals}"],
            "frames/s",
            peer=PEER,
            peer_value=rate[f"one, {signals}, cantools"],
            goal=goal,
        )
        for signals, goal in ONE_GOALS.items()
    ]
    lasted_s = float(minute.frames.t_ns[-1] - minute.frames.t_ns[0]) / 1e9
    figures.append(
        figure(
            "decoding this bus load in batches of 10 ms",
            100 * seconds["10 ms"] / lasted_s,
            "% of a core",
            peer=PEER,
            peer_value=100 * seconds["cantools"] / lasted_s,
        )
    )
    return figures


def _tick_figure(seconds: Mapped[str, float]) -> Figure:
    return figure(
        f"a tick of {TICK_MS} ms decoded at its own time",
        1e6 * seconds["ours"],
        "us",
        peer=PEER,
        peer_value=1e6 * seconds["cantools"],
    )


def _equal(compared: int) -> Figure:
    return figure("values that equal cantools'", compared, "values")


def load_minute(folder: Path) -> Minute:
    """Read frames and DBC files. Raises :class:`ToolError` when they aren't there."""
    if not folder.is_dir():
        raise ToolError(
            f"{folder}: not found. This benchmark needs the comma2k19 minute; FSD_DATA names its parent"
        )
    sources = {
        bus: DbcSource(bus, name, (folder / "dbc" / name).read_text(encoding="utf-8", errors="replace"))
        for bus, name in DBC_OF_BUS.items()
    }
    segment = load_segment(folder, sources)
    messages = {
        bus << 32 | message.frame_id: message
        for bus, source in sources.items()
        for message in load_dbc(source).messages
    }
    signals = {
        f"{key >> 32}.{message.name}.{signal.name}": MappedSignal(
            key >> 32, message.name, signal.name, (0, 0), ""
        )
        for key, message in messages.items()
        for signal in message.signals
    }
    catalogue, table = compile_table(tuple(sources.values()), Mapping(signals))
    return Minute(segment.can, catalogue, table, messages, tuple(sources.values()))


def repeated(minute: Minute, bus: int, name: str) -> Minute:
    """The frames of one message of the minute, again and again, a millisecond apart."""
    key = next(key for key, message in minute.messages.items() if (key >> 32, message.name) == (bus, name))
    frames = minute.frames
    mine = np.flatnonzero((frames.bus == bus) & (frames.can_id == key & 0xFFFF_FFFF))
    if not len(mine):
        raise ToolError(f"bench decode: the minute has no frame of {name}")
    again = np.resize(mine, ONE_FRAMES)
    t_ns = np.arange(ONE_FRAMES, dtype=np.int64) * 1_000_000
    alone = CanFrames(t_ns, frames.bus[again], frames.can_id[again], frames.length[again], frames.data[again])
    return replace(minute, frames=alone)


def batched(minute: Minute, batch_ms: int) -> Callable[[], None]:
    """Our decoding of the whole minute, cut by time as it would arrive."""
    return _in_batches(minute, _cuts(minute, batch_ms))


def ticks(minute: Minute) -> list[Callable[[], object]]:
    """Our decoding of each of the minute's first ticks that have frames."""
    decoder = Decoder(minute.table)
    return [partial(_decode, decoder, _columns(tick)) for tick in _first_ticks(minute)]


def cantools_ticks(minute: Minute) -> list[Callable[[], object]]:
    """The peer's decoding of the same."""
    return [partial(_decode_each, _known(minute, tick)) for tick in _first_ticks(minute)]


def _first_ticks(minute: Minute) -> list[CanFrames]:
    cuts = _cuts(minute, TICK_MS)
    return [rows(minute.frames, low, high) for low, high in pairwise(cuts) if high > low][:PACED_TICKS]


def _known(minute: Minute, tick: CanFrames) -> list[tuple[Any, bytes]]:
    """The peer's message and the bytes of every frame that a DBC knows."""
    columns = zip(tick.bus.tolist(), tick.can_id.tolist(), tick.length.tolist(), tick.data, strict=True)
    found = [
        (minute.messages.get(bus << 32 | can_id), data[:n].tobytes()) for bus, can_id, n, data in columns
    ]
    return [(message, data) for message, data in found if message is not None]


def _decode_each(frames: Sequence[tuple[Any, bytes]]) -> list[dict[str, Any]]:
    return [message.decode(data, decode_choices=False, allow_truncated=True) for message, data in frames]


def _cuts(minute: Minute, batch_ms: int) -> list[int]:
    t_ns = minute.frames.t_ns
    edges = np.arange(int(t_ns[0]), int(t_ns[-1]) + batch_ms * 1_000_000, batch_ms * 1_000_000)
    return [*np.searchsorted(t_ns, edges).tolist(), len(minute.frames)]


def batched_by_count(minute: Minute, frames: int) -> Callable[[], None]:
    """Our decoding of everything, so many frames a batch."""
    return _in_batches(minute, [*range(0, len(minute.frames), frames), len(minute.frames)])


def _in_batches(minute: Minute, cuts: Sequence[int]) -> Callable[[], None]:
    batches = [_columns(rows(minute.frames, low, high)) for low, high in pairwise(cuts) if high > low]
    decoder = Decoder(minute.table)

    def run() -> None:
        for batch in batches:
            _decode(decoder, batch)

    return run


def _columns(frames: CanFrames) -> tuple[Any, ...]:
    return frames.t_ns, frames.bus, frames.can_id, frames.length, frames.data


def _decode(decoder: Decoder, columns: tuple[Any, ...]) -> Signals:
    """Of frames that nobody has looked at."""
    return decoder.decode(CanFrames(*columns))


def decode_with_cantools(minute: Minute) -> list[tuple[int, dict[str, Any]]]:
    """(index of the frame, values by name) for every frame that a DBC knows."""
    frames, found = minute.frames, []
    key = (frames.bus.astype(np.int64) << 32 | frames.can_id).tolist()
    raw, length = frames.data.tobytes(), frames.length.tolist()
    for index, message in enumerate(map(minute.messages.get, key)):
        if message is not None:
            data = raw[8 * index : 8 * index + length[index]]
            found.append((index, message.decode(data, decode_choices=False, allow_truncated=True)))
    return found


def decode_one_with_cantools(minute: Minute) -> list[Any]:
    """Values by name of every frame; all frames have one message."""
    frames = minute.frames
    message = minute.messages[int(frames.bus[0]) << 32 | int(frames.can_id[0])]
    width = int(frames.length[0])
    raw, decode = frames.data[:, :width].tobytes(), message.decode
    return [decode(raw[at : at + width], decode_choices=False) for at in range(0, len(raw), width)]


def compare(minute: Minute) -> int:
    """How many values are the same doubles. Raises :class:`ToolError` when any doesn't."""
    try:
        theirs = decode_with_cantools(minute)
    except CantoolsError as error:
        raise ToolError(f"bench decode: cantools can't decode the minute: {error}") from None
    frames, row_of = minute.frames, minute.catalogue.rows
    bus, can_id = frames.bus.tolist(), frames.can_id.tolist()
    wanted = np.array(
        [
            (
                index,
                row_of[f"{bus[index]}.{minute.messages[bus[index] << 32 | can_id[index]].name}.{signal}"],
                value,
            )
            for index, values in theirs
            for signal, value in values.items()
        ],
        np.float64,
    )
    numbers = np.arange(len(frames), dtype=np.int64)
    by_index = CanFrames(numbers, frames.bus, frames.can_id, frames.length, frames.data)
    ours = Decoder(minute.table).decode(by_index)
    found = np.stack([ours.t_ns, ours.signal, ours.value], axis=1)
    wanted, found = (table[np.lexsort((table[:, 1], table[:, 0]))] for table in (wanted, found))
    if found.shape != wanted.shape or not np.array_equal(found, wanted):
        raise ToolError(f"bench decode: {len(found)} samples differ from cantools' {len(wanted)}")
    return len(found)
