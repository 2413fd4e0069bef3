"""The gaps of all rows that the guard watches as one table, in which those of many samples are found at once.

A row's gaps cover all values, so that what is out of its range lies in a gap like any other. Two gaps of a row may
have the same code: below and above its range it is not known. A row moves where the code changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]
Column = NDArray[np.float64]
Plane = NDArray[np.bool_]

NAN: Final = -1
UNKNOWN: Final = -2
"""Codes of what is no gap between literals."""


@dataclass(frozen=True, slots=True)
class RowGap:
    """Values of a row that conditions can't tell from each other."""

    row: int
    begin: float
    """The smallest of them; the first gap of a row begins at minus infinity."""
    code: int
    """Which gap it is of the row's."""
    low: float
    high: float
    """Smallest and largest value of which a sample can be dropped unseen while the row is in this gap."""


class GapTable:
    """See the module. ``gaps`` are in order of rows and values; those found are positions in the columns.

    They are one place on from those in ``gaps``, for what is found is how many begin at most at a value. After all of
    them come the gap of NaN and that of what is not known.
    """

    __slots__ = ("_begins", "_unknown", "code", "high", "low")

    def __init__(self, gaps: Sequence[RowGap]) -> None:
        rows, values = [gap.row for gap in gaps], [gap.begin for gap in gaps]
        # What begins after all rows, so that the last gap is not that of NaN, which is sorted after everything.
        self._begins = _row_and_value(
            np.array([*rows, math.inf], np.float64), np.array([*values, 0.0], np.float64)
        )
        self._unknown = len(gaps) + 2
        self.code = np.array([NAN, *(gap.code for gap in gaps), NAN, UNKNOWN], np.int64)
        """Of each gap, as the row knows it."""
        self.low = np.array([math.inf, *(gap.low for gap in gaps), math.inf, math.inf])
        self.high = np.array([-math.inf, *(gap.high for gap in gaps), -math.inf, -math.inf])

    def find(self, row: NDArray[np.int32], value: Column, sound: Plane | None) -> Index:
        """The gap of each sample. Fast where they are sorted by row; ``sound`` is None where all are."""
        found = self._begins.searchsorted(_row_and_value(row, value), "right")
        if sound is not None:
            found[~sound] = self._unknown
        return found


def _row_and_value(row: NDArray[np.number], value: Column) -> NDArray[np.complex128]:
    """One sortable number of both: complex numbers are ordered by their real parts, then by their imaginary ones."""
    both = np.empty(row.shape[0], np.complex128)
    both.real, both.imag = row, value
    return both
