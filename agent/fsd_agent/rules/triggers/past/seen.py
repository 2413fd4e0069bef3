"""Functions that look back at what detections say: their arguments are evaluated by the graph, over a batch's looks.

An argument is asked at the instants at which something that it refers to arrives. A node is left alone in a batch in
which nothing that its argument refers to has arrived and its memory expects no change. All other functions that look
back are steps of a cascade.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.detections.looks import Looks
from fsd_agent.rules.triggers.expressions import values as v
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT, Batch, Graph
from fsd_agent.rules.triggers.past.temporal import Scalar, Steps, follow
from fsd_agent.rules.triggers.plan import Looking
from fsd_agent.rules.triggers.signals.columns import ActiveSamples, Event, Times

_NONE: Final = np.empty(0, np.int64)
Failed = Callable[[Looking, Exception], None]
"""Told of a node that raised."""


@dataclass(frozen=True, slots=True, eq=False)
class Now:
    """One batch, as far as it is known."""

    until_ns: int
    changed: Collection[int]
    """Inputs that change in it, see :class:`~..expressions.graph.Vertex`."""
    active: ActiveSamples | None
    looks: Looks | None
    batch_of: Callable[[Times], Batch]
    """What to evaluate over, at given instants."""


class Seen:
    """A node whose argument looks at detections, or that looks back at one that does."""

    def __init__(self, graph: Graph, looking: Looking, row_count: int) -> None:
        self._graph = graph
        self._looking = looking
        vertex = graph.vertices[looking.argument]
        arrives = looking.arrives(vertex.inputs)
        self.inputs = vertex.inputs | arrives
        self._reads = _table(self.inputs, row_count)
        """By row: whether the argument refers to it."""
        self._counts = _table(arrives, row_count)
        """By row: whether its samples are arrivals."""
        self._sees = DETECTIONS_INPUT in arrives
        """Whether looks are arrivals."""

    def is_due(self, changed: Collection[int], until_ns: int) -> bool:
        """Whether anything of it happens before ``until_ns``, ``changed`` being the inputs that do."""
        return self._looking.memory.next_ns < until_ns or not self.inputs.isdisjoint(changed)

    def events(self, now: Now, failed: Failed) -> list[Event]:
        """What it gives in a batch, in order of time."""
        looking = self._looking
        try:
            arrivals = () if self.inputs.isdisjoint(now.changed) else self._arrivals(now)
            steps = follow(looking.memory, arrivals, now.until_ns)
        except Exception as error:  # noqa: BLE001 - one node's fault must not stop the others; it is reported
            failed(looking, error)
            return []
        row = looking.row
        return [
            (t_ns, row, 0.0, False) if value is None else (t_ns, row, float(value), True)
            for t_ns, value in steps
        ]

    def _arrivals(self, now: Now) -> Steps:
        """The argument at every arrival."""
        times = counted = now.looks.changes_ns if now.looks is not None else _NONE
        if not self._sees:
            counted = _NONE
        if now.active is not None:
            rows = now.active.signal
            times = np.union1d(times, now.active.t_ns[self._reads[rows]])
            counted = np.union1d(counted, now.active.t_ns[self._counts[rows]])
        value = self._graph.value(self._looking.argument, now.batch_of(times))
        scalars = _scalars(value, times.shape[0])
        at = np.searchsorted(times, counted)
        return [(t_ns, scalars[place]) for t_ns, place in zip(counted.tolist(), at.tolist(), strict=True)]


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
