"""Conditions that the bank does not take, and where they change.

Those that look at detections are evaluated by the graph over whole batches; every other is a question (see
``events``). A condition is first evaluated where something that it refers to arrives; until then it is not true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.expressions.events import Event, Question, Questions
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT, Graph
from fsd_agent.rules.triggers.expressions.operations import planes
from fsd_agent.rules.triggers.expressions.scalars import ask
from fsd_agent.rules.triggers.firing.phases import Transitions
from fsd_agent.rules.triggers.past.past import Now
from fsd_agent.rules.triggers.past.temporal import Scalar
from fsd_agent.rules.triggers.signals.columns import Times

Failed = Callable[[int, Exception], None]
"""Told of the position of a condition that raised."""


@dataclass(slots=True, eq=False)
class _Condition:
    position: int
    """Of its campaign."""
    at: int
    """Vertex."""
    inputs: frozenset[int]
    question: Question | None = None
    """None where it looks at detections."""
    is_true: bool = False
    evaluated: bool = False


class Conditions:
    """See the module. ``positions`` and vertices of the conditions; ``newest`` is what questions read."""

    def __init__(
        self, graph: Graph, conditions: Sequence[tuple[int, int]], row_count: int, newest: list[Scalar]
    ) -> None:
        self._graph = graph
        self._all: dict[int, _Condition] = {}
        self._reads = np.zeros(row_count, np.bool_)
        """By row: whether a condition that looks at detections refers to it."""
        for position, at in conditions:
            one = _Condition(position, at, graph.vertices[at].inputs)
            if DETECTIONS_INPUT in one.inputs:
                self._reads[list(graph.rows_below(at))] = True
            else:
                one.question = Question(ask(graph.vertices, at, newest), one.inputs)
            self._all[position] = one
        self._looking = [one for one in self._all.values() if one.question is None]
        self._asking = {id(one.question): one for one in self._all.values() if one.question is not None}
        self._questions = Questions(newest, [one.question for one in self._asking.values() if one.question])

    def carry(self, before: Conditions, mine: int, theirs: int) -> None:
        """Take over the truth of a campaign that stays: its position here and there."""
        ours, known = self._all.get(mine), before._all.get(theirs)
        if ours is not None and known is not None:
            ours.is_true, ours.evaluated = known.is_true, known.evaluated

    def fresh(self) -> set[int]:
        """Rows whose next sample counts, because a condition waits for it."""
        waiting = (one for one in self._all.values() if not one.evaluated)
        return {row for one in waiting for row in one.inputs} - {DETECTIONS_INPUT}

    def follow(self, events: Sequence[Event], now: Now, failed: Failed) -> list[Transitions]:
        """How conditions change in a batch, of which ``events`` are all."""
        found = self._seen(now, failed)
        if self._asking and events:
            found += self._asked(events, failed)
        return found

    def _asked(self, events: Sequence[Event], failed: Failed) -> list[Transitions]:
        changes: list[tuple[int, int, bool]] = []
        asking = self._asking
        for question in self._questions.ask(
            events, lambda one, error: failed(asking[id(one)].position, error)
        ):
            condition, answers = asking[id(question)], question.answers
            question.answers, condition.evaluated = [], True
            for t_ns, answer in answers:
                if (answer is True) is not condition.is_true:
                    condition.is_true = not condition.is_true
                    changes.append((condition.position, t_ns, condition.is_true))
        if not changes:
            return []
        positions, times, true = zip(*changes, strict=True)
        return [
            Transitions(np.array(positions, np.intp), np.array(times, np.int64), np.array(true, np.bool_))
        ]

    def _seen(self, now: Now, failed: Failed) -> list[Transitions]:
        due = [one for one in self._looking if not one.inputs.isdisjoint(now.changed)]
        if not due:
            return []
        times = [now.active.t_ns[self._reads[now.active.signal]]] if now.active is not None else []
        if now.looks is not None:
            times.append(now.looks.changes_ns)
        batch = now.batch_of(np.unique(np.concatenate(times)))
        found: list[Transitions] = []
        for one in due:
            try:
                true = planes(self._graph.value(one.at, batch)).true
            except Exception as error:  # noqa: BLE001 - one campaign's fault must not stop the others; it is reported
                failed(one.position, error)
                continue
            if not one.evaluated:
                true = true & (batch.instants >= _first_arrival(one, now))
                one.evaluated = True
            found += _changes(one, true, batch.instants)
        return found


def _first_arrival(one: _Condition, now: Now) -> int:
    first: list[int] = []
    if now.looks is not None:
        first.append(int(now.looks.changes_ns[0]))
    if now.active is not None:
        first += now.active.t_ns[np.isin(now.active.signal, list(one.inputs))][:1].tolist()
    return min(first)


def _changes(one: _Condition, true: NDArray[np.bool_], instants: Times) -> list[Transitions]:
    """``true`` has length 1 where it is the same at all instants."""
    before = np.empty_like(true)
    before[0], before[1:] = one.is_true, true[:-1]
    at = np.flatnonzero(true != before)
    if not at.shape[0]:
        return []
    one.is_true = bool(true[-1])
    return [Transitions(np.full(at.shape, one.position, np.intp), instants[at], true[at])]
