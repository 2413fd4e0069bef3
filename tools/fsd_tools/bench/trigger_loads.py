"""Loads for ``fsdctl bench triggers``: signals, conditions over them, and the lambdas that they are compared with.

The bus of the comma2k19 minute brings 2,258 frames a second; so many samples a second come here, each of another
signal than the one before. *Smooth* signals are what a vehicle measures: movements over ten seconds to a minute through
a part of their range, with a little noise, no sample equal to the last. Thresholds lie anywhere in the range. With
two hundred on either of two signals about one sample in thirty crosses one; with four on each of a hundred signals
one in a hundred. *White* signals jump anywhere with every sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsd_agent.records.campaign import LIMITS, Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.triggers.detections.looks import Looks
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.rules.triggers.force import Force, Member
from fsd_agent.rules.triggers.signals.state import SignalState
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import Signals
from fsd_tools.campaign.compiler import compile_condition

SAMPLES_PER_S: Final = 2258
FIRST: Final = range(1)
"""The second before the clock runs: all conditions are evaluated for the first time there."""
SMOOTH_S: Final = 60
"""Timed seconds of smooth signals: at ten, a turn of ours would be over in two milliseconds, most of them spent on
caches that the lambdas' turn has filled."""
WHITE_S: Final = 10
CONDITIONS: Final = 200
MIDDLE: Final = 100.0
"""Of the range of every signal, which is 0 to 200."""
SWINGS: Final = (20.0, 90.0)
NOISE: Final = 0.0005
"""Of the swing."""
REGION: Final = "bench"

Rise = tuple[int, int]
"""Time and condition."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``a > x && b > y``."""

    a: int
    x: float
    b: int
    y: float


@dataclass(frozen=True, slots=True)
class Load:
    """Samples and the conditions over them."""

    signals: int
    samples: Signals
    comparisons: tuple[Comparison, ...]
    timed: range
    """The seconds that the clock runs for."""
    once: bool
    """Each condition fires at its first rise only: where they rise with every other sample, firings are all there is."""

    def batches(self, size: int, seconds: range) -> list[tuple[Signals, int]]:
        """The samples of some seconds in batches of ``size``, each with the instant that it ends before."""
        t_ns, row, value = self.samples.t_ns, self.samples.signal, self.samples.value
        cuts = range(seconds.start * SAMPLES_PER_S, seconds.stop * SAMPLES_PER_S, size)
        parts = [Signals(t_ns[at : at + size], row[at : at + size], value[at : at + size]) for at in cuts]
        return [(part, int(part.t_ns[-1]) + 1) for part in parts]

    def asked(self) -> int:
        """How many conditions read a sample's signal, over all samples that are timed."""
        readers = np.zeros(self.signals, np.int64)
        for one in self.comparisons:
            readers[[one.a, one.b]] += 1
        return int(readers[self.samples.signal[self.timed.start * SAMPLES_PER_S :]].sum())


