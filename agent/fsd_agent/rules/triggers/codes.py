"""Values as one 64-bit integer each, so that "the same value" is one comparison and the least of a window is exact.

A :class:`Kind` says how. A code stands for one value and one value only: unknown is a code, NaN is a code (all NaN
are one value, whatever their sign and payload), and ``0.0`` and ``-0.0`` are two, because ``1.0 / x`` tells them
apart. Where a kind has an order, the least code is the value that wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.operations import number, planes
from fsd_agent.rules.triggers.values import Column, Number, Planes, Value

Codes = NDArray[np.int64]

FAR: Final = int(np.iinfo(np.int64).max)
"""As a time: never. As a number's code: unknown; the bits are those of a NaN other than the one that is coded."""
_UNKNOWN_NUMBER: Final = np.array(FAR)  # An array: numpy takes twice as long for a Python integer.
_SIGN_SHIFT: Final = np.array(63)
_ALL_BUT_SIGN: Final = np.array(FAR)
_NAN: Final = np.array(np.nan)
_NEGATIVE_NAN: Final = np.copysign(_NAN, -1.0)

_TRUE: Final = 0
_UNKNOWN: Final = 1
_FALSE: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """How values of one type are coded."""

    unknown: int
    encode: Callable[[Value], Codes]
    """Value of length k to codes, shape (k,)."""
    decode: Callable[[Codes], Value]


def bits(column: Column) -> Codes:
    """Codes of numbers that are all known, as :data:`NUMBER` has them, in the memory of ``column``."""
    np.putmask(column, np.isnan(column), _NAN)
    return column.view(np.int64)


def _encode_planes(value: Value) -> Codes:
    p = planes(value)
    code = p.false.astype(np.int64)
    code -= p.true
    code += _UNKNOWN
    return code


def _decode_planes(codes: Codes) -> Planes:
    return Planes(codes == _TRUE, codes == _FALSE)


def _encode_number(value: Value) -> Codes:
    n = number(value)
    codes = bits(n.value.copy())
    np.putmask(codes, ~n.known, _UNKNOWN_NUMBER)
    return codes


def _decode_number(codes: Codes) -> Number:
    return Number(codes.view(np.float64), codes != _UNKNOWN_NUMBER)


def _sortable(codes: Codes) -> Codes:
    """The bits of doubles as integers of the same order, and back: of a negative one all bits but the sign turn."""
    turned: Codes = codes >> _SIGN_SHIFT
    turned &= _ALL_BUT_SIGN
    turned ^= codes
    return turned


def _encode_least(value: Value) -> Codes:
    n = number(value)
    return _ranks(n.value.copy(), n)


def _encode_greatest(value: Value) -> Codes:
    n = number(value)
    return _ranks(-n.value, n)


def _ranks(column: Column, n: Number) -> Codes:
    """Ordered as the column is; NaN comes before everything, unknown after it."""
    np.putmask(column, np.isnan(column), _NEGATIVE_NAN)
    codes = _sortable(column.view(np.int64))
    np.putmask(codes, ~n.known, _UNKNOWN_NUMBER)
    return codes


def _decode_least(codes: Codes) -> Number:
    return Number(_sortable(codes).view(np.float64), codes != _UNKNOWN_NUMBER)


def _decode_greatest(codes: Codes) -> Number:
    least = _decode_least(codes)
    return Number(-least.value, least.known)


BOOLEAN: Final = Kind(_UNKNOWN, _encode_planes, _decode_planes)
"""Ordered: true before unknown before false."""
NUMBER: Final = Kind(FAR, _encode_number, _decode_number)
"""Not ordered."""
LEAST: Final = Kind(FAR, _encode_least, _decode_least)
"""Numbers; the least number comes first, NaN before it, unknown last; -0.0 is less than 0.0."""
GREATEST: Final = Kind(FAR, _encode_greatest, _decode_greatest)
"""Numbers; the greatest number comes first, NaN before it, unknown last."""
TRUE, UNKNOWN, FALSE = _TRUE, _UNKNOWN, _FALSE
