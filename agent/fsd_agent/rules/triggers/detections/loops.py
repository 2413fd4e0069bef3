"""Loops over detections: ``exists``, ``all``, ``exists_one``, ``filter``, ``size`` and the largest value of a list.

A predicate that refers to nothing but its detection is computed once for each look; one that also reads a
signal, once for each instant and box. Errors and unknowns follow CEL: ``exists`` is true where any element is,
false where all are, unknown otherwise; ``all`` the other way round; ``filter``, ``exists_one``, ``size`` and the
largest value are unknown where any element can't be decided, and the largest of none is unknown too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.program import EQUALITIES, OPTIONAL_FIELDS, Node, Op, ValueType
from fsd_agent.rules.triggers.detections.looks import Axis, Looks
from fsd_agent.rules.triggers.expressions import values as v
from fsd_agent.rules.triggers.expressions.operations import combine, number, planes, take
from fsd_agent.rules.triggers.signals.columns import Times

_Scalar = TypeVar("_Scalar", np.bool_, np.float64)


class LoopVertex(Protocol):
    """What a loop needs to know of a sub-expression."""

    @property
    def node(self) -> Node:
        """The step; its arguments are positions of other sub-expressions."""
        ...

    @property
    def type(self) -> ValueType:
        """What it gives."""
        ...

    @property
    def box(self) -> bool:
        """Whether it is of box level."""
        ...


class LoopBatch(Protocol):
    """What a loop needs to know of a batch."""

    @property
    def instants(self) -> Times:
        """When to evaluate."""
        ...

    @property
    def looks(self) -> Looks:
        """Detections."""
        ...


class Loop:
    """One loop over detections, with the filters below it."""

    def __init__(
        self, vertices: Sequence[LoopVertex], value_of: Callable[[int], v.Value], batch: LoopBatch
    ) -> None:
        self._vertices = vertices
        self._value_of = value_of
        self._batch = batch
        self._rows: dict[int, v.Value] = {}
        self._axis: Axis

    def reduce(self, node: Node) -> v.Value:
        """``exists``, ``all``, ``exists_one``, ``size`` or the largest value, for the instants."""
        batch = self._batch
        if self._per_instant(node):
            self._axis = batch.looks.axis_at(batch.instants)
            return self._over_axis(node)
        self._axis = batch.looks.axis
        found = self._over_axis(node)
        return take(found, batch.looks.at(batch.instants)) if self._axis.points > 1 else found

    def _per_instant(self, node: Node) -> bool:
        """Whether anything in the predicates differs between instants of one look."""
        vertices = self._vertices
        todo = list(node.args)
        while todo:
            vertex = vertices[todo.pop()]
            if vertex.box or vertex.node.op in {Op.FILTER, Op.DETECTIONS}:
                todo.extend(vertex.node.args)
            elif vertex.node.op is not Op.LITERAL:
                return True
        return False

    def _over_axis(self, node: Node) -> v.Value:
        axis = self._axis
        inside, sound = self._list(node.args[0])
        if node.op is Op.SIZE:
            count = np.bincount(axis.point[inside], minlength=axis.points)
            return v.Number(count.astype(np.float64), sound & axis.whole)
        if node.op is Op.BOX_MAX:
            return self._largest(number(self._row_value(node.args[1])), inside, sound)
        point = axis.point[inside]
        if not point.shape[0]:
            return v.known_bool(np.full(axis.points, node.op is Op.ALL), sound & axis.whole)
        test = planes(self._row_value(node.args[1]))
        true = np.bincount(point[_rows(test.true, inside)], minlength=axis.points)
        false = np.bincount(point[_rows(test.false, inside)], minlength=axis.points)
        every = np.bincount(point, minlength=axis.points)
        if node.op is Op.EXISTS:
            return v.Planes(sound & (true > 0), sound & axis.whole & (false == every))
        if node.op is Op.ALL:
            return v.Planes(sound & axis.whole & (true == every), sound & (false > 0))
        return v.known_bool(true == 1, sound & axis.whole & (true + false == every))

    def _largest(self, of: v.Number, inside: v.Plane, sound: v.Plane) -> v.Number:
        """NaN where a NaN is among the values, as in every comparison of them."""
        axis = self._axis
        point = axis.point[inside]
        largest = np.full(axis.points, -np.inf)
        np.maximum.at(largest, point, _rows(of.value, inside))
        every = np.bincount(point, minlength=axis.points)
        known = np.bincount(point[_rows(of.known, inside)], minlength=axis.points)
        return v.Number(largest, sound & axis.whole & (every > 0) & (known == every))

    def _list(self, at: int) -> tuple[v.Plane, v.Plane]:
        """Which rows a list holds, and at which points each of its filters could be decided."""
        axis = self._axis
        node = self._vertices[at].node
        if node.op is Op.DETECTIONS:
            return np.ones(axis.box.shape[0], np.bool_), np.ones(axis.points, np.bool_)
        inside, sound = self._list(node.args[0])
        test = planes(self._row_value(node.args[1]))
        unknown = inside & ~(test.true | test.false)
        if unknown.any():
            sound = sound & (np.bincount(axis.point[unknown], minlength=axis.points) == 0)
        return inside & test.true, sound

    def _row_value(self, at: int) -> v.Value:
        """Any value, for the axis' rows (length r or 1)."""
        vertex = self._vertices[at]
        if not vertex.box:
            return take(self._value_of(at), self._axis.point)
        if at not in self._rows:
            self._rows[at] = self._compute(vertex)
        return self._rows[at]

    def _compute(self, vertex: LoopVertex) -> v.Value:
        node, looks, box = vertex.node, self._batch.looks, self._axis.box
        if node.op is Op.FIELD:
            return _numbers(str(node.value), looks, box)
        if node.op is Op.HAS:
            return v.known_bool(~np.isnan(looks.column(str(node.value))[box]), v.YES)
        if node.op in EQUALITIES:
            field_node, other = (self._vertices[arg].node for arg in node.args)
            if isinstance(other.value, str) and other.op is Op.LITERAL:
                plane = looks.matches(str(field_node.value), other.value)[box]
                return v.known_bool(plane if node.op is Op.EQ else ~plane, v.YES)
        if node.op in {Op.AND, Op.OR}:
            return self._logical(node)
        return combine(node.op, vertex.type, [self._row_value(arg) for arg in node.args])

    def _logical(self, node: Node) -> v.Planes:
        a = planes(self._row_value(node.args[0]))
        if node.op is Op.AND:
            return v.FALSE if a.false.all() else v.both(a, planes(self._row_value(node.args[1])))
        return v.TRUE if a.true.all() else v.either(a, planes(self._row_value(node.args[1])))


def _numbers(name: str, looks: Looks, box: NDArray[np.intp]) -> v.Number:
    value = looks.column(name)[box]
    return v.Number(value, ~np.isnan(value) if name in OPTIONAL_FIELDS else v.YES)


def _rows(column: NDArray[_Scalar], inside: v.Plane) -> NDArray[_Scalar]:
    return column[inside] if column.shape[0] > 1 or inside.shape[0] == 1 else np.repeat(column, inside.sum())
