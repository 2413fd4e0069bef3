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
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.signals.columns import Event

Index = NDArray[np.intp]
Column = NDArray[np.float64]
Plane = NDArray[np.bool_]

_NAN: Final = -1
_UNKNOWN: Final = -2
_FRESH: Final = -3
"""Codes of what is no gap between literals."""
_FEW: Final = 64
"""Samples that are cheaper to look at than to select from."""
_SOME: Final = 160
"""Samples that are cheaper to look at one by one than as arrays."""
_ROWS: Final = 3
"""Rows that are cheaper to look at one by one than all together."""


_FEW_LEFT: Final = 16
"""Samples that are cheaper to hand on one by one."""


class Marked(Protocol):
    """Samples, as far as the guard looks at them. Arrays of length n."""

    @property
    def listed(self) -> tuple[list[int], list[int], list[float]]:
        """Times, rows and values as numbers."""
        ...

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

    def known_at(self, at: Index) -> Plane:
        """Whether samples are known, by position."""
        ...


@dataclass(slots=True, eq=False)
class _Row:
    """One row that is looked out for."""

    edges: list[float]
    """Increasing; the gap of a value is how many are at most it."""
    lows: list[float]
    """The smallest value of each gap."""
    highs: list[float]
    """The largest."""
    minimum: float
    maximum: float
    exact: bool
    column: Column
    """The edges as an array."""
    code: int = _FRESH
    """Gap of the newest sample."""
    low: float = math.inf
    """The smallest and the largest value of which a sample after the newest can be dropped unseen."""
    high: float = -math.inf

    def take(self, value: float, *, sound: bool) -> bool:
        """Take up a sample; whether it is in another gap than the one before."""
        if not sound or value < self.minimum or value > self.maximum:
            code = _UNKNOWN
        else:
            code = bisect_right(self.edges, value) if value == value else _NAN  # noqa: PLR0124 - NaN alone differs from itself
        moves, self.code = code != self.code, code
        self.stand(value)
        return moves or self.exact

    def stand(self, value: float) -> None:
        """Work out what can be dropped from now on, ``value`` being the newest."""
        if self.exact:
            return
        if self.code >= 0:
            self.low, self.high = self.lows[self.code], self.highs[self.code]
        elif self.code == _UNKNOWN and value < self.minimum:
            self.low, self.high = -math.inf, math.nextafter(self.minimum, -math.inf)
        elif self.code == _UNKNOWN and value > self.maximum:
            self.low, self.high = math.nextafter(self.maximum, math.inf), math.inf
        else:
            self.low, self.high = math.inf, -math.inf


