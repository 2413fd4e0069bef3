"""Operations of a program on values: which of ``values`` each :class:`~fsd_agent.records.program.Op` is."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.program import ARITHMETIC, COMPARISONS, EQUALITIES, Node, Op, ValueType
from fsd_agent.rules.triggers.expressions import values as v

_Array = TypeVar("_Array", v.Column, v.Plane)


def combine(op: Op, result: ValueType, args: list[v.Value]) -> v.Value:
    """An operation that looks at nothing but its arguments, of any level."""
    if op is Op.IF:
        return v.choose(planes(args[0]), args[1], args[2])
    if isinstance(args[0], v.Planes):
        return _boolean(op, [planes(arg) for arg in args])
    return _numeric(op, result, [number(arg) for arg in args])


def _boolean(op: Op, args: list[v.Planes]) -> v.Planes:
    if op is Op.NOT:
        return v.negate(args[0])
    if op in EQUALITIES:
        return v.same(op, args[0], args[1])
    return {Op.AND: v.both, Op.OR: v.either}[op](args[0], args[1])


def _numeric(op: Op, result: ValueType, args: list[v.Number]) -> v.Value:
    if op in COMPARISONS | EQUALITIES:
        return v.compare(op, args[0], args[1])
    if op in ARITHMETIC:
        arithmetic = v.int_arithmetic if result is ValueType.INT else v.double_arithmetic
        return arithmetic(op, args[0], args[1])
    if op is Op.NEG:
        return v.int_opposite(args[0]) if result is ValueType.INT else v.opposite(args[0])
    return v.as_double(args[0])


def literal(node: Node) -> v.Value:
    """The value of a literal, length 1."""
    if isinstance(node.value, bool):
        return v.TRUE if node.value else v.FALSE
    return v.Number(np.array([literal_number(node)]), v.YES)


def literal_number(node: Node) -> float:
    """The number of a numeric literal. Raises ``TypeError`` for a text."""
    if isinstance(node.value, int | float):
        return float(node.value)
    raise TypeError("a text literal has no number")


def signal_bool(column: v.Number) -> v.Planes:
    """Booleans arrive as numbers; a NaN is neither true nor false."""
    return v.known_bool(column.value != 0, column.known & ~np.isnan(column.value))


def planes(value: v.Value) -> v.Planes:
    """``value`` as the boolean that a checked program made sure it is."""
    if isinstance(value, v.Planes):
        return value
    raise TypeError("expected a boolean in a checked program")


def number(value: v.Value) -> v.Number:
    """``value`` as the number that a checked program made sure it is."""
    if isinstance(value, v.Number):
        return value
    raise TypeError("expected a number in a checked program")


def take(value: v.Value, index: NDArray[np.intp]) -> v.Value:
    """The value at ``index``; one value everywhere stays one."""
    if isinstance(value, v.Number):
        return v.Number(_one(value.value, index), _one(value.known, index))
    return v.Planes(_one(value.true, index), _one(value.false, index))


def _one(column: _Array, index: NDArray[np.intp]) -> _Array:
    return column[index] if column.shape[0] > 1 else column


def last(value: v.Value) -> v.Value:
    """Its last element, length 1."""
    if isinstance(value, v.Number):
        return v.Number(value.value[-1:], value.known[-1:])
    return v.Planes(value.true[-1:], value.false[-1:])
