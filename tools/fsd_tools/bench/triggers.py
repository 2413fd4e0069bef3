"""``fsdctl bench triggers``: the trigger engine against plain lambdas, and on a recorded minute in real time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from fsd_agent.daemon.config import SenseConfig
from fsd_agent.wire.campaigns import encode_set
from fsd_firmware.can.decoder import Decoder
from fsd_firmware.drive.reader import DriveReader
from fsd_tools.bench.frame import (
    BenchResult,
    Figure,
    Goal,
    Progress,
    figure,
    interleaved,
    this_machine,
)
from fsd_tools.bench.trigger_loads import (
    CONDITIONS,
    FIRST,
    Conditions,
    Lambdas,
    Load,
    campaigns_of,
    engine_of,
    make_load,
    mixed_conditions,
    run_engine,
)
from fsd_tools.bench.trigger_minute import Measured
from fsd_tools.data import data_dir
from fsd_tools.drive.import_comma2k19 import write_drive
from fsd_tools.errors import ToolError

INSTANTS: Final = (22, 226, 2258)
"""10 ms, 100 ms and 1 s of the bus."""
PEER: Final = "Python lambdas, called for each sample of a signal that they read"
GOALS: Final[Mapping[tuple[int, int], Goal]] = {
    (2, 22): Goal(">=", 10),
    (2, 226): Goal(">=", 60),
    (2, 2258): Goal(">=", 60),
    (100, 22): Goal(">=", 1),
    (100, 226): Goal(">=", 1.5),
    (100, 2258): Goal(">=", 6),
}
"""By signals and instants a batch, for smooth signals."""
TICK_MS: Final = SenseConfig().tick_ms
TIMEOUT_S: Final = 180


def bench_triggers(rounds: int, progress: Progress) -> BenchResult:
    """`a > x && b > y` two hundred times, over the same two signals and spread over a hundred, 2,258 samples a second.

    Smooth signals move slowly with a little noise, no sample equal to the last; white ones jump anywhere with every
    sample. The peer is a plain Python lambda for each condition, called for each sample of a signal that it reads, rises
    recorded. *Conditions* are ours as the engine evaluates them, guard and cascade, from samples to rises; *firings* are the
    engine's public entrance, one call a batch, from samples to firings with phases, budgets and evidence, of which
    the peer does nothing. With white noise a condition fires once only, with the lambdas as well. Before anything is
    timed the rises of all are compared; a difference ends the benchmark. The first second, in which every condition is
    new, is not timed; then a minute of smooth or ten seconds of white signals is. Rates count the conditions that the peer calls. One thread.

    The minute: receive (frames cut from columns in memory, a tick at a time, and listed as numbers; the recording is
    read before the clock runs), decode (every mapped signal of the comma2k19 minute, both buses) and 200 conditions
    (of twenty, twelve compare, one calculates and seven look back) in real time, in the agent's default
    ticks of 12 ms, in a process that does nothing else and stays on one processor, once a round. Latency is from a frame's
    time of arrival to its firing in hand. Every round does the same, so each tick and each firing counts with its median over the rounds: that is free of what a hypervisor or another process takes away now and then, and keeps
    what always comes, cold caches included. *Whatever came between* is the median of whole rounds.

    With warm caches the same minute costs 1.4 %; the rest is what caches lose while the process sleeps, and whose they
    are meanwhile. On one shared machine whole runs read 3.0 to 5.7 % within a day, latencies hardly differing.
    """
    figures: list[Figure] = []
    for smooth in (True, False):
        for signals in (2, 100):
            figures += _against_lambdas(signals, rounds, progress, smooth=smooth)
    figures += _minute(data_dir() / "comma2k19", rounds, progress)
    return BenchResult("triggers", this_machine(), tuple(figures))


def _against_lambdas(signals: int, rounds: int, progress: Progress, *, smooth: bool) -> list[Figure]:
    load = make_load(signals, smooth=smooth)
    where = "the same 2 signals" if signals == 2 else f"{signals} signals"
    name = f"{CONDITIONS} conditions on {where}, {'smooth' if smooth else 'white noise'}"
    found = []
    for size in INSTANTS:
        progress(f"{name}, {size} instants a batch")
        whole = load.batches(size, range(load.timed.stop))
        expected = sorted(Lambdas(load).run(whole))
        if sorted(run_engine(engine_of(load), whole)) != expected:
            raise ToolError(f"bench triggers: {name}: the engine's rises differ from the lambdas'")
        if smooth and sorted(Conditions(load).run(whole)) != expected:
            raise ToolError(f"bench triggers: {name}: the conditions' rises differ from the lambdas'")
        seconds = interleaved(rounds, _contenders(load, size, rounds))
        rate = {who: load.asked() / spent for who, spent in seconds.items()}
        found += [
            figure(
                f"{name}, {size} instants a batch: {ours}",
                rate[ours],
                "conditions/s",
                peer=PEER,
                peer_value=rate["lambdas"],
                goal=GOALS[signals, size] if ours == "conditions" else None,
            )
            for ours in (("conditions", "firings") if smooth else ("firings",))
        ]
    return found


def _contenders(load: Load, size: int, rounds: int) -> dict[str, Callable[[], object]]:
    """Each call takes an engine that was made before the clock ran: time does not go back for one."""
    first, timed = load.batches(size, FIRST), load.batches(size, load.timed)
    engines, lambdas = [engine_of(load) for _ in range(rounds + 1)], Lambdas(load)
    alone = [Conditions(load) for _ in range(rounds + 1)]
    for engine, conditions in zip(engines, alone, strict=True):
        run_engine(engine, first)
        conditions.run(first)
    lambdas.run(first)
    return {
        "conditions": lambda: alone.pop().run(timed),
        "firings": lambda: run_engine(engines.pop(), timed),
        "lambdas": lambda: lambdas.run(timed),
    }


def _minute(folder: Path, rounds: int, progress: Progress) -> list[Figure]:
    if not folder.is_dir():
        raise ToolError(
            f"{folder}: not found. This benchmark needs the comma2k19 minute; FSD_DATA names its parent"
        )
    with tempfile.TemporaryDirectory(prefix="fsd-bench-") as root:
        drive, campaigns = Path(root) / "minute.mcap", Path(root) / "campaigns"
        write_drive(folder, drive)
        reader = DriveReader(drive)
        sources = mixed_conditions(_values(reader), CONDITIONS)
        campaigns.write_bytes(encode_set(campaigns_of(sources, reader.description.catalogue)))
        argv = [
            sys.executable,
            "-m",
            "fsd_tools.bench.trigger_minute",
            str(drive),
            str(campaigns),
            str(TICK_MS),
        ]
        runs: list[Measured] = []
        for number in range(rounds):
            progress(f"the real minute in real time, {number + 1} of {rounds}")
            runs.append(_played(argv))
    return _figures(runs)


def _played(argv: list[str]) -> Measured:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603 - our own program
    if done.returncode:
        raise ToolError(f"bench triggers: the minute failed:\n{done.stderr[-2000:]}")
    measured = msgspec.json.decode(done.stdout, type=Measured)
    if measured.suspended:
        raise ToolError(f"bench triggers: campaigns were suspended: {measured.suspended}")
    return measured


def _figures(runs: Sequence[Measured]) -> list[Figure]:
    name = f"the real minute in real time, {CONDITIONS} campaigns"
    wall_s = float(np.median([one.wall_s for one in runs]))
    cpu_s = float(np.median([one.cpu_s for one in runs], axis=0).sum())
    p50, p99 = np.percentile(np.median([one.latency_ms for one in runs], axis=0), [50, 99]).tolist()
    worst = np.median([np.percentile(one.latency_ms, 99) for one in runs])
    return [
        figure(
            f"{name}: receive, decode, conditions",
            100 * cpu_s / wall_s,
            "% of a core",
            goal=Goal("<=", 5, of="value"),
        ),
        figure(
            f"{name}: the same, whatever came between",
            float(np.median([100 * sum(one.cpu_s) / one.wall_s for one in runs])),
            "% of a core",
        ),
        figure(f"{name}: frame to firing, p50", p50, "ms", goal=Goal("<=", 8, of="value")),
        figure(f"{name}: frame to firing, p99", p99, "ms", goal=Goal("<=", 15, of="value")),
        figure(f"{name}: frame to firing, p99, whatever came between", float(worst), "ms"),
        figure(f"{name}: firings", len(runs[0].latency_ms), "firings"),
        figure(
            f"{name}: memory of the core",
            max(one.rss_mb for one in runs),
            "MB",
            goal=Goal("<=", 60, of="value"),
        ),
    ]


def _values(reader: DriveReader) -> dict[str, Sequence[float]]:
    """Values of every signal of the drive that keeps changing."""
    table = reader.description.signal_table
    if table is None:
        raise ToolError(f"{reader.path}: the drive has no signal table")
    decoder = Decoder(table)
    parts = [decoder.decode(batch.can) for batch in reader.chunks()]
    row = np.concatenate([part.signal for part in parts])
    value = np.concatenate([part.value for part in parts])
    found: dict[str, Sequence[float]] = {}
    for at, entry in enumerate(reader.description.catalogue.entries):
        mine = value[row == at]
        if entry.type == "double" and len(np.unique(mine)) > _CHANGING:
            found[entry.path] = mine[:: max(1, len(mine) // 1000)].tolist()
    return found


_CHANGING: Final = 20
"""Different values in a minute."""
