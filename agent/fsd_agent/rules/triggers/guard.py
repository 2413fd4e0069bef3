"""The guard: drops samples that can't change any comparison.

A row that conditions use only in comparisons with literals has *gaps* between neighbouring literals, the literals
themselves being gaps of one value. While samples stay inside one gap no condition over the row can change. Kept are
the samples that lie in another gap than the sample of the row before them, and the first of a row that is fresh. What
is not known is a gap of its own, and so is NaN, which is known but compares with nothing. A row that is used in any
other way is *exact*: all its samples are kept.

Most batches leave nothing, and there the whole work is one comparison of every sample with the ends of its row's
gap. Rows that something left are then looked at sample by sample where they are few, and as arrays where many.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]
Column = NDArray[np.float64]
Plane = NDArray[np.bool_]

_NAN: Final = -1
_UNKNOWN: Final = -2
_FRESH: Final = -3
"""Codes of what is no gap between literals."""
_FEW: Final = 32
"""Samples that are cheaper to look at one by one than as arrays."""


class Marked(Protocol):
    """Samples, as far as the guard looks at them. Arrays of length n."""

    @property
    def row(self) -> NDArray[np.int32]:
        """Row of each sample."""
        ...

    @property
    def value(self) -> Column:
        """What it says."""
        ...

    @property
    def sound(self) -> Plane | None:
        """Where it is known, as long as it is in range; None is everywhere."""
        ...

    @property
    def known(self) -> Plane:
        """Where it is known."""
        ...


@dataclass(slots=True, eq=False)
class _Row:
    """One row that is looked out for."""

    edges: list[float]
    """Increasing; the gap of a value is how many are at most it."""
    minimum: float
    maximum: float
    exact: bool
    code: int = _FRESH
    """Gap of the newest sample."""

    def code_of(self, value: float, *, sound: bool) -> int:
        """The gap that a sample lies in."""
        if not sound or value < self.minimum or value > self.maximum:
            return _UNKNOWN
        return bisect_right(self.edges, value) if value == value else _NAN  # noqa: PLR0124 - NaN alone differs from itself

    def ends(self, value: float) -> tuple[float, float]:
        """The smallest and the largest value of which a sample after this one can be dropped unseen."""
        if self.exact or self.code in {_NAN, _FRESH}:
            return math.inf, -math.inf
        if self.code == _UNKNOWN:
            if value < self.minimum:
                return -math.inf, math.nextafter(self.minimum, -math.inf)
            if value > self.maximum:
                return math.nextafter(self.maximum, math.inf), math.inf
            return math.inf, -math.inf
        edges, code = self.edges, self.code
        low = edges[code - 1] if code else -math.inf
        high = math.nextafter(edges[code], -math.inf) if code < len(edges) else math.inf
        return max(low, self.minimum), min(high, self.maximum)


class Guard:
    """Gaps of the rows that are watched."""

    def __init__(self, row_count: int) -> None:
        self._rows: dict[int, _Row] = {}
        # The gap, both ends inside it; empty where every sample counts, everything where none does.
        self._low = np.full(row_count, -np.inf)
        self._high = np.full(row_count, np.inf)
        self._is_open = np.zeros(row_count, np.bool_)
        # numpy sorts short integers by their digits, more than twice as fast.
        self._sortable = np.int16 if row_count < 2**15 else np.int64
        self._edges = np.empty(0, np.complex128)
        self._first_edge = np.zeros(row_count, np.intp)

    def watch(
        self,
        thresholds: Mapping[int, Collection[float]],
        exact: Collection[int],
        minimum: Column,
        maximum: Column,
    ) -> None:
        """Look out for these rows, all fresh. ``minimum`` and ``maximum`` have one element a row."""
        low, high = minimum.tolist(), maximum.tolist()
        self._rows = {
            row: _Row(
                [] if row in exact else _edges(thresholds[row]),
                float(low[row]),
                float(high[row]),
                row in exact,
            )
            for row in sorted({*thresholds, *exact})
        }
        count = minimum.shape[0]
        self._low, self._high = np.full(count, -np.inf), np.full(count, np.inf)
        self._low[list(self._rows)], self._high[list(self._rows)] = np.inf, -np.inf
        self._is_open = np.zeros(count, np.bool_)
        self._first_edge = np.zeros(count, np.intp)
        parts: list[tuple[int, float]] = []
        for row, one in self._rows.items():
            self._first_edge[row] = len(parts)
            parts += [(row, edge) for edge in one.edges]
        self._edges = _row_and_value(
            np.array([row for row, _ in parts], np.int64), np.array([edge for _, edge in parts], np.float64)
        )

    def settle(self, row: int, value: float, *, known: bool) -> None:
        """The newest sample of a row that is not fresh."""
        one = self._rows.get(row)
        if one is not None:
            one.code = one.code_of(value, sound=known)
            self._low[row], self._high[row] = one.ends(value)

    def keep(self, samples: Marked) -> list[int] | Index | None:
        """Which samples are kept, in order; None where there is none."""
        row, value = samples.row, samples.value
        inside = (value >= self._low.take(row)) & (value <= self._high.take(row))
        if samples.sound is not None:
            inside &= samples.sound
        count = inside.shape[0]
        if np.count_nonzero(inside) == count:
            return None
        if count <= _FEW:
            return self._one_by_one(samples, range(count), inside) or None
        self._is_open[row[~inside]] = True
        at = np.flatnonzero(self._is_open.take(row))
        self._is_open[row[at]] = False
        if at.shape[0] <= _FEW:
            return self._one_by_one(samples, at.tolist(), inside) or None
        return self._as_arrays(samples, at)

    def _one_by_one(self, samples: Marked, positions: Collection[int], inside: Plane) -> list[int]:
        row, value, sound = samples.row.tolist(), samples.value.tolist(), samples.sound
        kept: list[int] = []
        moved: dict[int, float] = {}
        stays = inside.tolist()
        for at in positions:
            number = row[at]
            if stays[at] and number not in moved:
                continue
            one = self._rows.get(number)
            if one is None:
                continue
            x = value[at]
            code = one.code_of(x, sound=sound is None or bool(sound[at]))
            if code != one.code or one.exact:
                kept.append(at)
                one.code = code
            moved[number] = x
        for number, x in moved.items():
            self._low[number], self._high[number] = self._rows[number].ends(x)
        return kept

    def _as_arrays(self, samples: Marked, at: Index) -> Index | None:
        order = np.argsort(samples.row[at].astype(self._sortable), kind="stable")
        at = at[order]
        row, value, known = samples.row[at], samples.value[at], samples.known[at]
        code = np.searchsorted(self._edges, _row_and_value(row, value), "right") - self._first_edge[row]
        code[np.isnan(value)] = _NAN
        code[~known] = _UNKNOWN
        begins = np.flatnonzero(np.diff(row, prepend=-1))
        numbers = row[begins].tolist()
        before = np.empty_like(code)
        before[1:] = code[:-1]
        missing = _Row([], 0.0, 0.0, exact=False)
        rows = [self._rows.get(number, missing) for number in numbers]
        before[begins] = [one.code for one in rows]
        keep = code != before
        ends = np.append(begins[1:], row.shape[0])
        for number, one, begin, end in zip(numbers, rows, begins.tolist(), ends.tolist(), strict=True):
            if one is missing:
                keep[begin:end] = False
                continue
            if one.exact:
                keep[begin:end] = True
            one.code = int(code[end - 1])
            self._low[number], self._high[number] = one.ends(float(value[end - 1]))
        return np.sort(at[keep]) if keep.any() else None


def _edges(literals: Collection[float]) -> list[float]:
    """Each literal begins a gap that it fills alone."""
    return sorted({edge for one in literals for edge in (one, math.nextafter(one, math.inf))})


def _row_and_value(row: NDArray[np.integer], value: Column) -> NDArray[np.complex128]:
    """One sortable number of both: complex numbers are ordered by their real parts, then by their imaginary ones."""
    both = np.empty(row.shape[0], np.complex128)
    both.real, both.imag = row, value
    return both
