"""All mutants of one file, tried one after the other or several at once, until each has a verdict."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hil_tests.mutation.mutants import Mutant
from hil_tests.mutation.trial import Trial, Verdict, start, stop, verdict_of

PATIENCE = 4.0
"""How many times as long as without a mutant the tests may take, in processor time..."""
PATIENCE_S = 5.0
"""...and this on top."""
WALL_S = 300.0
"""For a mutant that waits for ever instead of working for ever."""


class CourtError(Exception):
    """Nothing can be tried: the tests fail as things are."""


@dataclass(frozen=True, slots=True)
class Case:
    """One file with its tests."""

    module: str
    source: bytes
    tests: Sequence[str]


@dataclass(slots=True)
class _Open:
    """A trial that goes on."""

    mutant: Mutant | None
    pid: int
    until: float
    said: bytes = b""


class _Court:
    """Keeps up to ``jobs`` children going."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._waiting = selectors.DefaultSelector()

    @property
    def full(self) -> bool:
        return len(self._waiting.get_map()) >= self._jobs

    @property
    def idle(self) -> bool:
        return not self._waiting.get_map()

    def begin(self, mutant: Mutant | None, trial: Trial) -> None:
        pid, pipe = start(trial)
        self._waiting.register(pipe, selectors.EVENT_READ, _Open(mutant, pid, time.monotonic() + WALL_S))

    def ended(self) -> list[tuple[Mutant | None, Verdict]]:
        """Those that ended within a short wait."""
        done = []
        for key, _ in self._waiting.select(timeout=0.2):
            one: _Open = key.data
            data = os.read(key.fd, 1 << 16)
            one.said += data
            if not data:
                done.append((one.mutant, self._close(key)))
        for key in list(self._waiting.get_map().values()):
            if time.monotonic() > key.data.until:
                stop(key.data.pid)
                done.append((key.data.mutant, self._close(key)))
        return done

    def _close(self, key: selectors.SelectorKey) -> Verdict:
        self._waiting.unregister(key.fd)
        os.close(key.fd)
        _, status = os.waitpid(key.data.pid, 0)
        return verdict_of(key.data.said, status)

    def adjourn(self) -> None:
        """Stop what still goes on."""
        for key in list(self._waiting.get_map().values()):
            stop(key.data.pid)
            self._close(key)
        self._waiting.close()


def baseline(case: Case) -> Mapping[str, float]:
    """How long each test takes without a mutant; raises :class:`CourtError` where one fails."""
    court = _Court(1)
    court.begin(None, Trial(case.module, case.source, case.tests, {}, int(WALL_S)))
    try:
        while not (done := court.ended()):
            pass
    finally:
        court.adjourn()
    verdict = done[0][1]
    if verdict.killed or not verdict.seconds:
        raise CourtError(f"{case.module}: fails without a mutant: {verdict.by or 'no test ran'}")
    return verdict.seconds


def try_all(
    case: Case,
    mutants: Sequence[Mutant],
    *,
    jobs: int,
    tell: Callable[[Mutant, Verdict], None],
    patience_s: float = PATIENCE_S,
) -> dict[tuple[str, str, str, int], Verdict]:
    """A verdict for each mutant by its name; ``tell`` hears each as it comes."""
    seconds = baseline(case)
    limit_s = int(PATIENCE * sum(seconds.values()) + patience_s)
    likely = dict(seconds)
    found: dict[tuple[str, str, str, int], Verdict] = {}
    court, rest = _Court(jobs), list(mutants)[::-1]
    try:
        while rest or not court.idle:
            while rest and not court.full:
                mutant = rest.pop()
                court.begin(mutant, Trial(case.module, mutant.of(case.source), case.tests, likely, limit_s))
            for tried, verdict in court.ended():
                assert tried is not None
                found[tried.name] = verdict
                if verdict.by in likely:  # the next mutant is mostly next to this one
                    likely[verdict.by] = min(likely.values()) - 1.0
                tell(tried, verdict)
    finally:
        court.adjourn()
    return found