def make_load(signals: int, *, smooth: bool) -> Load:
    """The same at every call."""
    rng = np.random.default_rng(signals)
    timed = range(FIRST.stop, FIRST.stop + (SMOOTH_S if smooth else WHITE_S))
    count = timed.stop * SAMPLES_PER_S
    t_ns = np.arange(count, dtype=np.int64) * (1_000_000_000 // SAMPLES_PER_S)
    row = (np.arange(count) % signals).astype(np.int32)
    if smooth:
        period_s, phase = rng.uniform(10, 60, signals), rng.uniform(0, 2 * np.pi, signals)
        turn = 2 * np.pi * t_ns / 1e9 / period_s[row] + phase[row]
        swing = rng.uniform(*SWINGS, signals)[row]
        value = MIDDLE + swing * (np.sin(turn) + rng.normal(0, NOISE, count))
    else:
        value = rng.uniform(0, 2 * MIDDLE, count)
    pairs = [(2 * number % signals, (2 * number + 1) % signals) for number in range(CONDITIONS)]
    limits = rng.uniform(0, 2 * MIDDLE, (CONDITIONS, 2)).tolist()
    comparisons = tuple(Comparison(a, x, b, y) for (a, b), (x, y) in zip(pairs, limits, strict=True))
    return Load(signals, Signals(t_ns, row, value), comparisons, timed, once=not smooth)


def engine_of(load: Load) -> TriggerEngine:
    """The engine with a campaign for each condition."""
    catalogue, campaigns = _campaigns(load)
    engine = TriggerEngine(catalogue)
    engine.set_campaigns(campaigns)
    return engine


def _campaigns(load: Load) -> tuple[Catalogue, CampaignSet]:
    entries = [
        CatalogueEntry(f"Vehicle.S{row}", "double", "", 0.0, 2 * MIDDLE, "") for row in range(load.signals)
    ]
    catalogue = Catalogue(tuple(entries))
    sources = [f"Vehicle.S{one.a} > {one.x!r} && Vehicle.S{one.b} > {one.y!r}" for one in load.comparisons]
    return catalogue, campaigns_of(sources, catalogue, LIMITS.cooldown_ns if load.once else 0)


def campaigns_of(sources: Sequence[str], catalogue: Catalogue, cooldown_ns: int = 0) -> CampaignSet:
    """A campaign for each condition, by number, without any other gate."""
    campaigns = [
        Campaign(
            id=f"{number:03d}",
            version=1,
            purpose=Purpose.DIAGNOSTICS,
            description="measuring",
            region_id=REGION,
            source=source,
            program=compile_condition(source, catalogue, ()),
            hold_ns=0,
            cooldown_ns=cooldown_ns,
            capture=CaptureSpec(1_000_000_000, 0, (), ()),
            budget=Budget(None, None),
            sample_ratio=1.0,
            priority=0,
            valid_from_wall_ns=0,
            valid_until_wall_ns=2**62,
        )
        for number, source in enumerate(sources)
    ]
    return CampaignSet(REGION, 1, tuple(campaigns))


def run_engine(engine: TriggerEngine, batches: Sequence[tuple[Signals, int]]) -> list[Rise]:
    """Every batch through the engine's one entrance."""
    rises: list[Rise] = []
    for signals, until_ns in batches:
        for firing in engine.advance(signals, (), until_ns=until_ns, wall_minus_mono_ns=0):
            rises.append((firing.t_ns, int(firing.campaign_id)))  # noqa: PERF401 - as the peer does
    return rises


class Conditions:
    """The conditions alone, as the engine evaluates them: from samples to rises."""

    def __init__(self, load: Load) -> None:
        catalogue, campaigns = _campaigns(load)
        self._signals = SignalState(catalogue)
        members = [Member(one, 1) for one in campaigns.campaigns]
        self._force = Force(members, catalogue, self._signals, None)

    def run(self, batches: Sequence[tuple[Signals, int]]) -> list[Rise]:
        """Every batch, as the engine takes it up."""
        rises: list[Rise] = []
        for signals, until_ns in batches:
            samples = self._signals.samples(signals, until_ns)
            found = self._force.evaluate(samples, None, _no_looks, until_ns)
            rises += [(t_ns, at) for at, t_ns, true in found.changes if true]
            for part in found.parts:
                rose = part.true
                rises += zip(part.t_ns[rose].tolist(), part.campaign[rose].tolist(), strict=True)
            self._signals.store(samples)
        return rises


def _no_looks() -> Looks:
    raise AssertionError("no condition of this load looks at detections")


class Lambdas:
    """What one would write by hand: for each sample, a call of each condition that reads its signal."""

    def __init__(self, load: Load) -> None:
        self._newest = [float("nan")] * load.signals
        self._readers: list[list[tuple[int, Callable[[Sequence[float]], bool]]]] = [
            [] for _ in range(load.signals)
        ]
        for number, one in enumerate(load.comparisons):
            for row in (one.a, one.b):
                self._readers[row].append((number, _lambda(one)))
        self._is_true = [False] * len(load.comparisons)
        self._rests = [False] * len(load.comparisons)
        self._once = load.once

    def run(self, batches: Sequence[tuple[Signals, int]]) -> list[Rise]:
        """Every batch, a sample at a time."""
        newest, readers, is_true, rests = self._newest, self._readers, self._is_true, self._rests
        rises: list[Rise] = []
        for signals, _ in batches:
            columns = signals.t_ns.tolist(), signals.signal.tolist(), signals.value.tolist()
            for t_ns, row, value in zip(*columns, strict=True):
                newest[row] = value
                for number, condition in readers[row]:
                    now = condition(newest)
                    if now is not is_true[number]:
                        is_true[number] = now
                        if now and not rests[number]:
                            rises.append((t_ns, number))
                            rests[number] = self._once
        return rises


def _lambda(one: Comparison) -> Callable[[Sequence[float]], bool]:
    a, b, x, y = one.a, one.b, one.x, one.y
    return lambda v: v[a] > x and v[b] > y


def mixed_conditions(values: Mapping[str, Sequence[float]], count: int) -> list[str]:
    """Conditions of all kinds over real signals: ``values`` has values of each, from which thresholds are taken."""
    return [source for _, source in zip(range(count), _mixed(values), strict=False)]


def _mixed(values: Mapping[str, Sequence[float]]) -> Iterator[str]:
    rng = np.random.default_rng(0)
    paths = sorted(values)

    def limit(path: str) -> str:
        return f"{float(rng.choice(values[path])):.6f}"

    while True:
        for kind in _KINDS:
            a, b = rng.choice(paths, 2, replace=False).tolist()
            yield kind.format(a=a, b=b, x=limit(a), y=limit(b))


_COMPARISONS: Final = (
    "{a} > {x} && {b} > {y}",
    "{a} > {x} || {b} < {y}",
    "!({a} <= {x}) && {b} != {y}",
    "{a} > {x} && {b} < {y}",
)
_KINDS: Final = (
    *_COMPARISONS * 3,
    "{a} - {x} > ({b} - {y}) / 2.0",
    "previous({a}) < {x} && {a} >= {x}",
    'held({a} > {x}, "200ms")',
    "rose({a} > {x}) && {b} > {y}",
    'rate({a}, "500ms") > 0.0 && {a} > {x}',
    'max_over({a}, "2s") - min_over({a}, "2s") > 0.5 && {b} > {y}',
    'mean_over({a}, "1s") > {x}',
    'count_over({a} > {x}, "5s") >= 2',
)
"""Of twenty, twelve compare, one calculates and seven look back."""
