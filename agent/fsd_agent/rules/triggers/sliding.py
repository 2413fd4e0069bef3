"""What lies in a window that moves along, exact and without a running sum.

An *item* is a sample, or a stretch of time over which a value was in force. It *leaves* the window at one known
instant, and items leave in the order in which they came: at any instant the window is a range ``[lo, hi)`` of them.
What a window gives depends on its own items only, not on those before it nor on how time was cut into batches:
the least of integers is exact in any order, and a sum of doubles is ``np.add.reduceat`` over the window's samples,
which adds a segment up in an order that its length alone decides (pairwise; the tests hold it to that).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.codes import FAR, Codes
from fsd_agent.rules.triggers.values import Column

Times = NDArray[np.int64]
Index = NDArray[np.intp]

_FIRST: Final = np.zeros(1, np.intp)
_NONE: Final = np.zeros(0, np.intp)
_ROOM: Final = 64
"""Items that the smallest buffer holds."""
_FEW: Final = 8
"""Windows that are worked on one by one: as many as a tick has."""
_CHUNK: Final = 1 << 15
"""Samples that are spread out at once for deviations: 256 KiB, so that they stay in a core's cache."""


class Items:
    """Items in order, each an instant at which it leaves and a code; grows at its end, shrinks at both."""

    def __init__(self) -> None:
        self._leave = np.zeros(_ROOM, np.int64)
        self._code = np.zeros(_ROOM, np.int64)
        self._begin = self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def leave_ns(self) -> Times:
        """Strictly increasing; ``FAR`` for a value still in force. A view, good until the next change."""
        return self._leave[self._begin : self._end]

    @property
    def code(self) -> Codes:
        """One for each item. A view, good until the next change."""
        return self._code[self._begin : self._end]

    @property
    def samples(self) -> Column:
        """Codes as the doubles whose bits they are, and one more that means nothing: :func:`means` needs it."""
        return self._code[self._begin : self._end + 1].view(np.float64)

    @property
    def first_ns(self) -> int:
        """When the first leaves; ``FAR`` for never."""
        return int(self._leave[self._begin]) if self._end > self._begin else FAR

    def append(self, leave_ns: Times, code: Codes) -> None:
        """Take up items that leave after those that are there."""
        count = leave_ns.shape[0]
        if self._end + count >= self._leave.shape[0]:  # One place stays free, for ``samples``.
            self._move(count)
        end = self._end + count
        self._leave[self._end : end] = leave_ns
        self._code[self._end : end] = code
        self._end = end

    def close(self, leave_ns: np.int64) -> None:
        """The last item leaves then."""
        self._leave[self._end - 1] = leave_ns

    def drop(self, count: int) -> None:
        """Forget the first ``count``."""
        self._begin += count
        if self._leave.shape[0] > 8 * len(self) + 16 * _ROOM:
            self._move(0)  # What a batch needed that held far more than the window does is given back.

    def cut(self, length: int) -> None:
        """Forget all after the first ``length``."""
        self._end = self._begin + length

    def _move(self, count: int) -> None:
        """To new buffers, with as much room as is used: so an item is moved once or twice in its life."""
        length = len(self)
        leave, code = (np.zeros(2 * (length + count) + _ROOM, np.int64) for _ in range(2))
        leave[:length], code[:length] = self.leave_ns, self.code
        self._leave, self._code, self._begin, self._end = leave, code, 0, length


def changes(codes: Codes, before: int) -> Index:
    """Where a code differs from the one before it; ``before`` is the one before the first. ``codes`` is not empty."""
    if codes.shape[0] == 1:
        return _FIRST if codes[0] != before else _NONE
    different: NDArray[np.bool_] = codes != shifted(codes, before)
    return different.nonzero()[0]


def shifted(codes: Codes, before: int) -> Codes:
    """Of each code the one before it; ``before`` is that of the first. ``codes`` is not empty."""
    earlier = np.empty_like(codes)
    earlier[0] = before
    earlier[1:] = codes[:-1]
    return earlier


def merged(a: Times, b: Times) -> Times:
    """Two sorted lists as one, in which an instant may be there twice."""
    if not b.shape[0]:
        return a
    if not a.shape[0]:
        return b.copy()
    both = np.concatenate((a, b))
    both.sort(kind="stable")
    return both


def least(codes: Codes, first: Index, last: Index) -> Codes:
    """The least of each range of ``codes``, both ends included. By doubling: O(n log longest), however many ranges."""
    end = last + 1
    last_power = np.frexp(end - first)[1] - 1
    result = np.empty(first.shape[0], np.int64)
    table, power = codes, 0
    longest = int(last_power.max())
    while True:  # ``table[i]`` is the least of the 2**power codes from i on.
        at = np.flatnonzero(last_power == power)
        if at.shape[0]:
            result[at] = np.minimum(table[first[at]], table[end[at] - (1 << power)])
        if power == longest:
            return result
        table = np.minimum(table[: -(1 << power)], table[1 << power :])
        power += 1


def leaders(codes: Codes) -> Index:
    """Those that are less than all after them: only they can be the least of a window that ends later."""
    if codes.shape[0] == 1:
        return _FIRST
    behind = np.minimum.accumulate(codes[::-1])[::-1]
    return np.append(np.flatnonzero(codes[:-1] < behind[1:]), codes.shape[0] - 1)


def means(samples: Column, lo: Index, hi: Index) -> Column:
    """The mean of each ``samples[lo:hi]``, where ``hi < len(samples)``; anything where ``lo == hi``."""
    pairs = np.empty((lo.shape[0], 2), np.intp)
    pairs[:, 0], pairs[:, 1] = lo, hi
    totals: Column = np.add.reduceat(samples, pairs.reshape(-1))[::2]
    return totals / (hi - lo)


def deviations(samples: Column, lo: Index, hi: Index) -> Column:
    """The population standard deviation of each ``samples[lo:hi]``; 0 where ``lo == hi``.

    Windows of one length are worked on as rows of a matrix.
    """
    result = np.zeros(lo.shape[0])
    if lo.shape[0] <= _FEW:
        for at, (begin, end) in enumerate(zip(lo.tolist(), hi.tolist(), strict=True)):
            if begin < end:
                result[at] = _deviation(samples[begin:end])
        return result
    length = hi - lo
    order = np.argsort(length, kind="stable")
    bounds = np.flatnonzero(np.diff(length[order])) + 1
    for group in np.split(order, bounds):
        count = int(length[group[0]])
        if count == 0:
            continue
        rows = np.lib.stride_tricks.sliding_window_view(samples, count)
        step = max(1, _CHUNK // count)
        for at in range(0, group.shape[0], step):
            part = group[at : at + step]
            result[part] = _deviations(rows[lo[part]])
    return result


def _deviation(window: Column) -> float:
    """As :func:`_deviations` does for a row."""
    count = window.shape[0]
    off = window - window[0]
    off -= np.add.reduceat(off, _FIRST) / count
    off *= off
    return math.sqrt(np.add.reduceat(off, _FIRST)[0] / count)


def _deviations(rows: Column) -> Column:
    """Of each row; measured from its first sample, so that equal samples have a deviation of exactly 0."""
    count = rows.shape[1]
    off = rows - rows[:, :1]
    flat = off.reshape(-1)
    starts = np.arange(0, flat.shape[0], count)
    off -= (np.add.reduceat(flat, starts) / count)[:, np.newaxis]
    off *= off
    deviation: Column = np.sqrt(np.add.reduceat(flat, starts) / count)
    return deviation
