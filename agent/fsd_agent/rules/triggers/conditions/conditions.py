"""Conditions that look at detections, and where they change: evaluated by the graph over whole batches.

A condition is first evaluated where something that it refers to arrives; until then it is not true.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.expressions.graph import Graph
from fsd_agent.rules.triggers.expressions.operations import planes
from fsd_agent.rules.triggers.firing.phases import Transitions
from fsd_agent.rules.triggers.past.seen import Now
from fsd_agent.rules.triggers.signals.columns import Times
from fsd_agent.rules.triggers.step import Truth

Failed = Callable[[int, Exception], None]
"""Told of the position of a condition that raised."""


@dataclass(frozen=True, slots=True, eq=False)
class _Condition:
    truth: Truth
    at: int
    """Vertex."""
    inputs: frozenset[int]


class Conditions:
    """See the module. Each condition is there as its truth and its vertex."""

    def __init__(self, graph: Graph, conditions: Sequence[tuple[Truth, int]], row_count: int) -> None:
        self._graph = graph
        self._all = [_Condition(truth, at, graph.vertices[at].inputs) for truth, at in conditions]
        self._reads = np.zeros(row_count, np.bool_)
        """By row: whether a condition refers to it."""
        for _, at in conditions:
            self._reads[list(graph.rows_below(at))] = True
        self.inputs = frozenset[int]().union(*(one.inputs for one in self._all))

    def fresh(self) -> frozenset[int]:
        """Rows whose next sample counts, because a condition waits for it."""
        waiting = (one for one in self._all if not one.truth.evaluated)
        return frozenset[int]().union(*(self._graph.rows_below(one.at) for one in waiting))

    def follow(self, now: Now, failed: Failed) -> list[Transitions]:
        """How conditions change in a batch."""
        due = [one for one in self._all if not one.inputs.isdisjoint(now.changed)]
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
                failed(one.truth.position, error)
                continue
            if not one.truth.evaluated:
                true = true & (batch.instants >= _first_arrival(one, now))
                one.truth.evaluated = True
            found += _changes(one.truth, true, batch.instants)
        return found


def _first_arrival(one: _Condition, now: Now) -> int:
    first: list[int] = []
    if now.looks is not None:
        first.append(int(now.looks.changes_ns[0]))
    if now.active is not None:
        first += now.active.t_ns[np.isin(now.active.signal, list(one.inputs))][:1].tolist()
    return min(first)


def _changes(one: Truth, true: NDArray[np.bool_], instants: Times) -> list[Transitions]:
    """``true`` has length 1 where it is the same at all instants."""
    before = np.empty_like(true)
    before[0], before[1:] = one.is_true, true[:-1]
    at = np.flatnonzero(true != before)
    if not at.shape[0]:
        return []
    one.is_true = bool(true[-1])
    return [Transitions(np.full(at.shape, one.position, np.intp), instants[at], true[at])]
