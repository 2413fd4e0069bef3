"""``fsdctl bench decode``: the car's CAN decoder against cantools, on a recorded minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from cantools.database.errors import Error as CantoolsError

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.can.table import SignalTable
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import CanFrames
from fsd_tools.bench.frame import BenchResult, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.data import data_dir
from fsd_tools.drive.dbc_compile import DbcSource, MappedSignal, Mapping, compile_table, load_dbc
from fsd_tools.drive.import_comma2k19 import DBC_OF_BUS, load_segment
from fsd_tools.errors import ToolError

BATCHES_MS = (10, 100, 1000)
"""100 ms is what a drive's batches hold; 10 ms is a tick of the agent."""
RELATIVE_TOLERANCE = 1e-12
"""Both multiply and add in doubles; cantools multiplies integers where scale and offset are whole."""


@dataclass(frozen=True, slots=True)
class Minute:
    """The recorded frames, and every signal of the vehicle's DBC files."""

    frames: CanFrames
    catalogue: Catalogue
    table: SignalTable
    messages: dict[int, Any]
    """cantools' message by ``bus << 32 | id``."""


def bench_decode(rounds: int, progress: Progress) -> BenchResult:
    """Every signal of both DBC files of the comma2k19 minute (two buses, about 135,000 frames) is decoded.

    Ours takes the frames in batches of 10 ms, 100 ms and 1 s, as the agent gets them; the peer is
    cantools' ``Message.decode`` with choices off, a frame at a time, messages looked up in a dictionary.
    Before anything is timed all values of both are compared; a difference ends the benchmark.
    Rates count all received frames, also those that no DBC knows. One thread.
    """
    progress("loading the minute")
    minute = load_minute(data_dir() / "comma2k19")
    progress("comparing every value")
    compared = compare(minute)
    contenders: dict[str, Callable[[], object]] = {"cantools": lambda: decode_with_cantools(minute)}
    for batch_ms in BATCHES_MS:
        contenders[f"{batch_ms} ms"] = batched(minute, batch_ms)
    progress(f"{rounds} rounds in turns")
    seconds = interleaved(rounds, contenders)
    rate = {name: len(minute.frames) / spent for name, spent in seconds.items()}
    goals = {100: Goal(">=", 5.0)}
    figures = [
        figure(
            f"frames decoded, batches of {batch_ms} ms",
            rate[f"{batch_ms} ms"],
            "frames/s",
            peer="cantools, one frame at a time",
            peer_value=rate["cantools"],
            goal=goals.get(batch_ms),
        )
        for batch_ms in BATCHES_MS
    ]
    lasted_s = float(minute.frames.t_ns[-1] - minute.frames.t_ns[0]) / 1e9
    figures.append(
        figure(
            "decoding this bus load in batches of 10 ms",
            100 * seconds["10 ms"] / lasted_s,
            "% of a core",
            peer="cantools, one frame at a time",
            peer_value=100 * seconds["cantools"] / lasted_s,
        )
    )
    figures.append(figure("values that equal cantools'", compared, "values"))
    return BenchResult("decode", this_machine(), tuple(figures))


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
    return Minute(segment.can, catalogue, table, messages)


def batched(minute: Minute, batch_ms: int) -> Callable[[], None]:
    """Our decoding of the whole minute, cut by time as it would arrive."""
    t_ns = minute.frames.t_ns
    edges = np.arange(int(t_ns[0]), int(t_ns[-1]) + batch_ms * 1_000_000, batch_ms * 1_000_000)
    cuts = [*np.searchsorted(t_ns, edges).tolist(), len(minute.frames)]
    batches = [_slice(minute.frames, low, high) for low, high in pairwise(cuts) if high > low]
    decoder = Decoder(minute.table)

    def run() -> None:
        for batch in batches:
            decoder.decode(batch)

    return run


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


def compare(minute: Minute) -> int:
    """How many values agree. Raises :class:`ToolError` when any doesn't."""
    try:
        theirs = decode_with_cantools(minute)
    except CantoolsError as error:
        raise ToolError(f"bench decode: cantools can't decode the minute: {error}") from None
    frames, rows = minute.frames, minute.catalogue.rows
    bus, can_id = frames.bus.tolist(), frames.can_id.tolist()
    wanted = np.array(
        [
            (
                index,
                rows[f"{bus[index]}.{minute.messages[bus[index] << 32 | can_id[index]].name}.{signal}"],
                value,
            )
            for index, values in theirs
            for signal, value in values.items()
        ],
        np.float64,
    )
    by_index = replace(frames, t_ns=np.arange(len(frames), dtype=np.int64))
    ours = Decoder(minute.table).decode(by_index)
    found = np.stack([ours.t_ns, ours.signal, ours.value], axis=1)
    wanted, found = (table[np.lexsort((table[:, 1], table[:, 0]))] for table in (wanted, found))
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=RELATIVE_TOLERANCE, atol=0):
        raise ToolError(f"bench decode: {len(found)} samples differ from cantools' {len(wanted)}")
    return len(found)


def _slice(frames: CanFrames, low: int, high: int) -> CanFrames:
    return CanFrames(
        frames.t_ns[low:high],
        frames.bus[low:high],
        frames.can_id[low:high],
        frames.length[low:high],
        frames.data[low:high],
    )
