"""Many schedules in one world: what they came to together, and the shortest failing ones."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hil_tests.wire.agent import AgentProcess
from hil_tests.wire.cars import Car
from hil_tests.wire.moves import Schedule, schedule
from hil_tests.wire.play import Outcome, look, play
from hil_tests.wire.shorten import shorten
from hil_tests.wire.watch import Cell, Phase, Watch
from hil_tests.wire.world import World

TELL_EVERY_S = 15.0
SETTLE_S = 5.0
"""For packets that are counted and not captured yet: the end of a connection may take a moment."""
LAST_WORDS = Phase("nobody", frozenset(), frozenset(), frozenset())
"""Nothing is allowed any more: what still comes belongs to what was opened before."""
FAILURES_MAX = 3
"""Further ones would only take the time of shortening them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that fails, cut down to what it takes."""

    seed: int
    moves: tuple[tuple[str | int, ...], ...]
    egress: bool
    named: bool
    wrong: tuple[str, ...]
    journey: bool = False
    """It was played by the real agent."""


@dataclass(slots=True)
class Report:
    """What many schedules came to."""

    schedules: int = 0
    journeys: int = 0
    """Of them, by the real agent in its own process."""
    with_egress: int = 0
    moves: Counter[str] = field(default_factory=Counter)
    clips: int = 0
    delivered: int = 0
    told: int = 0
    """Firings that regions were told of by themselves."""
    connections: int = 0
    matrix: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    """Packets from the vehicle by region, as the kernels counted them."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    """What was left out."""

    def __add__(self, other: Report) -> Report:
        matrix: defaultdict[tuple[str, str, str], Cell] = defaultdict(Cell)
        for one in (self, other):
            for key, cell in one.matrix.items():
                matrix[key].add(cell)
        return Report(
            self.schedules + other.schedules,
            self.journeys + other.journeys,
            self.with_egress + other.with_egress,
            self.moves + other.moves,
            self.clips + other.clips,
            self.delivered + other.delivered,
            self.told + other.told,
            self.connections + other.connections,
            dict(matrix),
            self.failures + other.failures,
            self.counted + other.counted,
            max(self.seconds, other.seconds),
            sorted({*self.notes, *other.notes}),
        )

    def as_json(self) -> dict[str, Any]:
        """For :meth:`from_json`."""
        return {
            "numbers": [
                self.schedules,
                self.journeys,
                self.with_egress,
                self.clips,
                self.delivered,
                self.told,
                self.connections,
            ],
            "seconds": self.seconds,
            "notes": self.notes,
            "moves": self.moves,
            "counted": self.counted,
            "matrix": [
                [*key, cell.packets, cell.bytes, cell.connections, cell.secret_bytes]
                for key, cell in self.matrix.items()
            ],
            "failures": [
                [one.seed, one.moves, one.egress, one.named, one.wrong, one.journey] for one in self.failures
            ],
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """What :meth:`as_json` gave."""
        schedules, journeys, with_egress, clips, delivered, firings, connections = told["numbers"]
        return cls(
            schedules,
            journeys,
            with_egress,
            Counter(told["moves"]),
            clips,
            delivered,
            firings,
            connections,
            {(table, row, region): Cell(*cell) for table, row, region, *cell in told["matrix"]},
            [Failure(seed, tuple(map(tuple, moves)), *rest) for seed, moves, *rest in told["failures"]],
            Counter(told["counted"]),
            told["seconds"],
            told["notes"],
        )


def explore(
    seeds: Sequence[int],
    *,
    say: Callable[[str], None],
    verbose: bool = False,
    drive: Path | None = None,
    journeys: Sequence[int] = (),
) -> Report:
    """Play the schedules of ``seeds`` in a world of their own, and those of ``journeys`` by the real agent.

    ``drive`` is what the real agent drives.
    """
    began = time.monotonic()
    with World() as world:
        report = explore_in(world, seeds, say=say, verbose=verbose)
        if drive is not None and not report.failures:
            car = AgentProcess(world, drive)
            driven = explore_in(world, journeys, say=say, verbose=verbose, car=car)
            driven.journeys = driven.schedules
            report += driven
        if world.clock.why_not is not None:
            report.notes.append(world.clock.why_not)
    report.seconds = time.monotonic() - began
    return report


def explore_in(
    world: World,
    seeds: Sequence[int],
    *,
    say: Callable[[str], None],
    verbose: bool = False,
    car: Car | None = None,
    broken: str = "",
    knocked: bool = False,
    failures_max: int = FAILURES_MAX,
) -> Report:
    """The same in a world that is there; see :class:`.play.Player` for ``car``, ``broken`` and ``knocked``."""
    report, watch = Report(), Watch(world.car.address, world.memory)
    before = _quiet(world)
    began = told = time.monotonic()
    for seed in seeds:
        plan = schedule(seed)
        outcome = play(world, watch, plan, car=car, broken=broken, knocked=knocked)
        _count(report, plan, outcome)
        if verbose:
            say("\n".join(outcome.log))
        if outcome.wrong:
            say(f"schedule {seed} fails: {outcome.wrong[0]}; shortening it")
            report.failures.append(_shortest(world, car, plan, broken=broken, knocked=knocked))
            if len(report.failures) >= failures_max:
                break
        now = time.monotonic()
        if now - told >= TELL_EVERY_S:
            told = now
            rate = report.schedules / (now - began)
            say(
                f"{report.schedules} of {len(seeds)} schedules, {rate:.1f} a second, {report.delivered} clips"
            )
    report.matrix = dict(watch.matrix)
    report.seconds = time.monotonic() - began
    _compare(report, world, watch, before)
    return report


def _quiet(world: World) -> dict[str, int]:
    """What the kernels have counted, with every capture empty."""
    discarded = Watch(world.car.address, world.memory)
    while True:
        counted = world.counted()
        look(world, discarded, LAST_WORDS)
        if world.counted() == counted:
            return counted


def _count(report: Report, plan: Schedule, outcome: Outcome) -> None:
    report.schedules += 1
    report.with_egress += plan.egress
    report.moves.update(str(move[0]) for move in plan.moves)
    report.clips += outcome.clips
    report.delivered += outcome.delivered
    report.told += outcome.told
    report.connections += outcome.connections


def _shortest(world: World, car: Car | None, plan: Schedule, *, broken: str, knocked: bool) -> Failure:
    wrong: tuple[str, ...] = ()

    def fails(candidate: Schedule) -> bool:
        nonlocal wrong
        found = play(
            world, Watch(world.car.address, world.memory), candidate, car=car, broken=broken, knocked=knocked
        ).wrong
        wrong = tuple(found) or wrong
        return bool(found)

    short = shorten(plan, fails)
    return Failure(plan.seed, short.moves, plan.egress, plan.named, wrong, journey=car is not None)


def _compare(report: Report, world: World, watch: Watch, before: dict[str, int]) -> None:
    """The kernel's counters and the captures are two accounts of the same packets."""
    end_s = time.monotonic() + SETTLE_S
    while True:
        after = world.counted()
        report.counted = Counter({region: after[region] - before[region] for region in after})
        look(world, watch, LAST_WORDS)
        if report.failures:
            return  # Shortening has played more than the watch has seen
        if report.counted == Counter(watch.packets):  # a Counter: none is zero
            break
        if time.monotonic() > end_s:
            raise AssertionError(f"the kernels counted {report.counted}, captured were {dict(watch.packets)}")
    if watch.unjudged():
        raise AssertionError(f"{watch.unjudged()} bytes of unfinished records where there should be none")
    if watch.wrong:
        raise AssertionError(f"after the last schedule: {watch.wrong[0]}")
