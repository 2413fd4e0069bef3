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
"""As a time: never. As a number's code: unknown; the bits are those of a NaN that :func:`_one_nan` never gives."""
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
    """Codes of numbers that are all known, as :data:`NUMBER` has them. May share no memory with ``column``."""
    return _one_nan(column, _NAN).view(np.int64)


def _one_nan(column: Column, nan: NDArray[np.float64]) -> Column:
    return np.where(column == column, column, nan)  # noqa: PLR0124 - a NaN is what differs from itself


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
    codes = bits(n.value)
    codes[~n.known] = FAR
    return codes


def _decode_number(codes: Codes) -> Number:
    known = codes != FAR
    return Number(np.where(known, codes.view(np.float64), 0.0), known)


def _sortable(codes: Codes) -> Codes:
    """The bits of doubles as integers of the same order, and back: of a negative one all bits but the sign turn."""
    return codes ^ ((codes >> 63) & FAR)


def _encode_least(value: Value) -> Codes:
    n = number(value)
    return _ranks(n.value, n)


def _encode_greatest(value: Value) -> Codes:
    n = number(value)
    return _ranks(-n.value, n)


def _ranks(column: Column, n: Number) -> Codes:
    """Ordered as the column is; NaN comes before everything, unknown after it."""
    codes = _sortable(_one_nan(column, _NEGATIVE_NAN).view(np.int64))
    codes[~n.known] = FAR
    return codes


def _decode_least(codes: Codes) -> Number:
    known = codes != FAR
    column = np.where(known, _sortable(codes).view(np.float64), 0.0)
    return Number(_one_nan(column, _NAN), known)


def _decode_greatest(codes: Codes) -> Number:
    least = _decode_least(codes)
    return Number(_one_nan(-least.value, _NAN), least.known)


BOOLEAN: Final = Kind(_UNKNOWN, _encode_planes, _decode_planes)
"""Ordered: true before unknown before false."""
NUMBER: Final = Kind(FAR, _encode_number, _decode_number)
"""Not ordered."""
LEAST: Final = Kind(FAR, _encode_least, _decode_least)
"""Numbers; the least number comes first, NaN before it, unknown last; -0.0 is less than 0.0."""
GREATEST: Final = Kind(FAR, _encode_greatest, _decode_greatest)
"""Numbers; the greatest number comes first, NaN before it, unknown last."""
TRUE, UNKNOWN, FALSE = _TRUE, _UNKNOWN, _FALSE
