"""Runs the nodes that look back: from the arrivals of their arguments to samples on their rows.

Level by level, so that a result is there before what looks back at it. A node is left alone in a batch in which
nothing that its argument refers to has arrived and its memory expects no change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.program import ValueType
from fsd_agent.rules.triggers import values as v
from fsd_agent.rules.triggers.columns import ActiveSamples, Samples, Times
from fsd_agent.rules.triggers.graph import DETECTIONS_INPUT, Batch, Graph
from fsd_agent.rules.triggers.looks import Looks
from fsd_agent.rules.triggers.plan import Looking
from fsd_agent.rules.triggers.steps import Steps

_NONE: Final = np.empty(0, np.int64)
_NO_PLANE: Final = np.empty(0, np.bool_)
_Item = TypeVar("_Item", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Now:
    """One batch, as far as it is known."""

    until_ns: int
    changed: set[int]
    """Inputs that change in it, see :class:`~.graph.Vertex`."""
    active: ActiveSamples | None
    looks: Looks | None
    batch_of: Callable[[Times], Batch]
    """What to evaluate over, at given instants."""


@dataclass(frozen=True, slots=True, eq=False)
class _Runner:
    looking: Looking
    inputs: frozenset[int]
    nothing: Steps
    """No arrival of the argument."""
    reads: NDArray[np.bool_]
    """By row: whether the argument refers to it."""
    counts: NDArray[np.bool_] | None
    """By row: whether its samples are arrivals; None where everything that is read is."""


class Past:
    """All nodes of a plan that look back."""

    def __init__(self, graph: Graph, looking: Sequence[Looking], row_count: int) -> None:
        self._graph = graph
        self.levels: tuple[list[_Runner], ...] = tuple(
            [] for _ in range(max((one.level for one in looking), default=0))
        )
        for one in looking:
            vertex = graph.vertices[one.argument]
            reads = _table(graph.rows_below(one.argument), row_count)
            chained = one.every_arrival and one.inputs != vertex.inputs
            counts = _table(one.inputs - {DETECTIONS_INPUT}, row_count) if chained else None
            inputs = vertex.inputs | one.inputs if chained else vertex.inputs
            is_bool = vertex.type is ValueType.BOOL
            value = v.Planes(_NO_PLANE, _NO_PLANE) if is_bool else v.Number(np.empty(0), _NO_PLANE)
            self.levels[one.level - 1].append(_Runner(one, inputs, Steps(_NONE, value), reads, counts))

    def samples(self, level: int, now: Now, failed: Callable[[Looking, Exception], None]) -> list[Samples]:
        """What the nodes of one level give, each in order of time. ``failed`` is told of a node that raised."""
        made: list[Samples] = []
        arguments: dict[tuple[int, bool], Steps] = {}
        batches: dict[frozenset[int], Batch] = {}
        """What is read at the same instants is worked out once, whichever arguments need it."""
        for runner in self.levels[level]:
            looking = runner.looking
            arrives = not runner.inputs.isdisjoint(now.changed)
            if not arrives:
                next_ns = looking.memory.next_ns()
                if next_ns is None or next_ns >= now.until_ns:
                    continue
            try:
                key = looking.argument, runner.counts is None
                if key not in arguments:
                    arguments[key] = self._argument(runner, now, batches) if arrives else runner.nothing
                steps = looking.memory.follow(arguments[key], now.until_ns)
            except Exception as error:  # noqa: BLE001 - one node's fault must not stop the others; it is reported
                failed(looking, error)
                continue
            if steps.t_ns.shape[0]:
                made.append(_as_samples(steps, looking.row))
        return made

    def _argument(self, runner: _Runner, now: Now, batches: dict[frozenset[int], Batch]) -> Steps:
        """The argument at every instant at which something that it refers to arrives."""
        if runner.counts is None and runner.inputs in batches:
            batch = batches[runner.inputs]
            value = self._graph.value(runner.looking.argument, batch)
            return Steps(batch.instants, _spread(value, batch.instants.shape[0]))
        times = _NONE
        if now.active is not None:
            times = distinct(now.active.t_ns[runner.reads[now.active.signal]])
        if now.looks is not None and DETECTIONS_INPUT in runner.inputs:
            times = np.union1d(times, now.looks.changes_ns)
        arrivals = times
        if runner.counts is not None:
            arrivals = np.unique(self._counted(runner.counts, runner.looking.inputs, now))
            times = np.union1d(times, arrivals)
        if not times.shape[0]:
            return runner.nothing
        batch = now.batch_of(times)
        if runner.counts is None:
            batches[runner.inputs] = batch
        n = times.shape[0]
        value = _spread(self._graph.value(runner.looking.argument, batch), n)
        if arrivals.shape[0] == n:
            return Steps(times, value)
        keep = np.searchsorted(times, arrivals)
        if isinstance(value, v.Planes):
            return Steps(arrivals, v.Planes(value.true[keep], value.false[keep]))
        return Steps(arrivals, v.Number(value.value[keep], value.known[keep]))

    def _counted(self, counts: NDArray[np.bool_], inputs: frozenset[int], now: Now) -> Times:
        """When something arrives by itself that the node refers to through others that look back."""
        times = _NONE
        if now.active is not None:
            times = now.active.t_ns[counts[now.active.signal]]
        if now.looks is not None and DETECTIONS_INPUT in inputs:
            times = np.concatenate([times, now.looks.changes_ns])
        return times


def _spread(value: v.Value, n: int) -> v.Value:
    """A value at each of n instants."""
    if isinstance(value, v.Planes):
        return v.Planes(_wide(value.true, n), _wide(value.false, n))
    return v.Number(_wide(value.value, n), _wide(value.known, n))


def distinct(rising: Times) -> Times:
    """Each instant once, of instants in order."""
    if rising.shape[0] < 2:
        return rising
    new = np.ones(rising.shape, np.bool_)
    np.not_equal(rising[1:], rising[:-1], out=new[1:])
    return rising[new]


def _table(rows: Collection[int], row_count: int) -> NDArray[np.bool_]:
    table = np.zeros(row_count, np.bool_)
    table[list(rows)] = True
    return table


def _wide(column: NDArray[_Item], n: int) -> NDArray[_Item]:
    return column if column.shape[0] == n else np.repeat(column, n)


def _as_samples(steps: Steps, row: int) -> Samples:
    rows = np.full(steps.t_ns.shape, row, np.int32)
    if isinstance(steps.value, v.Planes):
        true = steps.value.true
        return Samples(steps.t_ns, rows, true.astype(np.float64), true | steps.value.false)
    return Samples(steps.t_ns, rows, steps.value.value, steps.value.known)
