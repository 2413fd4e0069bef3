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
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.signals.columns import Event
from fsd_agent.rules.triggers.signals.gaps import NAN, UNKNOWN, GapTable, RowGap

Index = NDArray[np.intp]
Column = NDArray[np.float64]
Plane = NDArray[np.bool_]

_FRESH: Final = -3
"""Code of the gap of a row that had no sample."""
_NOWHERE: Final = 2**62
"""After any place in a batch."""
_FEW: Final = 64
"""Samples that are cheaper to look at than to select from."""
_SOME: Final = 256
"""Samples that are cheaper to look at one by one than as arrays."""
_ROWS: Final = 3
"""Rows that are cheaper to look at one by one than all together."""


class Marked(Protocol):
    """Samples, as far as the guard looks at them. Arrays of length n."""

    @property
    def listed(self) -> tuple[list[int], list[int], list[float]]:
        """Times, rows and values as numbers."""
        ...

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """When each sample came."""
        ...

    @property
    def row(self) -> NDArray[np.int32]:
        """Its row."""
        ...

    @property
    def value(self) -> Column:
        """What it says."""
        ...

    @property
    def sound(self) -> Plane | None:
        """Where it is known, as long as it is in range; None is everywhere."""
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
            code = UNKNOWN
        else:
            code = bisect_right(self.edges, value) if value == value else NAN  # noqa: PLR0124 - NaN alone differs from itself
        moves, self.code = code != self.code, code
        self.stand(value)
        return moves or self.exact

    def stand(self, value: float) -> None:
        """Work out what can be dropped from now on, ``value`` being the newest."""
        if self.exact:
            return
        if self.code >= 0:
            self.low, self.high = self.lows[self.code], self.highs[self.code]
        elif self.code == UNKNOWN and value < self.minimum:
            self.low, self.high = -math.inf, math.nextafter(self.minimum, -math.inf)
        elif self.code == UNKNOWN and value > self.maximum:
            self.low, self.high = math.nextafter(self.maximum, math.inf), math.inf
        else:
            self.low, self.high = math.inf, -math.inf


