"""Expressions of all conditions in force as one graph: equal sub-expressions of any campaigns are computed once.

Evaluation is lazy. ``a && b`` does not look at ``b`` where ``a`` is false throughout, and what was computed in an
earlier batch is used again until something that it refers to changes. Each value is computed for all instants of
a :class:`Batch` at once; a value of box level for all boxes of all points of an :class:`~..detections.looks.Axis`.

Rows. Signals are rows of the sample stream, and so is everything else that arrives by itself or has a memory: a
drive mode, a zone, a head's score, the result of a function that looks back. Such a node is a leaf here, with the row
that :mod:`~..plan` gave it. What is left has no memory, and evaluating it later, or at more instants, changes nothing.

Loops. A predicate that refers to nothing but its detection is computed once for each look; one that also reads a
row, once for each instant and box.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from fsd_agent.records.program import COMPARISONS, EQUALITIES, LOOPS, SIGNALS, Node, Op, ValueType
from fsd_agent.rules.triggers.detections.looks import Looks
from fsd_agent.rules.triggers.detections.loops import Loop
from fsd_agent.rules.triggers.expressions import values as v
from fsd_agent.rules.triggers.expressions.operations import (
    combine,
    last,
    literal,
    literal_number,
    planes,
    signal_bool,
    take,
)
from fsd_agent.rules.triggers.signals.columns import ActiveSamples, Times
from fsd_agent.rules.triggers.signals.state import SignalState

DETECTIONS_INPUT: Final = -1
"""Stands for the detections where inputs are rows."""
_LOOKING: Final = frozenset({Op.DETECTIONS, Op.FIELD, Op.HAS, Op.SEEN})
_REDUCING: Final = LOOPS | {Op.SIZE, Op.BOX_MAX}
_LOOP_COST: Final = 50


@dataclass(frozen=True, eq=False)
class Batch:
    """What one evaluation computes over: instants that hold every arrival of what is evaluated."""

    instants: Times
    signals: SignalState
    active: ActiveSamples | None
    make_looks: Callable[[], Looks]
    values: dict[int, v.Value] = field(default_factory=dict)
    """What was computed for these instants so far, by vertex."""

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
    """Of a leaf that is a row; -1 otherwise."""
    inputs: frozenset[int]
    """Rows, and :data:`DETECTIONS_INPUT`."""
    cost: int = 0
    last: v.Value | None = None
    """Length 1: the newest value; None when an input has changed since it was computed."""
    changed_in: int = -1
    """Number of the batch in which an input changed most recently."""


@dataclass(slots=True, eq=False)
class Graph:
    """Vertices of several programs; see the module."""

    vertices: list[Vertex] = field(default_factory=list)
    _known: dict[tuple[Node, str], int] = field(default_factory=dict)
    _dependents: dict[int, list[int]] = field(default_factory=dict)
    _batch: int = 0

    def add(self, node: Node, kind: ValueType, *, box: bool) -> int:
        """The vertex of a node whose arguments are vertices; equal nodes are one vertex."""
        key = (node, f"{kind}:{type(node.value).__name__}")  # 1, 1.0 and True are equal in Python
        if key not in self._known:
            inputs = frozenset({DETECTIONS_INPUT} if node.op in _LOOKING else ())
            self._known[key] = self._append(Vertex(node, kind, box, -1, inputs))
        return self._known[key]

    def add_row(self, row: int, kind: ValueType) -> int:
        """The leaf that gives a row's newest value; INT and DOUBLE are numbers, BOOL is a number that is not 0."""
        node = Node(Op.SIGNAL_BOOL if kind is ValueType.BOOL else Op.SIGNAL_DOUBLE, (), f"row {row}")
        key = (node, str(kind))
        if key not in self._known:
            self._known[key] = self._append(Vertex(node, kind, False, row, frozenset({row})))
        return self._known[key]

    def begin(self, inputs: Iterable[int]) -> None:
        """A new batch, in which these inputs change."""
        self._batch += 1
        self.changed(inputs)

    def changed(self, inputs: Iterable[int]) -> None:
        """These inputs change in this batch, too: what was computed from them before it does not hold any more."""
        for one in inputs:
            for at in self._dependents.get(one, ()):
                vertex = self.vertices[at]
                vertex.last, vertex.changed_in = None, self._batch

    def value(self, at: int, batch: Batch) -> v.Value:
        """A value that is not of box level at the batch's instants: of length n, or 1 where it is the same at all."""
        vertex = self.vertices[at]
        if vertex.last is not None and vertex.changed_in != self._batch:
            return vertex.last
        found = batch.values.get(at)
        if found is None:
            found = batch.values[at] = self._compute(vertex, batch)
            vertex.last = last(found)
        return found

    def rows_below(self, at: int) -> frozenset[int]:
        """Every row that the vertex refers to."""
        return self.vertices[at].inputs - {DETECTIONS_INPUT}

    def thresholds(self, exact: Collection[int]) -> tuple[dict[int, set[float]], set[int]]:
        """Literals that each row is compared with, and rows that are used in any other way, ``exact`` included."""
        literals, otherwise = self._uses(self.vertices)
        return literals, otherwise | set(exact)

    def uses(self, at: int) -> tuple[dict[int, set[float]], set[int]]:
        """The same of one vertex and what is below it: literals by row, and rows that are used in any other way."""
        below, todo = set[int](), [at]
        while todo:
            one = todo.pop()
            if one not in below:
                below.add(one)
                todo += self.vertices[one].node.args
        literals, otherwise = self._uses([self.vertices[one] for one in below])
        top = self.vertices[at]
        return literals, otherwise | ({top.row} if top.node.op is Op.SIGNAL_DOUBLE else set())

    def _uses(self, vertices: Iterable[Vertex]) -> tuple[dict[int, set[float]], set[int]]:
        literals: dict[int, set[float]] = {}
        otherwise = set[int]()
        for vertex in vertices:
            args = [self.vertices[arg] for arg in vertex.node.args]
            compares = vertex.node.op in COMPARISONS | EQUALITIES
            for arg, other in zip(args, reversed(args), strict=True):
                if arg.node.op is not Op.SIGNAL_DOUBLE:
                    continue
                if compares and other.node.op is Op.LITERAL:
                    literals.setdefault(arg.row, set()).add(literal_number(other.node))
                else:
                    otherwise.add(arg.row)
            if vertex.node.op is Op.SIGNAL_BOOL:
                literals.setdefault(vertex.row, set()).add(0.0)
        return literals, otherwise

    def _append(self, vertex: Vertex) -> int:
        at = len(self.vertices)
        args = [self.vertices[arg] for arg in vertex.node.args]
        vertex.inputs = vertex.inputs.union(*(arg.inputs for arg in args))
        vertex.cost = 1 + sum(arg.cost for arg in args) + (_LOOP_COST if vertex.node.op in LOOPS else 0)
        self.vertices.append(vertex)
        for one in vertex.inputs:
            self._dependents.setdefault(one, []).append(at)
        return at

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
        if node.op in _REDUCING:
            return Loop(self.vertices, lambda arg: self.value(arg, batch), batch).reduce(node)
        return combine(node.op, vertex.type, [self.value(arg, batch) for arg in node.args])

    def _logical(self, node: Node, batch: Batch) -> v.Planes:
        first, second = (self.vertices[arg] for arg in node.args)
        order = node.args
        if (second.last is not None, -second.cost) > (first.last is not None, -first.cost):
            order = node.args[::-1]
        a = planes(self.value(order[0], batch))
        if node.op is Op.AND:
            return v.FALSE if a.false.all() else v.both(a, planes(self.value(order[1], batch)))
        return v.TRUE if a.true.all() else v.either(a, planes(self.value(order[1], batch)))
