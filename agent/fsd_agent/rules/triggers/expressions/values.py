"""Three-valued arithmetic over arrays: what is true, what is false, and what is neither.

A boolean is two planes, *true* and *false*; where both are clear the value is unknown (never received, stale, or
an error such as an integer divided by zero). Then ``and`` is (T & T, F | F), ``or`` is (T | T, F & F) and ``not``
swaps: the logic of CEL, where ``true || unknown`` is true and ``false && unknown`` is false. A number is a value
and a plane that says where it is known. Missing is not NaN: a NaN was received, and compares as IEEE 754 says.

CEL's rules that numpy does not share (CEL language definition, "Values" and "Logical operators"):
an integer divided by zero, or one that leaves its range, is an error; integer division truncates towards zero and
the remainder takes the dividend's sign. Doubles divide by zero to infinities and NaN without error.

Arrays have length n, or length 1 for one value everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.program import INT_LIMIT, Op

Plane = NDArray[np.bool_]
Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A boolean."""

    true: Plane
    false: Plane


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """An integer or a double."""

    value: Column
    known: Plane


Value = Planes | Number

YES: Final = np.ones(1, np.bool_)
NO: Final = np.zeros(1, np.bool_)
TRUE: Final = Planes(YES, NO)
FALSE: Final = Planes(NO, YES)

_COMPARE: Final[dict[Op, Callable[[Any, Any], Any]]] = {
    Op.EQ: np.equal,
    Op.NE: np.not_equal,
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.GT: np.greater,
    Op.GE: np.greater_equal,
}
_ARITHMETIC: Final[dict[Op, Callable[[Any, Any], Any]]] = {
    Op.ADD: np.add,
    Op.SUB: np.subtract,
    Op.MUL: np.multiply,
    Op.DIV: np.true_divide,
}


def known_bool(plane: Plane, known: Plane) -> Planes:
    """A boolean that is ``plane`` where it is known."""
    return Planes(plane & known, known & ~plane)


def negate(a: Planes) -> Planes:
    """``!a``."""
    return Planes(a.false, a.true)


def both(a: Planes, b: Planes) -> Planes:
    """``a && b``."""
    return Planes(a.true & b.true, a.false | b.false)


def either(a: Planes, b: Planes) -> Planes:
    """``a || b``."""
    return Planes(a.true | b.true, a.false & b.false)


def compare(op: Op, a: Number, b: Number) -> Planes:
    """A comparison or equality of numbers; integers below 2**53 compare with doubles exactly."""
    return known_bool(_COMPARE[op](a.value, b.value), a.known & b.known)


def same(op: Op, a: Planes, b: Planes) -> Planes:
    """``==`` or ``!=`` of booleans."""
    known = (a.true | a.false) & (b.true | b.false)
    equal = a.true == b.true
    return known_bool(equal if op is Op.EQ else ~equal, known)


def double_arithmetic(op: Op, a: Number, b: Number) -> Number:
    """Doubles, as IEEE 754 has it."""
    return Number(_ARITHMETIC[op](a.value, b.value), a.known & b.known)


def int_arithmetic(op: Op, a: Number, b: Number) -> Number:
    """Integers, held as doubles: an error (unknown) on division by zero and from 2**53 on."""
    known = a.known & b.known
    if op in {Op.DIV, Op.MOD}:
        known = known & (b.value != 0)
        divisor = np.where(b.value == 0, 1.0, b.value)
        # fmod is exact and has the dividend's sign; what is left divides without a remainder, exactly.
        rest = np.fmod(a.value, divisor)
        result = rest if op is Op.MOD else (a.value - rest) / divisor
    else:
        result = _ARITHMETIC[op](a.value, b.value)
    return Number(_whole(result), known & (np.abs(result) < INT_LIMIT))


def opposite(a: Number) -> Number:
    """``-a`` of doubles."""
    return Number(-a.value, a.known)


def int_opposite(a: Number) -> Number:
    """``-a`` of integers; their range is symmetric here, so nothing overflows."""
    return Number(_whole(-a.value), a.known)


def _whole(value: Column) -> Column:
    """Integers have one zero, and no division by it may tell where it came from."""
    return value + 0.0


def as_double(a: Number) -> Number:
    """``double(a)``: integers are held as doubles already."""
    return a


def choose(test: Planes, a: Value, b: Value) -> Value:
    """``test ? a : b``: unknown where the test is."""
    if isinstance(a, Planes) and isinstance(b, Planes):
        return Planes(
            (test.true & a.true) | (test.false & b.true), (test.true & a.false) | (test.false & b.false)
        )
    if isinstance(a, Number) and isinstance(b, Number):
        known = (test.true & a.known) | (test.false & b.known)
        return Number(np.where(test.true, a.value, b.value), known)
    raise TypeError("both branches have one type in a checked program")
