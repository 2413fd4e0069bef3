"""Conditions that the graph evaluates, and where they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.columns import Times
from fsd_agent.rules.triggers.graph import DETECTIONS_INPUT, Graph
from fsd_agent.rules.triggers.operations import planes
from fsd_agent.rules.triggers.past import Now
from fsd_agent.rules.triggers.phases import Transitions


@dataclass(slots=True, eq=False)
class _Condition:
    position: int
    """Of its campaign."""
    at: int
    """Vertex."""
    inputs: frozenset[int]
    is_true: bool = False
    evaluated: bool = False


class Conditions:
    """A condition is first evaluated where something that it refers to arrives; until then it is not true."""

    def __init__(self, graph: Graph, row_count: int) -> None:
        self._graph = graph
        self._all: dict[int, _Condition] = {}
        self._reads = np.zeros(row_count, np.bool_)

    def add(self, position: int, at: int) -> None:
        """Take up the condition of the campaign at ``position``."""
        self._all[position] = _Condition(position, at, self._graph.vertices[at].inputs)
        self._reads[list(self._graph.rows_below(at))] = True

    def carry(self, before: Conditions, mine: int, theirs: int) -> None:
        """Take over the truth of a campaign that stays: its position here and there."""
        ours, known = self._all.get(mine), before._all.get(theirs)
        if ours is not None and known is not None:
            ours.is_true, ours.evaluated = known.is_true, known.evaluated

    def fresh(self) -> set[int]:
        """Rows whose next sample counts, because a condition waits for it."""
        waiting = (one for one in self._all.values() if not one.evaluated)
        return {row for one in waiting for row in one.inputs} - {DETECTIONS_INPUT}

    def follow(self, now: Now, failed: Callable[[int, Exception], None]) -> list[Transitions]:
        """How conditions change in a batch. ``failed`` is told of the position of one that raised."""
        due = [one for one in self._all.values() if not one.inputs.isdisjoint(now.changed)]
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
    if now.looks is not None and DETECTIONS_INPUT in one.inputs:
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
