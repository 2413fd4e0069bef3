"""In which order a batch is evaluated, where functions look back at detections and others at their results.

Functions that look at detections are evaluated over whole batches (``past.seen``), all others one event at a time
(``cascade``). So there are *stages*: a cascade, and then the functions that look at detections and read nothing of
later stages; what comes of both goes on to the next stage. The last stage is a cascade with all conditions. Where
nothing looks back at detections it is the only one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial

from fsd_agent.records.program import Op
from fsd_agent.rules.triggers.cascade import Cascade
from fsd_agent.rules.triggers.conditions.bank import Bank
from fsd_agent.rules.triggers.expressions.graph import DETECTIONS_INPUT, Graph
from fsd_agent.rules.triggers.expressions.scalars import ask
from fsd_agent.rules.triggers.past.seen import Seen
from fsd_agent.rules.triggers.past.temporal import Scalar
from fsd_agent.rules.triggers.plan import Looking
from fsd_agent.rules.triggers.signals.guard import edges_of
from fsd_agent.rules.triggers.step import Step, Truth

Failed = Callable[[Collection[int], Exception], None]
"""Told of the positions of campaigns of which something raised."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """See the module."""

    cascade: Cascade
    seen: tuple[Seen, ...]

    def rests(self, until_ns: int) -> bool:
        """Whether nothing changes before ``until_ns`` if nothing arrives."""
        return self.cascade.rests(until_ns) and not any(one.is_due((), until_ns) for one in self.seen)


def stages_of(
    graph: Graph,
    looking: Sequence[Looking],
    conditions: Sequence[tuple[Truth, int]],
    bank: Bank,
    row_count: int,
    failed: Failed,
    *,
    tells: bool,
) -> tuple[Stage, ...]:
    """``looking`` stand after what they look back at; ``conditions`` are there with their vertices.

    ``tells`` says whether conditions that look at detections want to know of results, too.
    """
    stage_of: list[int] = []
    ready: dict[int, int] = {}
    """From which stage on a row's results are there."""
    for one in looking:
        inputs = _inputs(graph, one)
        stage_of.append(max((ready[row] for row in inputs if row in ready), default=0))
        ready[one.row] = stage_of[-1] + (DETECTIONS_INPUT in inputs)
    last = max(ready.values(), default=0)
    return tuple(
        _stage(
            graph,
            [one for one, stage in zip(looking, stage_of, strict=True) if stage == number],
            conditions if number == last else (),
            bank if number == last else None,
            row_count,
            failed,
            tells=tells or last > 0,
        )
        for number in range(last + 1)
    )


def _stage(
    graph: Graph,
    looking: Sequence[Looking],
    conditions: Sequence[tuple[Truth, int]],
    bank: Bank | None,
    row_count: int,
    failed: Failed,
    *,
    tells: bool,
) -> Stage:
    newest: list[Scalar] = [None] * row_count
    seen = [one for one in looking if DETECTIONS_INPUT in _inputs(graph, one)]
    steps = [_looks_back(graph, one, newest, failed) for one in looking if one not in seen]
    steps += [_condition(graph, truth, at, newest, failed) for truth, at in conditions]
    if bank is not None:
        steps += bank.steps(newest, failed)
    return Stage(Cascade(steps, newest, tells=tells), tuple(Seen(graph, one, row_count) for one in seen))


def _looks_back(graph: Graph, one: Looking, newest: list[Scalar], failed: Failed) -> Step:
    value, every = ask(graph.vertices, one.argument, newest), frozenset[int]()
    rows, edges = _wakes(graph, one.argument)
    if one.every_arrival:
        every, rows, edges = one.arrives(graph.vertices[one.argument].inputs), every, {}
    vertex = graph.vertices[one.argument]
    reads = vertex.row if vertex.node.op is Op.SIGNAL_DOUBLE else -1
    told = partial(failed, one.campaigns)
    return Step(value, every, rows, edges, told, memory=one.memory, row=one.row, reads=reads)


def _condition(graph: Graph, truth: Truth, at: int, newest: list[Scalar], failed: Failed) -> Step:
    value, (rows, edges) = ask(graph.vertices, at, newest), _wakes(graph, at)
    return Step(value, frozenset(), rows, edges, partial(failed, (truth.position,)), truth=truth)


def _wakes(graph: Graph, at: int) -> tuple[frozenset[int], dict[int, list[float]]]:
    """Rows of which every other value may change a vertex, and those of which only one that crosses an edge may."""
    literals, otherwise = graph.uses(at)
    edges = {row: edges_of(values) for row, values in literals.items() if row not in otherwise}
    return frozenset(otherwise), edges


def _inputs(graph: Graph, one: Looking) -> frozenset[int]:
    inputs = graph.vertices[one.argument].inputs
    return inputs | one.arrives(inputs)
