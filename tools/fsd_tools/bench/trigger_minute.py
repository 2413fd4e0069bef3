"""The core of the agent alone on a drive in real time: receive, decode, conditions, and nothing else.

Run as ``python -m fsd_tools.bench.trigger_minute DRIVE CAMPAIGNS TICK_MS``, ``CAMPAIGNS`` being a file with a campaign
set as the vehicle receives it. Ticks of the drive are taken when as much time has passed as lies between the drive's
start and the tick's end. Prints one JSON object, :class:`Measured`.

The recording is read and unpacked before the clock runs: a car has no file to read. What stands for receiving is a tick's frames
cut from columns in memory and listed as numbers.

A process of its own, because nothing of the tools may count as the core's memory; on one processor, as an integrator would
keep it away from the driving stack: one that wanders finds every cache cold.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import msgspec
import psutil

from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.wire.campaigns import decode_set
from fsd_firmware.can.decoder import Decoder
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.ticks import in_ticks
from fsd_firmware.samples import SensedBatch, merge_signals


class Measured(msgspec.Struct, frozen=True):
    """What the process used, and how late it was."""

    cpu_s: list[float]
    """Of each tick, the waiting for it included."""
    wall_s: float
    rss_mb: float
    """At the end, in 10^6 bytes."""
    frames: int
    latency_ms: list[float]
    """Of each firing: from the arrival of the frame that made it to the firing in hand."""
    late_ms: float
    """The most that a tick was begun too late."""
    suspended: dict[str, str]


def main(argv: list[str]) -> None:
    """Play the drive once."""
    path, campaigns, tick_ms = Path(argv[0]), Path(argv[1]), int(argv[2])
    reader = DriveReader(path)
    description = reader.description
    engine = TriggerEngine(description.catalogue)
    engine.set_campaigns(decode_set(campaigns.read_bytes()))
    if description.signal_table is None:
        raise SystemExit(f"{path}: the drive has no signal table")
    decoder = Decoder(description.signal_table)
    ticks = in_ticks(list(reader.chunks()), tick_ms * 1_000_000)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    latency_ms: list[float] = []
    cpu_s: list[float] = []
    frames, late_ns, offset_ns = 0, 0, None
    began_s, spent_s = time.monotonic(), time.process_time()
    for batch in ticks:
        if offset_ns is None:
            offset_ns = time.monotonic_ns() - (batch.until_ns - tick_ms * 1_000_000)
        ahead_ns = batch.until_ns + offset_ns - time.monotonic_ns()
        if ahead_ns > 0:
            time.sleep(ahead_ns / 1e9)
        late_ns = max(late_ns, time.monotonic_ns() - batch.until_ns - offset_ns)
        frames += len(batch.can)
        fired_ns = _advance(engine, decoder, batch)
        now_ns = time.monotonic_ns() - offset_ns
        latency_ms += [(now_ns - t_ns) / 1e6 for t_ns in fired_ns]
        before_s, spent_s = spent_s, time.process_time()
        cpu_s.append(spent_s - before_s)
    measured = Measured(
        cpu_s,
        time.monotonic() - began_s,
        psutil.Process().memory_info().rss / 1e6,
        frames,
        latency_ms,
        late_ns / 1e6,
        engine.suspended(),
    )
    print(msgspec.json.encode(measured).decode())


def _advance(engine: TriggerEngine, decoder: Decoder, batch: SensedBatch) -> list[int]:
    """Times of the firings that come of it."""
    signals = merge_signals(decoder.decode(batch.can), batch.signals)
    return [firing.t_ns for firing in engine.advance_batch(batch, signals)]


if __name__ == "__main__":
    main(sys.argv[1:])
