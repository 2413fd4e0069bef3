"""``fsdctl bench spool``: what it costs that nothing is lost."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, this_machine
from fsd_tools.bench.spool_agent import Measured
from fsd_tools.bench.spool_held import MEMORY, REGION, Fleet
from fsd_tools.bench.spool_ingest import MIX, SIZES_BYTES, Ingest, megabytes_a_second
from fsd_tools.errors import ToolError
from fsd_tools.region.mosquitto import Mosquitto
from fsd_tools.region.operator import load_policy
from fsd_tools.rig.rig import Rig

FEW, MANY = 1_000, 50_000
RUN_S = 12.0
"""How long an agent runs before its memory is taken: it has connected, sent, and told its status twice."""
INGEST_GOAL = Goal(">=", 0.7)
START_GOAL = Goal("<=", 2.0, of="value")
FLAT_GOAL = Goal("<=", 1.1)
PLAIN = "write, fsync, fsync of the folder"


def bench_spool(rounds: int, progress: Progress) -> BenchResult:
    """Durable ingest, memory and start-up of a spool, on the disk that TMPDIR (else /tmp, else the current folder) is on.

    *Ingest*: sealed files of 0.5, 2 and 8 MiB, and a mix of 14.5 MiB, go one by one through the agent's stores. *Put* is
    the spool alone: hash, close under the compartment's key, write, rename, fsync, fsync of the folder. *Ingest* is
    all that the agent does between a sealed clip and a journal that knows it: put, the ledger's records
    of redaction and sealing while the file lands, then the journal's move, each durable before the call ends. Redaction and
    sealing are not in it: both get bytes that are in memory. The peer writes the same bytes to new files on the same disk: open,
    write, fsync, close, fsync of the folder. The three take turns, in wall time,
    and medians are compared. *In memory* is the same on a file system in memory, where no disk is waited for: what is left
    is the processor's work; it has no goal.

    *Held*: an agent, as a process of its own, on a vehicle with 50,000 sealed clips, and in turns on one with 1,000. Its
    region's broker takes every message, and its receiver is away, so that all clips stay. *Start* lasts from
    reading the configuration to the first batch of samples in the loops: journal, ledger and spool are opened, checked
    and brought to agree; files are in the page cache. *Memory* is the resident size after 12 s of sensing and sending.
    """
    with tempfile.TemporaryDirectory(prefix="fsd-bench-", dir=_on_disk()) as folder, Rig(Path(folder)) as rig:
        progress("making a region and a vehicle")
        fleet = Fleet(rig)
        figures = [*_ingest(fleet, rig.root / "ingest", rounds, progress, goal=INGEST_GOAL)]
        if MEMORY.is_dir():
            with tempfile.TemporaryDirectory(prefix="fsd-bench-", dir=MEMORY) as memory:
                inside = Path(memory) / "ingest"
                figures += _ingest(fleet, inside, rounds, progress, names=[MIX], where=", in memory")
        figures += _held(fleet, rig, rounds, progress)
    return BenchResult("spool", this_machine(), tuple(figures))


def _ingest(
    fleet: Fleet,
    folder: Path,
    rounds: int,
    progress: Progress,
    *,
    names: Sequence[str] = (*SIZES_BYTES, MIX),
    where: str = "",
    goal: Goal | None = None,
) -> list[Figure]:
    folder.mkdir()
    seconds: dict[str, list[float]] = {}
    stores = fleet.stores(folder)
    try:
        ingest = Ingest(stores, folder)
        ingest.round({}, turned=False)  # Caches and the first files: not counted
        for number in range(rounds):
            progress(f"ingest{where}, round {number + 1} of {rounds}")
            ingest.round(seconds, turned=bool(number % 2))
    finally:
        stores.close()
    return [
        figure(
            f"{what}, {name}{where}",
            megabytes_a_second(seconds, call, name),
            "MB/s",
            peer=PLAIN,
            peer_value=megabytes_a_second(seconds, "plain", name),
            goal=goal,
        )
        for what, call in (("put", "put"), ("ingest", "take"))
        for name in names
    ]


def _held(fleet: Fleet, rig: Rig, rounds: int, progress: Progress) -> list[Figure]:
    configs = {}
    for clips in (FEW, MANY):
        progress(f"filling a spool with {clips:,} clips")
        configs[clips] = fleet.fill(clips)
    found: dict[int, list[Measured]] = {clips: [] for clips in configs}
    region = rig.region(REGION)
    endpoint = load_policy(region).endpoints[0]
    with Mosquitto(region, endpoint.host, endpoint.port):
        for number in range(rounds):
            for clips, config in configs.items():
                progress(f"an agent with {clips:,} clips, round {number + 1} of {rounds}")
                found[clips].append(fleet.run_agent(config, RUN_S))
    if not all(one.connected for each in found.values() for one in each):
        raise ToolError("bench spool: an agent did not reach its broker")
    few, many = found[FEW], found[MANY]

    def compared(name: str, unit: str, of: Callable[[Measured], float], goal: Goal | None = None) -> Figure:
        ours, peers = statistics.median(map(of, many)), statistics.median(map(of, few))
        return figure(f"{name}, {MANY:,} clips", ours, unit, peer=f"{FEW:,}", peer_value=peers, goal=goal)

    return [
        compared("start", "s", lambda one: one.start_s, START_GOAL),
        compared("start, processor time", "s", lambda one: one.start_cpu_s),
        compared("memory", "MB", lambda one: one.held_bytes / 1e6, FLAT_GOAL),
        compared("memory, peak", "MB", lambda one: one.peak_bytes / 1e6),
    ]


def _on_disk() -> Path:
    """A folder on a disk. Raises :class:`ToolError` where the usual ones are in memory."""
    wanted: Sequence[Path] = (Path(tempfile.gettempdir()), Path.cwd())
    for folder in wanted:
        if _file_system(folder) not in {"tmpfs", "ramfs", "overlay"}:
            return folder
    raise ToolError(
        f"bench spool: {' and '.join(map(str, wanted))} are no disk; let TMPDIR name a folder on one"
    )


def _file_system(folder: Path) -> str:
    """Its type, by the mount that it lies under."""
    parts = [
        one for one in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(one.mountpoint)
    ]
    return max(parts, key=lambda one: len(one.mountpoint)).fstype if parts else ""