class Guard:
    """Gaps of the rows that are watched."""

    def __init__(self, row_count: int) -> None:
        self._rows: dict[int, _Row] = {}
        self._by_row: list[_Row | None] = [None] * row_count
        self._moved: set[int] = set()
        """Rows whose gap the arrays below do not have yet."""
        # The gap, both ends inside it; empty where every sample counts, everything where none does.
        self._low = np.full(row_count, -np.inf)
        self._high = np.full(row_count, np.inf)
        self._is_open = np.zeros(row_count, np.bool_)
        self._watched = np.zeros(row_count, np.bool_)
        self._exact = np.zeros(row_count, np.bool_)
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
        self._rows, self._by_row = {}, [None] * len(self._by_row)
        self._moved.clear()
        parts: list[tuple[int, float]] = []
        self._low[:], self._high[:], self._watched[:], self._exact[:] = -np.inf, np.inf, False, False
        for row in sorted({*thresholds, *exact}):
            literals = () if row in exact else thresholds[row]
            self._rows[row] = one = _row(
                literals, float(minimum[row]), float(maximum[row]), exact=row in exact
            )
            self._by_row[row] = one
            self._low[row], self._high[row] = one.low, one.high
            self._watched[row], self._exact[row] = True, one.exact
            self._first_edge[row] = len(parts)
            parts += [(row, edge) for edge in one.edges]
        self._edges = _row_and_value(
            np.array([row for row, _ in parts], np.int64), np.array([edge for _, edge in parts], np.float64)
        )

    def settle(self, row: int, value: float, *, known: bool) -> None:
        """The newest sample of a row that is not fresh."""
        one = self._rows.get(row)
        if one is not None:
            one.take(value, sound=known)
            self._low[row], self._high[row] = one.low, one.high

    def events(self, samples: Marked) -> list[Event]:
        """The samples that are kept, in order: the way for a handful, without one operation on arrays between."""
        rows, kept = self._by_row, list[Event]()
        sound = samples.sound.tolist() if samples.sound is not None else None
        for at, (t_ns, number, x) in enumerate(zip(*samples.listed, strict=True)):
            one, is_sound = rows[number], sound is None or sound[at]
            if one is None:
                continue
            if one.exact:
                kept.append((t_ns, number, x, is_sound and not (x < one.minimum or x > one.maximum)))
            elif not (is_sound and one.low <= x <= one.high):
                if one.take(x, sound=is_sound):
                    kept.append((t_ns, number, x, one.code != _UNKNOWN))
                self._moved.add(number)
        return kept

    def _settle_moved(self) -> None:
        """Tell the arrays what was taken up without them."""
        for number in self._moved:
            self._low[number], self._high[number] = self._rows[number].low, self._rows[number].high
        self._moved.clear()

    def keep(self, samples: Marked) -> list[int] | Index | None:
        """Which samples are kept, in order; None where there is none."""
        if self._moved:
            self._settle_moved()
        row, value = samples.row, samples.value
        if not row.shape[0]:
            return None
        inside = np.greater_equal(value, self._low.take(row))
        np.logical_and(inside, np.less_equal(value, self._high.take(row)), out=inside)
        if samples.sound is not None:
            np.logical_and(inside, samples.sound, out=inside)
        first = int(inside.argmin())
        if inside[first]:
            return None
        count = inside.shape[0]
        if count - first <= _FEW:
            return self._one_by_one(samples, slice(first, None), range(first, count))
        left = row[~inside]
        self._is_open[left] = self._watched.take(left)
        some = self._is_open.nonzero()[0]
        if some.shape[0] <= _ROWS:
            self._is_open[some] = False
            return self._row_by_row(samples, some.tolist())
        at = np.flatnonzero(self._is_open.take(row))
        self._is_open[some] = False
        return (
            self._one_by_one(samples, at, at.tolist())
            if at.shape[0] <= _SOME
            else self._as_arrays(samples, at)
        )

    def _one_by_one(self, samples: Marked, some: slice | Index, positions: Iterable[int]) -> list[int] | None:
        value = samples.value[some]
        sound: list[bool] | None = None
        if samples.sound is not None:
            sound = samples.sound[some].tolist()
            value = np.where(samples.sound[some], value, np.nan)
        rows = self._rows
        kept: list[int] = []
        left: set[int] = set()
        for place, (at, number, x) in enumerate(
            zip(positions, samples.row[some].tolist(), value.tolist(), strict=True)
        ):
            one = rows.get(number)
            if one is None or one.low <= x <= one.high:
                continue
            left.add(number)
            if one.take(x, sound=sound is None or sound[place]):
                kept.append(at)
        for number in left:
            self._low[number], self._high[number] = rows[number].low, rows[number].high
        return kept or None

    def _row_by_row(self, samples: Marked, numbers: Sequence[int]) -> list[int] | Index | None:
        kept: list[Index] = []
        for number in numbers:
            one = self._rows[number]
            at = (samples.row == number).nonzero()[0]
            value = samples.value.take(at)
            code = one.column.searchsorted(value, "right")
            # Written so that a NaN is not plain.
            plain = samples.sound is None and value.min() >= one.minimum and value.max() <= one.maximum
            if not plain:
                code[np.isnan(value)] = _NAN
                code[~samples.known_at(at)] = _UNKNOWN
            moves = np.empty(code.shape, np.bool_)
            moves[0] = code[0] != one.code
            np.not_equal(code[1:], code[:-1], out=moves[1:])
            if one.exact:
                moves[:] = True
            one.code = int(code[-1])
            one.stand(float(value[-1]))
            self._low[number], self._high[number] = one.low, one.high
            kept.append(at[moves])
        if not kept:
            return None
        found = kept[0] if len(kept) == 1 else np.concatenate(kept)
        found.sort()
        if found.shape[0] > _FEW_LEFT:
            return found
        return found.tolist() or None

    def _as_arrays(self, samples: Marked, at: Index) -> Index | None:
        row = samples.row.take(at)
        order = np.argsort(row.astype(self._sortable), kind="stable")
        at, row = at.take(order), row.take(order)
        value, known = samples.value.take(at), samples.known_at(at)
        code = self._edges.searchsorted(_row_and_value(row, value), "right") - self._first_edge.take(row)
        code[np.isnan(value)] = _NAN
        code[~known] = _UNKNOWN
        begins = np.ones(row.shape, np.bool_)
        np.not_equal(row[1:], row[:-1], out=begins[1:])
        keep = np.empty(row.shape, np.bool_)
        np.not_equal(code[1:], code[:-1], out=keep[1:])
        starts = np.flatnonzero(begins)
        rows = [self._rows[number] for number in row[starts].tolist()]
        keep[starts] = code[starts] != np.array([one.code for one in rows])
        np.logical_or(keep, self._exact.take(row), out=keep)
        last = np.append(starts[1:], row.shape[0]) - 1
        for one, newest, x in zip(rows, code[last].tolist(), value[last].tolist(), strict=True):
            one.code = newest
            one.stand(x)
        numbers = row[last]
        self._low[numbers], self._high[numbers] = [one.low for one in rows], [one.high for one in rows]
        return np.sort(at[keep]) if keep.any() else None


def _row(literals: Collection[float], minimum: float, maximum: float, *, exact: bool) -> _Row:
    edges = edges_of(literals)
    lows = [max(low, minimum) for low in (-math.inf, *edges)]
    highs = [min(high, maximum) for high in (*(math.nextafter(edge, -math.inf) for edge in edges), math.inf)]
    return _Row(edges, lows, highs, minimum, maximum, exact, np.array(edges, np.float64))


def edges_of(literals: Collection[float]) -> list[float]:
    """Each literal begins a gap that it fills alone."""
    return sorted({edge for one in literals for edge in (one, math.nextafter(one, math.inf))})


def _row_and_value(row: NDArray[np.integer], value: Column) -> NDArray[np.complex128]:
    """One sortable number of both: complex numbers are ordered by their real parts, then by their imaginary ones."""
    both = np.empty(row.shape[0], np.complex128)
    both.real, both.imag = row, value
    return both
