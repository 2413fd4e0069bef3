"""Runs the nodes that look back: from the arrivals of their arguments to events on their rows.

Level by level, so that a result is there before what looks back at it. A node is left alone in a batch in which
nothing that its argument refers to has arrived and its memory expects no change.

An argument is asked at the instants at which something that it refers to arrives. One that looks at detections is
evaluated by the graph, over the batch's looks; every other is a question (see ``events``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.detections.looks import Looks
from fsd_agent.rules.triggers.expressions import values as v
from fsd_agent.rules.triggers.expressions.events import Event, Question, Questions, in_time
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT, Batch, Graph
from fsd_agent.rules.triggers.expressions.scalars import ask
from fsd_agent.rules.triggers.past.temporal import Scalar, Steps
from fsd_agent.rules.triggers.plan import Looking
from fsd_agent.rules.triggers.signals.columns import ActiveSamples, Times

_NONE: Final = np.empty(0, np.int64)
Failed = Callable[[Looking, Exception], None]
"""Told of a node that raised."""


@dataclass(frozen=True, slots=True, eq=False)
class Now:
    """One batch, as far as it is known."""

    until_ns: int
    changed: set[int]
    """Inputs that change in it, see :class:`~..expressions.graph.Vertex`."""
    active: ActiveSamples | None
    looks: Looks | None
    batch_of: Callable[[Times], Batch]
    """What to evaluate over, at given instants."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A node whose argument is a question."""

    looking: Looking
    question: Question


@dataclass(slots=True, eq=False)
class _Seen:
    """A node whose argument looks at detections."""

    looking: Looking
    inputs: frozenset[int]
    reads: NDArray[np.bool_]
    """By row: whether the argument refers to it."""
    counts: NDArray[np.bool_]
    """By row: whether its samples are arrivals."""
    sees: bool
    """Whether looks are arrivals."""


class _Level:
    def __init__(self, asked: list[_Asked], seen: list[_Seen], newest: list[Scalar]) -> None:
        self.asked = asked
        self.seen = seen
        self._questions = Questions(newest, [one.question for one in asked])
        self._whose = {id(one.question): one.looking for one in asked}

    def ask(self, events: Sequence[Event], failed: Failed) -> None:
        """Ask the arguments that are questions."""
        self._questions.ask(events, lambda one, error: failed(self._whose[id(one)], error))


class Past:
    """All nodes of a plan that look back. ``newest`` holds the newest value of each row before the batch."""

    def __init__(
        self, graph: Graph, looking: Sequence[Looking], row_count: int, newest: list[Scalar]
    ) -> None:
        self._graph = graph
        self.levels: list[_Level] = []
        for level in range(1, max((one.level for one in looking), default=0) + 1):
            asked, seen = list[_Asked](), list[_Seen]()
            for one in looking:
                if one.level != level:
                    continue
                vertex = graph.vertices[one.argument]
                arrives = one.inputs if one.every_arrival else vertex.inputs
                inputs = vertex.inputs | arrives
                if DETECTIONS_INPUT in inputs:
                    reads, counts = _table(inputs, row_count), _table(arrives, row_count)
                    seen.append(_Seen(one, inputs, reads, counts, DETECTIONS_INPUT in arrives))
                else:
                    value = ask(graph.vertices, one.argument, newest)
                    asked.append(_Asked(one, Question(value, arrives)))
            self.levels.append(_Level(asked, seen, newest))

    def events(self, level: int, events: Sequence[Event], now: Now, failed: Failed) -> list[Event]:
        """What the nodes of one level give, in order of time. ``events`` are all that came before."""
        here, made = self.levels[level], list[Event]()
        if events:
            here.ask(events, failed)
        for one in here.asked:
            arrivals = one.question.answers
            if arrivals or one.looking.memory.next_ns < now.until_ns:
                one.question.answers = []
                made += _follow(one.looking, arrivals, now, failed)
        for seen in here.seen:
            if not seen.inputs.isdisjoint(now.changed):
                made += _follow(seen.looking, self._arrivals(seen, now, failed), now, failed)
            elif seen.looking.memory.next_ns < now.until_ns:
                made += _follow(seen.looking, (), now, failed)
        made.sort(key=in_time)
        return made

    def _arrivals(self, seen: _Seen, now: Now, failed: Failed) -> Steps:
        """The argument at every arrival, by the graph."""
        times = counted = now.looks.changes_ns if now.looks is not None else _NONE
        if not seen.sees:
            counted = _NONE
        if now.active is not None:
            rows = now.active.signal
            times = np.union1d(times, now.active.t_ns[seen.reads[rows]])
            counted = np.union1d(counted, now.active.t_ns[seen.counts[rows]])
        try:
            value = self._graph.value(seen.looking.argument, now.batch_of(times))
        except Exception as error:  # noqa: BLE001 - one node's fault must not stop the others; it is reported
            failed(seen.looking, error)
            return ()
        scalars = _scalars(value, times.shape[0])
        at = np.searchsorted(times, counted)
        return [(t_ns, scalars[place]) for t_ns, place in zip(counted.tolist(), at.tolist(), strict=True)]


def _follow(looking: Looking, arrivals: Steps, now: Now, failed: Failed) -> list[Event]:
    try:
        steps = looking.memory.follow(arrivals, now.until_ns)
    except Exception as error:  # noqa: BLE001 - one node's fault must not stop the others; it is reported
        failed(looking, error)
        return []
    row = looking.row
    return [
        (t_ns, row, 0.0, False) if value is None else (t_ns, row, float(value), True) for t_ns, value in steps
    ]


def _scalars(value: v.Value, n: int) -> list[Scalar]:
    """``n`` values; one stands for all."""
    found: list[Scalar]
    if isinstance(value, v.Planes):
        true, false = np.broadcast_arrays(value.true, value.false)
        pairs = zip(true.tolist(), false.tolist(), strict=True)
        found = [True if is_true else (False if is_false else None) for is_true, is_false in pairs]
    else:
        numbers, known = np.broadcast_arrays(value.value, value.known)
        found = [
            number if is_known else None
            for number, is_known in zip(numbers.tolist(), known.tolist(), strict=True)
        ]
    return found if len(found) == n else found * n


def _table(rows: Collection[int], row_count: int) -> NDArray[np.bool_]:
    table = np.zeros(row_count, np.bool_)
    table[[row for row in rows if row >= 0]] = True
    return table
