"""Every benchmark by name. A benchmark is imported when it is run, so that one's needs are no other's."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass

from fsd_tools.bench.frame import BenchFunction
from fsd_tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark."""

    name: str
    target: str
    """``module:function``, a :data:`BenchFunction`."""
    summary: str

    def load(self) -> BenchFunction:
        """Import it. Raises :class:`ToolError` naming what is missing."""
        module, _, function = self.target.partition(":")
        try:
            loaded: BenchFunction = getattr(importlib.import_module(module), function)
        except ModuleNotFoundError as error:
            raise ToolError(f"bench {self.name}: {error.name} isn't installed") from None
        return loaded


BENCHES = {
    bench.name: bench
    for bench in (
        Bench(
            "agent",
            "fsd_tools.bench.agent:bench_agent",
            "CPU and memory of the whole agent on a generated drive",
        ),
        Bench(
            "check",
            "fsd_tools.bench.check:bench_check",
            "how many planted misses the checkers of redacted clips find, and false alarms",
        ),
        Bench(
            "confirm",
            "fsd_tools.bench.confirm:bench_confirm",
            "planted false hits that a second look throws out, and true ones that it keeps",
        ),
        Bench("decode", "fsd_tools.bench.decode:bench_decode", "CAN frames to samples, against cantools"),
        Bench(
            "detect", "fsd_tools.bench.detect:bench_detect", "pictures to boxes, against the zoo's pipeline"
        ),
        Bench("heads", "fsd_tools.bench.heads:bench_heads", "many trigger heads on one picture's features"),
        Bench(
            "selection",
            "fsd_tools.bench.selection:bench_selection",
            "true clips in a budget, against fixed intervals and any pedestrian",
        ),
        Bench(
            "novelty",
            "fsd_tools.bench.novelty:bench_novelty",
            "what a drive costs that is repeated, and what different drives lose to it",
        ),
        Bench(
            "quality",
            "fsd_tools.bench.quality:bench_quality",
            "which good and which spoilt clips the verdict on quality throws away",
        ),
        Bench(
            "redact",
            "fsd_tools.bench.redact:bench_redact",
            "what redaction covers and fills on street pictures, against one pass and a face detector",
        ),
        Bench(
            "spool",
            "fsd_tools.bench.spool:bench_spool",
            "durable ingest against a plain write and fsync; memory and start with 50,000 clips",
        ),
        Bench(
            "triggers",
            "fsd_tools.bench.triggers:bench_triggers",
            "conditions, against plain lambdas, and the real minute in real time",
        ),
        Bench(
            "uplink",
            "fsd_tools.bench.uplink:bench_uplink",
            "clips to the region, against a C client, on a slow link, and through cuts",
        ),
    )
}


def find_bench(name: str) -> Bench:
    """Raises :class:`ToolError` naming those there are."""
    if name not in BENCHES:
        raise ToolError(f"no benchmark named {name!r}; there are: {', '.join(BENCHES)}")
    return BENCHES[name]


def method_of(bench: Bench) -> str:
    """How it measures: the docstring of its function."""
    return inspect.getdoc(bench.load()) or bench.summary
