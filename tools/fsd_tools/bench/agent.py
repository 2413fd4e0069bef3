"""The whole agent as a process on a generated drive: CPU and memory."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from fsd_agent.records.purpose import Purpose
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, peak_mb, this_machine
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.errors import ToolError
from fsd_tools.rig.processes import Child, fsdctl
from fsd_tools.rig.rig import AnyChild, Rig

VEHICLE, REGION = "car-bench", "cn"
WARM_S = 6.0
"""Imports, first allocations, campaigns and connection are over by then."""
MEASURE_S = 15.0
DRIVE_S = 20
PEER = "cantools and Python lambdas, frame by frame"
IDLE_CAMPAIGNS = 20
FIRING = ("pedestrian_crossing_ahead", "cyclist_overtaken_close")


@dataclass(frozen=True, slots=True)
class Use:
    """What a process used."""

    cpu_share: float
    """Of one core, over the measured seconds."""
    peak_mb: float
    """Largest resident size since its start, in 10^6 bytes."""


def bench_agent(rounds: int, progress: Progress) -> BenchResult:
    """Run `fsd-agent` in real time on a looped generated drive and read the kernel's accounts of the process.

    The drive: one 1280x960 camera at 20 fps (VP9), about 2,000 CAN frames/s, the driving computer's detections at
    10 Hz, GNSS. Replaying it (reading the file, pacing) is part of what is measured. *Steady state* is 20 campaigns
    over signals and detections that are evaluated all the time and never come true; *at work* is two campaigns that
    fire, so that capture, redaction, encoding, sealing and delivery are in it. After a warm-up of 6 s, CPU time is
    taken over 15 s; memory is the peak resident size since the start. The peer, run in turns with ours, only decodes
    the same CAN frames one by one with cantools and evaluates 20 Python lambdas on each change: no video, no ring, no
    detections, no delivery.
    """
    with tempfile.TemporaryDirectory(prefix="fsd-bench-") as folder:
        root = Path(folder)
        progress("rendering the drive")
        drive = _drive(root)
        steady: list[Use] = []
        peer: list[Use] = []
        for turn in range(rounds):
            progress(f"steady state, round {turn + 1} of {rounds}")
            steady.append(_agent(root / f"steady-{turn}", drive, _idle_campaigns(root)))
            progress(f"peer, round {turn + 1} of {rounds}")
            peer.append(_peer(root / f"peer-{turn}", drive))
        progress("at work")
        work = _agent(root / "work", drive, _firing_campaigns(root))
    return BenchResult("agent", this_machine(), _figures(steady, peer, work))


def _figures(steady: Sequence[Use], peer: Sequence[Use], work: Use) -> tuple[Figure, ...]:
    def median(uses: Sequence[Use], field: str) -> float:
        return statistics.median(float(getattr(use, field)) for use in uses)

    return (
        figure(
            "steady state, CPU",
            100 * median(steady, "cpu_share"),
            "% of a core",
            peer=PEER,
            peer_value=100 * median(peer, "cpu_share"),
            goal=Goal("<=", 15, of="value"),
        ),
        figure(
            "steady state, peak memory",
            median(steady, "peak_mb"),
            "MB",
            peer=PEER,
            peer_value=median(peer, "peak_mb"),
            goal=Goal("<=", 200, of="value"),
        ),
        figure("at work, CPU", 100 * work.cpu_share, "% of a core"),
        figure("at work, peak memory", work.peak_mb, "MB"),
    )


def _drive(root: Path) -> Path:
    drive = root / "city.mcap"
    fsdctl(
        "drive", "generate", "-o", drive, "--seconds", str(DRIVE_S), "--seed", "3",
        "--width", "1280", "--height", "960", "--fps", "20",
        timeout_s=300,
    )  # fmt: skip
    return drive


def _firing_campaigns(root: Path) -> tuple[Path, ...]:
    """As shipped, but that each clip counts: the drive is looped, and what comes again would be left out."""
    paths = []
    for name in FIRING:
        lines = (FAMILIES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        path = root / f"{name}.yaml"
        kept = [line for line in lines if not line.startswith("selection:")]
        path.write_text("\n".join([*kept, "selection: {novelty: off}", ""]), encoding="utf-8")
        paths.append(path)
    return tuple(paths)


def _idle_campaigns(root: Path) -> tuple[Path, ...]:
    """Twenty conditions over changing signals and detections that never come true on a city street."""
    folder = root / "campaigns"
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(IDLE_CAMPAIGNS):
        condition = (
            f"Vehicle.Speed > {200 + number}.0 && Vehicle.Acceleration.Longitudinal < -{number}.5"
            if number % 2
            else f'detections.exists(d, d.kind == "pedestrian" && d.distance_m < 0.{number + 1:02d}) '
            f"&& Vehicle.Speed > {200 + number}.0"
        )
        path = folder / f"idle_{number:02d}.yaml"
        path.write_text(
            f"id: idle_{number:02d}\npurpose: diagnostics\ndescription: bench\ncondition: '{condition}'\n"
            "capture: {before: 3s, after: 3s, cameras: [front], signals: [Vehicle.Speed]}\n"
            "valid: {from: 2020-01-01T00:00:00Z, until: 2100-01-01T00:00:00Z}\n",
            encoding="utf-8",
        )
        paths.append(path)
    return tuple(paths)


def _agent(root: Path, drive: Path, campaigns: Sequence[Path]) -> Use:
    with Rig(root) as rig:
        rig.add_region(REGION, ["CN"])
        rig.add_vehicle(
            VEHICLE, "CN", [REGION], {"firmware": {"source": f"drive:{drive}", "speed": "real", "loop": True}}
        )
        rig.consent(VEHICLE, give=[Purpose.DIAGNOSTICS, Purpose.SAFETY, Purpose.AUTOMATED_DRIVING])
        rig.serve(REGION)
        rig.push(REGION, campaigns, drive=drive)
        return _measure(rig.start_agent(VEHICLE, "--wait-for-campaigns", "30"))


def _peer(root: Path, drive: Path) -> Use:
    argv = [sys.executable, "-m", "fsd_tools.bench.naive", str(drive), str(WARM_S + MEASURE_S + 30)]
    return _measure(Child("peer", argv, log=root / "peer.log"))


def _measure(child: AnyChild) -> Use:
    process = psutil.Process(child.pid)
    try:
        time.sleep(WARM_S)
        before, began = _cpu_s(process), time.monotonic()
        time.sleep(MEASURE_S)
        after, ended = _cpu_s(process), time.monotonic()
        peak = peak_mb(child.pid)
    except psutil.Error as error:
        raise ToolError(f"{child.name} ended while it was measured:\n{child.log_tail()}") from error
    finally:
        child.stop()
    return Use((after - before) / (ended - began), peak)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
