"""What a batch brings, one event after the other, and who asks about it.

Whoever looks back, and every condition that neither the bank nor the graph evaluates, is a *question*: a closure over
the newest value of each row. At every instant all events of that instant are taken up, and then each question that
one of them concerns is asked once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from fsd_agent.rules.triggers.expressions.scalars import Ask
from fsd_agent.rules.triggers.past.temporal import Scalar

Event = tuple[int, int, float, bool]
"""Time, row, value, and whether it is known."""
in_time: Final = itemgetter(0)


@dataclass(slots=True, eq=False)
class Question:
    """One closure, and what it gave in this batch."""

    value: Ask
    rows: frozenset[int]
    """Whose events it is asked about."""
    answers: list[tuple[int, Scalar]] = field(default_factory=list)
    """At each instant at which it was asked, in order of time."""


class Questions:
    """Questions by the rows that they are asked about. ``newest`` is what their closures read; it is left as it was."""

    def __init__(self, newest: list[Scalar], questions: Iterable[Question]) -> None:
        self._newest = newest
        self._by_row: dict[int, list[Question]] = {}
        for one in questions:
            for row in one.rows:
                self._by_row.setdefault(row, []).append(one)

    def ask(self, events: Sequence[Event], failed: Callable[[Question, Exception], None]) -> list[Question]:
        """Go through a batch's events; the questions that were asked. ``failed`` is told of one that raised."""
        newest, by_row = self._newest, self._by_row
        before: list[tuple[int, Scalar]] = []
        asked: dict[int, Question] = {}
        at, count = 0, len(events)
        while at < count:
            t_ns = events[at][0]
            concerned: dict[int, Question] = {}
            while at < count and events[at][0] == t_ns:
                _, row, value, known = events[at]
                at += 1
                before.append((row, newest[row]))
                newest[row] = value if known else None
                for one in by_row.get(row, ()):
                    concerned[id(one)] = one
            for one in concerned.values():
                try:
                    one.answers.append((t_ns, one.value()))
                except Exception as error:  # noqa: BLE001 - one fault must not stop the others; it is reported
                    failed(one, error)
            asked |= concerned
        for row, value_before in reversed(before):
            newest[row] = value_before
        return list(asked.values())


def take_up(newest: list[Scalar], events: Sequence[Event]) -> None:
    """The batch is over: its last events are the newest."""
    for _, row, value, known in events:
        newest[row] = value if known else None
