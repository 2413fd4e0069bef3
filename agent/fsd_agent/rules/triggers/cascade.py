"""One event after the other: what each sets going, at its instant and before the next.

A *step* is a function that looks back, or a condition; its argument is a closure over the newest value of each row
(``expressions.scalars``). At every instant at which something arrives, or leaves a window, all events of that instant
are taken up first. Then every step that one of them concerns is asked, arguments before what they are arguments of, and
the result of a function is an event of the same instant.

This way of evaluating costs by the event, and next to nothing by the batch: in a tick of some milliseconds a handful
of samples concern a condition, and what is not touched then stays out of the processor's caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final

from fsd_agent.rules.triggers.crossings import crossings_of
from fsd_agent.rules.triggers.firing.phases import Change
from fsd_agent.rules.triggers.past.temporal import FAR, Scalar, same
from fsd_agent.rules.triggers.signals.columns import Event
from fsd_agent.rules.triggers.step import Step

_NOTHING: Final = 0
_EVERYBODY: Final = -1
_MANY: Final = 4
"""Conditions that an event may ask on average before it is cheaper to compute all at once."""
_PATIENCE: Final = 64
"""Conditions asked in a batch before an average says something: about as dear as a small stack."""


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """From where on conditions that can be asked at once were not asked."""

    after_ns: int
    newest: Sequence[Scalar]
    """What each row was then."""


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What came of a batch, in order of time."""

    results: list[Event]
    """Of functions that look back; without a ``rest`` only of a cascade that ``tells``."""
    changes: list[Change]
    """Of conditions."""
    rest: Rest | None


