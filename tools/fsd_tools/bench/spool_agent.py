"""An agent in a process of its own that tells how long its start took, and what memory it has.

``python -m fsd_tools.bench.spool_agent CONFIG SECONDS`` prints one :class:`Measured` as JSON.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fsd_agent.adapters.process_use import process_use
from fsd_agent.daemon.agent import RunOptions
from fsd_agent.daemon.build import build_agent
from fsd_agent.daemon.config import load_config
from fsd_agent.ports.events import EventName, EventValue
from fsd_tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one agent; memory is resident, in bytes."""

    start_s: float
    """From the configuration to the first batch of samples: everything is recovered, and the loops run."""
    start_cpu_s: float
    """Processor time of that, all threads: what it takes however busy others are."""
    connected: bool
    """The region's broker was reached while it ran."""
    imported_bytes: int
    """Before anything was opened."""
    held_bytes: int
    """At the end of its run."""
    peak_bytes: int
    """The most since the process began."""


class _Watch:
    """Implements :class:`fsd_agent.ports.events.EventSink`: remembers when sensing began."""

    def __init__(self) -> None:
        self.sensing_s: tuple[float, float] | None = None
        """When sensing began, and what processor time was used by then."""
        self.connected = False

    def emit(self, event: EventName, /, **_fields: EventValue) -> None:
        """See the port."""
        if event == "progress" and self.sensing_s is None:
            self.sensing_s = time.perf_counter(), time.process_time()
        self.connected = self.connected or event == "connected"


def measure(config: Path, seconds: float) -> Measured:
    """Start, run for ``seconds`` and stop."""
    imported = process_use().resident_bytes
    watch, stop, held = _Watch(), threading.Event(), list[int]()
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    agent = build_agent(*load_config(config), events=watch, speed=None)

    def end() -> None:
        time.sleep(seconds)
        held.append(process_use().resident_bytes)
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    ended = agent.run(stop, RunOptions())
    if watch.sensing_s is None or not held:
        raise ToolError(f"the agent ended as {ended.name.lower()} before it was measured")
    start_s, start_cpu_s = watch.sensing_s[0] - begin_s, watch.sensing_s[1] - begin_cpu_s
    return Measured(start_s, start_cpu_s, watch.connected, imported, held[0], peak_bytes())


def peak_bytes() -> int:
    """Largest resident size of this process. Raises :class:`ToolError`."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ToolError("the kernel does not tell the peak memory (VmHWM)")


if __name__ == "__main__":
    print(msgspec.json.encode(measure(Path(sys.argv[1]), float(sys.argv[2]))).decode())
