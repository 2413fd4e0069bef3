"""All conditions in force as one graph: equal sub-expressions of any campaigns are computed once.

Evaluation is lazy. ``a && b`` does not look at ``b`` where ``a`` is false throughout, and what was computed in an
earlier batch is used again until something that it refers to changes. Each value is computed for all instants of
a batch at once; a value of box level for all boxes of all points of an :class:`~.looks.Axis`.

Loops. A predicate that refers to nothing but its detection is computed once for each look; one that also reads a
signal, once for each instant and box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from fsd_agent.records.program import (
    COMPARISONS,
    EQUALITIES,
    LOOPS,
    SIGNALS,
    Node,
    Op,
    Program,
    ValueType,
    infer,
)
from fsd_agent.rules.triggers import values as v
from fsd_agent.rules.triggers.columns import ActiveSamples, Times
from fsd_agent.rules.triggers.looks import Looks
from fsd_agent.rules.triggers.loops import Loop
from fsd_agent.rules.triggers.operations import (
    combine,
    last,
    literal,
    literal_number,
    planes,
    signal_bool,
    take,
)
from fsd_agent.rules.triggers.signals import SignalState

DETECTIONS_INPUT = -1
"""Stands for the detections where inputs are signal rows."""
_LOOP_COST = 50


@dataclass(frozen=True, eq=False)
class Batch:
    """What one evaluation computes over."""

    instants: Times
    signals: SignalState
    active: ActiveSamples | None
    make_looks: Callable[[], Looks]

    @cached_property
    def looks(self) -> Looks:
        """Laid out when the first loop asks for them."""
        return self.make_looks()


@dataclass(slots=True, eq=False)
class Vertex:
    """One sub-expression."""

    node: Node
    """Its arguments are vertices of the graph."""
    type: ValueType
    box: bool
    row: int
    """Of a signal."""
    inputs: frozenset[int]
    cost: int
    last: v.Value | None = None
    """Length 1: the value after the newest batch it was computed in; None when an input has changed since."""
    now: v.Value | None = None
    """For the instants of this batch."""


@dataclass(slots=True, eq=False)
class Graph:
    """Vertices of several programs; see the module."""

    rows: dict[str, int]
    vertices: list[Vertex] = field(default_factory=list)
    _known: dict[Node, int] = field(default_factory=dict)
    _dependents: dict[int, list[int]] = field(default_factory=dict)
    _computed: list[Vertex] = field(default_factory=list)

    def add(self, program: Program) -> int:
        """The vertex of a program's result. Raises ``KeyError`` naming a signal that the catalogue lacks."""
        at: list[int] = []
        for node, (kind, box) in zip(program.nodes, infer(program.nodes), strict=True):
            mapped = Node(node.op, tuple(at[arg] for arg in node.args), node.value)
            # 1 and 1.0 and True are equal as Python values; the type keeps them apart.
            key = Node(mapped.op, mapped.args, f"{kind}:{node.value!r}") if node.op is Op.LITERAL else mapped
            if key not in self._known:
                self._known[key] = self._append(mapped, kind, box)
            at.append(self._known[key])
        return at[-1]

    def changed(self, inputs: Iterable[int]) -> None:
        """These inputs have changed: forget what was computed from them."""
        for one in inputs:
            for at in self._dependents.get(one, ()):
                self.vertices[at].last = None

    def evaluate(self, at: int, batch: Batch) -> v.Planes:
        """A condition at the batch's instants, length n or 1."""
        return planes(self._value(at, batch))

    def finish(self) -> None:
        """The batch is over: keep what its last instant saw."""
        for vertex in self._computed:
            vertex.now = None
        self._computed.clear()

    def thresholds(self) -> tuple[dict[int, set[float]], set[int]]:
        """Literals that each row is compared with, and the rows that are used in any other way."""
        literals: dict[int, set[float]] = {}
        exact: set[int] = set()
        for vertex in self.vertices:
            args = [self.vertices[arg] for arg in vertex.node.args]
            compares = vertex.node.op in COMPARISONS | EQUALITIES
            for arg, other in zip(args, reversed(args), strict=True):
                if arg.node.op is Op.SIGNAL_DOUBLE and compares and other.node.op is Op.LITERAL:
                    literals.setdefault(arg.row, set()).add(literal_number(other.node))
                elif arg.node.op is Op.SIGNAL_DOUBLE:
                    exact.add(arg.row)
        for vertex in self.vertices:
            if vertex.node.op is Op.SIGNAL_BOOL:
                literals.setdefault(vertex.row, set()).add(0.0)
        return literals, exact

    def _append(self, node: Node, kind: ValueType, box: bool) -> int:
        at = len(self.vertices)
        row = self.rows[str(node.value)] if node.op in SIGNALS else -1
        args = [self.vertices[arg] for arg in node.args]
        inputs = frozenset[int]().union(*(arg.inputs for arg in args))
        if node.op in SIGNALS:
            inputs |= {row}
        elif node.op in {Op.DETECTIONS, Op.FIELD, Op.HAS, Op.SEEN}:
            inputs |= {DETECTIONS_INPUT}
        cost = 1 + sum(arg.cost for arg in args) + (_LOOP_COST if node.op in LOOPS else 0)
        self.vertices.append(Vertex(node, kind, box, row, inputs, cost))
        for one in inputs:
            self._dependents.setdefault(one, []).append(at)
        return at

    def _value(self, at: int, batch: Batch) -> v.Value:
        """A value that is not of box level, for the instants."""
        vertex = self.vertices[at]
        if vertex.now is not None:
            return vertex.now
        if vertex.last is not None:
            return vertex.last
        found = self._compute(vertex, batch)
        vertex.now, vertex.last = found, last(found)
        self._computed.append(vertex)
        return found

    def _compute(self, vertex: Vertex, batch: Batch) -> v.Value:
        node = vertex.node
        if node.op is Op.LITERAL:
            return literal(node)
        if node.op in SIGNALS:
            column = batch.signals.column(vertex.row, batch.active, batch.instants)
            return signal_bool(column) if node.op is Op.SIGNAL_BOOL else column
        if node.op in {Op.AND, Op.OR}:
            return self._logical(node, batch)
        if node.op is Op.SEEN:
            return take(batch.looks.seen(str(node.value)), batch.looks.at(batch.instants))
        if node.op in LOOPS or node.op in {Op.SIZE, Op.BOX_MAX}:
            return Loop(self.vertices, lambda arg: self._value(arg, batch), batch).reduce(node)
        return combine(node.op, vertex.type, [self._value(arg, batch) for arg in node.args])

    def _logical(self, node: Node, batch: Batch) -> v.Planes:
        first, second = (self.vertices[arg] for arg in node.args)
        order = node.args
        if (second.last is not None, -second.cost) > (first.last is not None, -first.cost):
            order = node.args[::-1]
        a = planes(self._value(order[0], batch))
        if node.op is Op.AND:
            return v.FALSE if a.false.all() else v.both(a, planes(self._value(order[1], batch)))
        return v.TRUE if a.true.all() else v.either(a, planes(self._value(order[1], batch)))
