"""Many vehicles whose power is cut, some beside each other, and what they came to together."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.rig import FORKED, Rig
from hil_tests.account import Stored
from hil_tests.powercut.life import Cut, Life, Outcome
from hil_tests.powercut.terms import Lie

REGION = "cn"
JURISDICTION = "CN"
CUTS_A_VEHICLE = 40
"""Few, so that many vehicles make their first keys, journal and ledger under cuts."""


@dataclass(slots=True)
class Report:
    """What it came to."""

    vehicles: int = 0
    lives: int = 0
    cuts: list[Cut] = field(default_factory=list)
    fate: Counter[str] = field(default_factory=Counter)
    firings: int = 0
    clips: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    in_ledger_alone: int = 0
    wrong: dict[int, list[str]] = field(default_factory=dict)
    """By the vehicle's seed."""
    seconds: float = 0.0

    def add(self, one: Outcome) -> None:
        """One vehicle more."""
        self.vehicles += 1
        self.lives += one.lives
        self.cuts += one.cuts
        self.fate.update(one.fate)
        self.firings += one.account.firings
        self.clips += one.account.clips
        self.dropped.update(one.account.dropped)
        self.in_ledger_alone += one.account.in_ledger_alone
        if one.wrong:
            self.wrong[one.seed] = one.wrong


class Fleet:
    """A region that is up, and vehicles that drive to it one after the other. Close it to end the region."""

    def __init__(self, root: Path, drive: Path, campaigns: Sequence[Path]) -> None:
        self._forks = Forks(*FORKED)
        self._rig = Rig(root, forks=self._forks)
        self._drive = drive
        self._stored = Stored()
        self._enrolling = threading.Lock()
        self._vehicles = 0
        try:
            self._rig.add_region(REGION, [JURISDICTION])
            self._rig.serve(REGION, on_event=self._stored.hear)
            self._rig.push(REGION, campaigns, drive=drive)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End every process."""
        self._rig.close()
        self._forks.close()

    def journey(self, seed: int, cuts: int, *, lie: Lie = Lie.NONE) -> Outcome:
        """A new vehicle, its cuts, and its account. From any thread."""
        with self._enrolling:
            self._vehicles += 1
            vehicle = f"car-{self._vehicles}"
            self._rig.add_vehicle(
                vehicle, JURISDICTION, [REGION],
                {"firmware": {"source": f"drive:{self._drive}", "speed": "max"}},
            )  # fmt: skip
            self._rig.consent(vehicle, give=ALL_PURPOSES)
        return Life(self._rig, REGION, vehicle, self._stored, self._forks, seed=seed, lie=lie).play(cuts)


def travel(
    fleet: Fleet,
    seeds: Sequence[int],
    cuts: int,
    *,
    jobs: int,
    say: Callable[[str], None],
    lie: Lie = Lie.NONE,
) -> Report:
    """A vehicle for each seed, ``cuts`` in all, ``jobs`` of them beside each other; ends early where something is wrong."""
    began, report = time.monotonic(), Report()
    bounds = [cuts * number // len(seeds) for number in range(len(seeds) + 1)]
    waiting = [(seed, bounds[n + 1] - bounds[n]) for n, seed in enumerate(seeds)]
    taking = threading.Lock()

    def drive() -> None:
        while True:
            with taking:
                if not waiting or report.wrong:
                    return
                seed, share = waiting.pop(0)
            outcome = fleet.journey(seed, share, lie=lie)
            with taking:
                report.add(outcome)
                report.seconds = time.monotonic() - began
                say(_line(outcome, report, cuts))

    with ThreadPoolExecutor(jobs) as pool:
        for job in [pool.submit(drive) for _ in range(jobs)]:
            job.result()
    return report


def _line(outcome: Outcome, report: Report, cuts: int) -> str:
    done = len(report.cuts)
    return (
        f"{done} of {cuts} cuts, {done / report.seconds:.2f} a second; vehicle {outcome.seed}: "
        f"{len(outcome.cuts)} cuts in {outcome.lives} lives, {outcome.account.firings} firings, "
        f"{'; '.join(outcome.wrong) or 'nothing lost'}"
    )