class Guard:
    """Gaps of the rows that are watched.

    ``few``, ``some`` and ``rows`` say which of its ways a batch goes. All keep the same.
    """

    def __init__(self, row_count: int, *, few: int = _FEW, some: int = _SOME, rows: int = _ROWS) -> None:
        self._few, self._some, self._few_rows = few, some, rows
        self._rows: dict[int, _Row] = {}
        self._by_row: list[_Row | None] = [None] * row_count
        self._moved: set[int] = set()
        """Rows whose gap the arrays below do not have yet."""
        # The gap, both ends inside it; empty where every sample counts, everything where none does.
        self._low = np.full(row_count, -np.inf)
        self._high = np.full(row_count, np.inf)
        self._moves = np.full(row_count, _NOWHERE)
        """Where a batch has each row's first sample outside its gap, while it is looked at."""
        self._places = np.arange(0)
        self._unwatched = np.ones(row_count, np.bool_)
        self._exact = np.zeros(row_count, np.bool_)
        self._any_exact = False
        # numpy sorts short integers by their digits, more than twice as fast.
        self._sortable = np.int16 if row_count < 2**15 else np.int64
        self._table = GapTable([])

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
        gaps: list[RowGap] = []
        self._low[:], self._high[:], self._unwatched[:], self._exact[:] = -np.inf, np.inf, True, False
        for row in sorted({*thresholds, *exact}):
            literals = () if row in exact else thresholds[row]
            ends = float(minimum[row]), float(maximum[row])
            self._rows[row] = one = _row(literals, *ends, exact=row in exact)
            self._by_row[row] = one
            self._low[row], self._high[row] = one.low, one.high
            self._unwatched[row], self._exact[row] = False, one.exact
            gaps += _gaps(row, _row(literals, *ends, exact=row in exact))
        self._table = GapTable(gaps)
        self._any_exact = bool(exact)

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
                    kept.append((t_ns, number, x, one.code != UNKNOWN))
                self._moved.add(number)
        return kept

    def _settle_moved(self) -> None:
        """Tell the arrays what was taken up without them."""
        for number in self._moved:
            self._low[number], self._high[number] = self._rows[number].low, self._rows[number].high
        self._moved.clear()

    def keep(self, samples: Marked) -> list[Event] | Index:
        """The samples that are kept, or where they are, in order."""
        if self._moved:
            self._settle_moved()
        value = samples.value
        if not value.shape[0]:
            return []
        row = samples.row.astype(np.intp)  # As numpy would, for each of the selections below.
        inside = np.greater_equal(value, self._low.take(row))
        np.logical_and(inside, np.less_equal(value, self._high.take(row)), out=inside)
        if samples.sound is not None:
            np.logical_and(inside, samples.sound, out=inside)
        first = int(inside.argmin())
        if inside[first]:
            return []
        count = inside.shape[0]
        if count - first <= self._few:
            return self._one_by_one(samples, slice(first, None))
        # A row's samples before its first outside say nothing new, those after it may.
        back, moves = np.logical_not(inside).nonzero()[0][::-1], self._moves
        moves[row.take(back)] = back  # Where a row is there more than once, numpy keeps the last.
        np.putmask(moves, self._unwatched, _NOWHERE)
        if count > self._places.shape[0]:
            self._places = np.arange(2 * count)
        at = np.greater_equal(self._places[:count], moves.take(row)).nonzero()[0]
        some = np.flatnonzero(moves != _NOWHERE) if at.shape[0] > self._some else at
        moves.fill(_NOWHERE)
        if at.shape[0] <= self._some:
            return self._one_by_one(samples, at)
        if some.shape[0] <= self._few_rows:
            return self._row_by_row(samples, some.tolist())
        return self._as_arrays(samples, at)

    def _one_by_one(self, samples: Marked, some: slice | Index) -> list[Event]:
        sound = samples.sound[some].tolist() if samples.sound is not None else None
        times, rows, kept = samples.t_ns[some], self._by_row, list[Event]()
        for place, (number, x) in enumerate(
            zip(samples.row[some].tolist(), samples.value[some].tolist(), strict=True)
        ):
            one, is_sound = rows[number], sound is None or sound[place]
            if one is None or (is_sound and one.low <= x <= one.high):
                continue
            self._moved.add(number)
            if one.take(x, sound=is_sound):
                kept.append((int(times[place]), number, x, one.code != UNKNOWN))
        return kept

    def _row_by_row(self, samples: Marked, numbers: Sequence[int]) -> Index:
        kept: list[Index] = []
        for number in numbers:
            one = self._rows[number]
            at = (samples.row == number).nonzero()[0]
            value = samples.value.take(at)
            code = one.column.searchsorted(value, "right")
            # Written so that a NaN is not plain.
            if not (value.min() >= one.minimum and value.max() <= one.maximum):
                code[np.isnan(value)] = NAN
                code[np.logical_or(value < one.minimum, value > one.maximum)] = UNKNOWN
            if samples.sound is not None:
                code[~samples.sound.take(at)] = UNKNOWN
            moves = np.empty(code.shape, np.bool_)
            moves[0] = code[0] != one.code
            np.not_equal(code[1:], code[:-1], out=moves[1:])
            if one.exact:
                moves[:] = True
            one.code = int(code[-1])
            one.stand(float(value[-1]))
            self._low[number], self._high[number] = one.low, one.high
            kept.append(at[moves])
        found = kept[0] if len(kept) == 1 else np.concatenate(kept)
        found.sort()
        return found

    def _as_arrays(self, samples: Marked, at: Index) -> Index:
        row = samples.row.take(at)
        order = row.astype(self._sortable).argsort(kind="stable")
        at, row = at.take(order), row.take(order)
        sound = None if samples.sound is None else samples.sound.take(at)
        gap = self._table.find(row, samples.value.take(at), sound)
        code = self._table.code.take(gap)
        ends = np.empty(row.shape[0] + 1, np.bool_)
        ends[0] = ends[-1] = True
        np.not_equal(row[1:], row[:-1], out=ends[1:-1])
        ends_at = ends.nonzero()[0]
        first, last = ends_at[:-1], ends_at[1:] - 1
        moves = np.empty(row.shape, np.bool_)
        np.not_equal(code[1:], code[:-1], out=moves[1:])
        numbers = row.take(first)
        rows = [self._rows[number] for number in numbers.tolist()]
        moves[first] = code.take(first) != [one.code for one in rows]
        if self._any_exact:
            np.logical_or(moves, self._exact.take(row), out=moves)
        self._stand(numbers, rows, gap.take(last))
        return np.sort(at[moves])

    def _stand(self, numbers: NDArray[np.int32], rows: Sequence[_Row], gap: Index) -> None:
        """Rows stand in these gaps of the table now."""
        self._low[numbers] = low = self._table.low.take(gap)
        self._high[numbers] = high = self._table.high.take(gap)
        newest = zip(rows, self._table.code.take(gap).tolist(), low.tolist(), high.tolist(), strict=True)
        for one, code, its_low, its_high in newest:
            one.code, one.low, one.high = code, its_low, its_high


def _row(literals: Collection[float], minimum: float, maximum: float, *, exact: bool) -> _Row:
    edges = edges_of(literals)
    lows = [max(low, minimum) for low in (-math.inf, *edges)]
    highs = [min(high, maximum) for high in (*(math.nextafter(edge, -math.inf) for edge in edges), math.inf)]
    return _Row(edges, lows, highs, minimum, maximum, exact, np.array(edges, np.float64))


def edges_of(literals: Collection[float]) -> list[float]:
    """Each literal begins a gap that it fills alone."""
    return sorted({edge for one in literals for edge in (one, math.nextafter(one, math.inf))})


def _gaps(row: int, one: _Row) -> Iterator[RowGap]:
    """All gaps of a row, as ``one`` of its own finds them: each from the smallest value in it."""
    for begin in sorted({-math.inf, one.minimum, *one.edges, math.nextafter(one.maximum, math.inf)}):
        one.take(begin, sound=True)
        yield RowGap(row, begin, one.code, one.low, one.high)
