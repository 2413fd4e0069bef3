"""Expressions as closures over the newest value of every row: the way to ask for one instant.

The rules are those of ``values``, one value at a time; that both give the same is tested. None is unknown. What looks
at detections is not for here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from math import copysign, fmod, inf, isnan, nan
from typing import Any, Final

from fsd_agent.records.program import ARITHMETIC, COMPARISONS, EQUALITIES, INT_LIMIT, Node, Op, ValueType
from fsd_agent.rules.triggers.expressions.graph import Vertex
from fsd_agent.rules.triggers.expressions.operations import literal_number
from fsd_agent.rules.triggers.past.temporal import Scalar

Ask = Callable[[], Any]
"""Gives a :data:`Scalar`."""
_COMPARE: Final[dict[Op, Callable[[Any, Any], bool]]] = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}


def ask(vertices: Sequence[Vertex], at: int, newest: Sequence[Scalar]) -> Ask:
    """The closure of a vertex that is not of box level and has no detections below it; ``newest`` is by row."""
    vertex = vertices[at]
    node = vertex.node
    if vertex.row >= 0:
        return _row(vertex, newest)
    if node.op is Op.LITERAL:
        value = node.value if isinstance(node.value, bool) else literal_number(node)
        return lambda: value
    if node.op in COMPARISONS | EQUALITIES:
        return _comparison(vertices, node, newest)
    args = [ask(vertices, arg, newest) for arg in node.args]
    if node.op is Op.NEG:
        return _negated(args[0], 0.0 if vertex.type is ValueType.INT else -0.0)
    if node.op in ARITHMETIC:
        return _pair(_WHOLE[node.op] if vertex.type is ValueType.INT else _DOUBLE[node.op], *args)
    return _MADE[node.op](*args)


def _row(vertex: Vertex, newest: Sequence[Scalar]) -> Ask:
    row = vertex.row
    if vertex.type is not ValueType.BOOL:
        return lambda: newest[row]

    def boolean() -> Scalar:
        value = newest[row]
        return None if value is None or isnan(value) else value != 0

    return boolean


def _comparison(vertices: Sequence[Vertex], node: Node, newest: Sequence[Scalar]) -> Ask:
    compare, (first, second) = _COMPARE[node.op], (vertices[arg] for arg in node.args)
    is_literal = second.node.op is Op.LITERAL and not isinstance(second.node.value, bool)
    if first.row < 0 or first.type is ValueType.BOOL or not is_literal:
        return _pair(compare, *(ask(vertices, arg, newest) for arg in node.args))
    row, literal = first.row, literal_number(second.node)  # What most conditions consist of, in one call.

    def value() -> Scalar:
        a = newest[row]
        return None if a is None else compare(a, literal)

    return value


def _pair(function: Callable[[Any, Any], Scalar], first: Ask, second: Ask) -> Ask:
    def value() -> Scalar:
        a = first()
        if a is None:
            return None
        b = second()
        return None if b is None else function(a, b)

    return value


def _and(first: Ask, second: Ask) -> Ask:
    def value() -> Scalar:
        a = first()
        if a is False:
            return False
        b = second()
        return b if a or b is False else None

    return value


def _or(first: Ask, second: Ask) -> Ask:
    def value() -> Scalar:
        a = first()
        if a is True:
            return True
        b = second()
        return b if a is False or b is True else None

    return value


def _not(first: Ask) -> Ask:
    def value() -> Scalar:
        a = first()
        return None if a is None else not a

    return value


def _negated(first: Ask, zero: float) -> Ask:
    """``zero`` is added: 0.0 makes one of both zeros, -0.0 changes nothing."""

    def value() -> Scalar:
        a = first()
        return None if a is None else -a + zero

    return value


def _if(test: Ask, first: Ask, second: Ask) -> Ask:
    def value() -> Scalar:
        chosen = test()
        if chosen is None:
            return None
        result: Scalar = first() if chosen else second()
        return result

    return value


def _divided(a: float, b: float) -> float:
    """As IEEE 754 has it."""
    if b:
        return a / b
    return nan if a == 0 or isnan(a) or isnan(b) else copysign(inf, a) * copysign(1.0, b)


def _whole(function: Callable[[float, float], float]) -> Callable[[float, float], Scalar]:
    """Integers: an error (unknown) from 2**53 on, and one zero, which ``+ 0.0`` makes of both."""

    def value(a: float, b: float) -> Scalar:
        result = function(a, b)
        return result + 0.0 if abs(result) < INT_LIMIT else None

    return value


def _quotient(a: float, b: float) -> Scalar:
    """Truncated towards zero; fmod is exact and has the dividend's sign."""
    return (a - fmod(a, b)) / b + 0.0 if b else None


def _remainder(a: float, b: float) -> Scalar:
    return fmod(a, b) + 0.0 if b else None


_DOUBLE: Final[dict[Op, Callable[[Any, Any], Scalar]]] = {
    Op.ADD: operator.add,
    Op.SUB: operator.sub,
    Op.MUL: operator.mul,
    Op.DIV: _divided,
}
_WHOLE: Final[dict[Op, Callable[[Any, Any], Scalar]]] = {
    Op.ADD: _whole(operator.add),
    Op.SUB: _whole(operator.sub),
    Op.MUL: _whole(operator.mul),
    Op.DIV: _quotient,
    Op.MOD: _remainder,
}
_MADE: Final[dict[Op, Callable[..., Ask]]] = {
    Op.AND: _and,
    Op.OR: _or,
    Op.NOT: _not,
    Op.TO_DOUBLE: lambda first: first,
    Op.IF: _if,
}
