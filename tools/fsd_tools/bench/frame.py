"""What every benchmark gives: figures against a peer that was measured in the same run.

Machines differ and shared ones are noisy, so an absolute number says little: ours and the peer run in turns,
round by round, and medians are compared. ``ratio`` is always ``value / peer_value``; whether more or less is
better is said by the goal. As JSON::

    {"bench": ..., "machine": {...}, "figures": [{"name", "value", "unit", "peer", "peer_value", "ratio",
     "goal", "met"}]}

What doesn't apply is null.
"""

from __future__ import annotations

import gc
import importlib.metadata
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from fsd_tools.errors import ToolError

LIBRARIES = (
    "numpy",
    "onnxruntime",
    "cantools",
    "cryptography",
    "mcap",
    "paho-mqtt",
    "av",
    "opencv-python-headless",
)
"""Whose versions move the figures."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should reach."""

    op: Literal[">=", "<="]
    limit: float
    of: Literal["ratio", "value"] = "ratio"

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether a figure reaches it. A goal on a ratio that there isn't is missed."""
        measured = ratio if self.of == "ratio" else value
        if measured is None:
            return False
        return measured >= self.limit if self.op == ">=" else measured <= self.limit

    def __str__(self) -> str:
        return f"{self.of} {self.op} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing; made by :func:`figure`."""

    name: str
    value: float
    unit: str
    peer: str | None
    peer_value: float | None
    ratio: float | None
    goal: str | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    libraries: dict[str, str]


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What a benchmark returns."""

    bench: str
    machine: Machine
    figures: tuple[Figure, ...]

    def to_json(self) -> bytes:
        """As printed by ``fsdctl bench NAME --json``."""
        return msgspec.json.encode(self)

    @property
    def missed(self) -> tuple[Figure, ...]:
        """Figures that don't reach their goal."""
        return tuple(one for one in self.figures if one.met is False)


Progress = Callable[[str], None]
"""Told what is being measured now."""
BenchFunction = Callable[[int, Progress], BenchResult]
"""Takes rounds and progress. Its docstring is the method that the report prints."""


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    peer: str | None = None,
    peer_value: float | None = None,
    goal: Goal | None = None,
) -> Figure:
    """A figure with its ratio and verdict."""
    ratio = value / peer_value if peer_value else None
    met = goal.met(value, ratio) if goal else None
    return Figure(name, value, unit, peer, peer_value, ratio, str(goal) if goal else None, met)


def interleaved(
    rounds: int, contenders: Mapping[str, Callable[[], object]], *, turn_s: float = 0.0
) -> dict[str, float]:
    """Median seconds of processor time a call of each contender, run in turns in this process.

    One round is not counted (caches, lazy set-up). Every second round goes in reverse order, so that drift of
    the machine hits all alike. The garbage collector rests during a turn. A turn is one call, or as many as last for
    ``turn_s``: where one contender takes a millisecond and another a hundred, the first would else be measured on what
    the other left in the caches, and the other on its own.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    calls = dict.fromkeys(contenders, 1)
    for turn in range(rounds + 1):
        order = list(contenders) if turn % 2 else list(reversed(list(contenders)))
        for name in order:
            spent = seconds_of(contenders[name], calls[name])
            if turn:
                seconds[name].append(spent)
            else:
                calls[name] = max(1, math.ceil(turn_s / max(spent, 1e-6)))
    return {name: statistics.median(spent) for name, spent in seconds.items()}


def seconds_of(call: Callable[[], object], calls: int = 1) -> float:
    """Seconds of processor time a call, all threads, without garbage collection inside.

    Not wall time: on a shared machine that says how busy others are.
    """
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        for _ in range(calls):
            call()
        return (time.process_time() - start) / calls
    finally:
        gc.enable()


def this_machine() -> Machine:
    """Facts about where this runs."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries=versions,
    )


def peak_mb(pid: int) -> float:
    """Largest resident size of a process, in 10^6 bytes. Not what getrusage(2) tells: that counts who it was forked from."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ToolError("the kernel does not tell the peak memory (VmHWM)")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