class Cascade:
    """See the module. ``steps`` stand after those whose rows they read; ``newest`` is what their arguments read.

    ``tells`` says whether anybody else wants to know of every result; ``patience`` is how many conditions a batch asks
    one by one before it is considered to compute all at once.
    """

    def __init__(
        self, steps: Sequence[Step], newest: list[Scalar], *, tells: bool, patience: int = _PATIENCE
    ) -> None:
        self._steps = tuple(steps)
        self._single = sum(1 << at for at, step in enumerate(steps) if not step.many)
        self._many = sum(1 << at for at, step in enumerate(steps) if step.many)
        self._tells, self._patience = tells, patience
        self._newest = newest
        self._always = _by_row(len(newest), [step.every for step in steps])
        """By row: the steps that its every event concerns, one bit each."""
        self._wakes = _by_row(len(newest), [step.every | step.rows for step in steps])
        """Those that another value concerns."""
        self._crossings = crossings_of([step.edges for step in steps])
        """Of the rows that steps compare with numbers: what is asked where its value crosses one."""
        self._fresh = sum(1 << at for at, step in enumerate(steps) if not step.begun)
        """Steps that have never been asked: any event of their rows concerns them."""
        self._scheduled = [FAR if step.memory is None else step.memory.next_ns for step in steps]
        """When each step changes though nothing arrives."""
        self._timers = [(t_ns, at) for at, t_ns in enumerate(self._scheduled) if t_ns < FAR]
        heapify(self._timers)

    def newest(self) -> list[Event]:
        """The newest result of each function, without its time."""
        return [
            (
                0,
                step.row,
                0.0 if (value := self._newest[step.row]) is None else float(value),
                value is not None,
            )
            for step in self._steps
            if step.memory is not None
        ]

    def load(self, newest: Sequence[Scalar]) -> None:
        """Begin with these values, the newest of each row before the first batch."""
        self._newest[:] = newest
        for row, crossing in self._crossings.items():
            value = newest[row]
            crossing.take(0.0 if value is None else float(value), _NOTHING, known=value is not None)

    def rests(self, until_ns: int) -> bool:
        """Whether nothing changes before ``until_ns`` if nothing arrives."""
        return not self._timers or self._timers[0][0] >= until_ns

    def follow(self, events: Sequence[Event], until_ns: int) -> Followed:
        """Everything before ``until_ns``; ``events`` are all that arrive."""
        newest, always, wakes, timers = self._newest, self._always, self._wakes, self._timers
        crossings = self._crossings
        found = Followed([], [], None)
        at, count, spent = 0, len(events), 0
        while True:
            t_ns = events[at][0] if at < count else until_ns
            if timers and timers[0][0] < t_ns:
                t_ns = timers[0][0]
            elif at == count:
                return found
            asked = _NOTHING
            while at < count and events[at][0] == t_ns:
                _, row, value, known = events[at]
                at += 1
                before, now = newest[row], value if known else None
                if now == before and (now != 0 or same(now, before)):
                    asked |= always[row] | (wakes[row] & self._fresh)
                else:
                    newest[row] = now
                    asked |= wakes[row]
                crossing = crossings.get(row)
                if crossing is not None and (
                    not known or not crossing.low <= value < crossing.high or crossing.everyone & self._fresh
                ):
                    asked |= crossing.take(value, self._fresh, known=known)
            due = self._due(t_ns) if timers and timers[0][0] == t_ns else _NOTHING
            if found.rest is not None:
                self._run(t_ns, asked, due, self._single, found)
            elif asked or due:
                spent += (self._run(t_ns, asked, due, _EVERYBODY, found) & self._many).bit_count()
                if spent > self._patience + _MANY * at and at < count:
                    found = Followed(found.results, found.changes, Rest(t_ns, tuple(newest)))

    def _due(self, t_ns: int) -> int:
        """The steps that change now though nothing arrives."""
        due, timers = _NOTHING, self._timers
        while timers and timers[0][0] == t_ns:
            at = heappop(timers)[1]
            if self._scheduled[at] == t_ns:
                self._scheduled[at] = FAR
                due |= 1 << at
        return due

    def _run(self, t_ns: int, asked: int, due: int, which: int, found: Followed) -> int:
        """Run the steps ``asked`` about what arrived, and those that are ``due``, in their order, of ``which`` there are.

        Returns all that were asked.
        """
        steps, wakes, crossings, newest = self._steps, self._wakes, self._crossings, self._newest
        todo = (asked | due) & which
        while todo:
            bit = todo & -todo
            todo ^= bit
            step = steps[at := bit.bit_length() - 1]
            memory = step.memory
            try:
                if memory is None:
                    _turn(step, t_ns, found.changes)
                    continue
                if asked & bit:
                    reads = step.reads
                    moves = memory.arrive(t_ns, newest[reads] if reads >= 0 else step.ask())
                else:
                    moves = memory.lapse(t_ns)
            except Exception as error:  # noqa: BLE001 - one campaign's fault must not stop the others; it is reported
                step.failed(error)
                continue
            if memory.next_ns != self._scheduled[at]:
                self._schedule(at, memory.next_ns)
            if moves:
                row, shown = step.row, memory.shown
                value, known = (0.0, False) if shown is None else (float(shown), True)
                newest[row] = value if known else None
                if self._tells or found.rest is not None:
                    found.results.append((t_ns, row, value, known))
                woken, crossing = wakes[row], crossings.get(row)
                if crossing is not None and (
                    not known or not crossing.low <= value < crossing.high or crossing.everyone & self._fresh
                ):
                    woken |= crossing.take(value, self._fresh, known=known)
                asked |= woken
                todo |= woken & which
        if self._fresh:
            self._fresh &= ~(asked & which)
        return asked

    def _schedule(self, at: int, t_ns: int) -> None:
        self._scheduled[at] = t_ns
        if t_ns < FAR:
            heappush(self._timers, (t_ns, at))


def _by_row(row_count: int, concerned: Sequence[frozenset[int]]) -> list[int]:
    found = [_NOTHING] * row_count
    for at, rows in enumerate(concerned):
        for row in rows:
            found[row] |= 1 << at
    return found


def _turn(step: Step, t_ns: int, changes: list[Change]) -> None:
    """Ask a condition."""
    true, truth = step.ask() is True, step.truth
    if truth is None:
        return
    truth.evaluated = True
    if true is not truth.is_true:
        truth.is_true = true
        changes.append((truth.position, t_ns, true))
