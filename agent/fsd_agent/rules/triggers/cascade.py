"""One event after the other: what each sets going, at its instant and before the next.

A *step* is a function that looks back, or a condition; its argument is a closure over the newest value of each row
(``expressions.scalars``). At every instant at which something arrives, or leaves a window, all events of that instant
are taken up first. Then every step that one of them concerns is asked, arguments before what they are arguments of, and
the result of a function is an event of the same instant. Conditions of the bank come last: nothing depends on them.

This way of evaluating costs by the event, and next to nothing by the batch: in a tick of some milliseconds a handful
of samples concern a condition, and what is not touched then stays out of the processor's caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Final

from fsd_agent.rules.triggers.conditions.bank import Bank
from fsd_agent.rules.triggers.conditions.truth import Truth
from fsd_agent.rules.triggers.expressions.scalars import Ask
from fsd_agent.rules.triggers.firing.phases import Change
from fsd_agent.rules.triggers.past.temporal import FAR, Scalar, Temporal
from fsd_agent.rules.triggers.signals.columns import Event

Failed = Callable[[Exception], None]
"""Told of a step that raised."""
_NOTHING: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node that looks back, or one condition."""

    ask: Ask
    """Its argument, or whether it is true."""
    rows: frozenset[int]
    """Whose events it is asked about."""
    failed: Failed
    memory: Temporal | None = None
    """Of a node that looks back."""
    row: int = -1
    """Of its result."""
    truth: Truth | None = None
    """Of a condition."""


class Cascade:
    """See the module. ``steps`` stand after those whose rows they read; ``newest`` is what their arguments read."""

    def __init__(self, steps: Sequence[Step], newest: list[Scalar]) -> None:
        self._steps = tuple(steps)
        self._newest = newest
        self._wakes = [_NOTHING] * len(newest)
        """By row: the steps that its events concern, one bit each."""
        for at, step in enumerate(steps):
            for row in step.rows:
                self._wakes[row] |= 1 << at
        self._scheduled = [FAR if step.memory is None else step.memory.next_ns for step in steps]
        """When each step changes though nothing arrives."""
        self._timers = [(t_ns, at) for at, t_ns in enumerate(self._scheduled) if t_ns < FAR]
        heapify(self._timers)

    def rests(self, until_ns: int) -> bool:
        """Whether nothing changes before ``until_ns`` if nothing arrives."""
        return not self._timers or self._timers[0][0] >= until_ns

    def follow(
        self, events: Sequence[Event], until_ns: int, bank: Bank | None
    ) -> tuple[list[Event], list[Change]]:
        """Everything before ``until_ns``: results as events, and how conditions change, both in order of time.

        ``events`` are all that arrive. The ``bank`` is asked, too, where it is given.
        """
        newest, wakes, timers = self._newest, self._wakes, self._timers
        results: list[Event] = []
        changes: list[Change] = []
        at, count = 0, len(events)
        while True:
            t_ns = events[at][0] if at < count else until_ns
            if timers and timers[0][0] < t_ns:
                t_ns = timers[0][0]
            elif at == count:
                return results, changes
            asked = _NOTHING
            while at < count and events[at][0] == t_ns:
                _, row, value, known = events[at]
                at += 1
                newest[row] = value if known else None
                asked |= wakes[row]
                if bank is not None:
                    bank.take(row, value, known=known)
            due = self._due(t_ns) if timers and timers[0][0] == t_ns else _NOTHING
            if asked or due:
                self._run(t_ns, asked, due, results, changes, bank)
            if bank is not None:
                bank.answer(t_ns, changes)

    def _due(self, t_ns: int) -> int:
        """The steps that change now though nothing arrives."""
        due, timers = _NOTHING, self._timers
        while timers and timers[0][0] == t_ns:
            at = heappop(timers)[1]
            if self._scheduled[at] == t_ns:
                self._scheduled[at] = FAR
                due |= 1 << at
        return due

    def _run(
        self, t_ns: int, asked: int, due: int, results: list[Event], changes: list[Change], bank: Bank | None
    ) -> None:
        """Run the steps ``asked`` about what arrived, and those that are ``due``, in their order."""
        steps, wakes, newest = self._steps, self._wakes, self._newest
        todo = asked | due
        while todo:
            bit = todo & -todo
            todo ^= bit
            step = steps[at := bit.bit_length() - 1]
            memory = step.memory
            try:
                if memory is None:
                    _turn(step, t_ns, changes)
                    continue
                moves = memory.arrive(t_ns, step.ask()) if asked & bit else memory.lapse(t_ns)
            except Exception as error:  # noqa: BLE001 - one campaign's fault must not stop the others; it is reported
                step.failed(error)
                continue
            if memory.next_ns != self._scheduled[at]:
                self._schedule(at, memory.next_ns)
            if moves:
                row, shown = step.row, memory.shown
                value, known = (0.0, False) if shown is None else (float(shown), True)
                newest[row] = value if known else None
                asked |= wakes[row]
                todo |= wakes[row]
                results.append((t_ns, row, value, known))
                if bank is not None:
                    bank.take(row, value, known=known)

    def _schedule(self, at: int, t_ns: int) -> None:
        self._scheduled[at] = t_ns
        if t_ns < FAR:
            heappush(self._timers, (t_ns, at))


def _turn(step: Step, t_ns: int, changes: list[Change]) -> None:
    """Ask a condition."""
    true, truth = step.ask() is True, step.truth
    if truth is None:
        return
    truth.evaluated = True
    if true is not truth.is_true:
        truth.is_true = true
        changes.append((truth.position, t_ns, true))
