"""Functions that look back over a window; ``temporal`` has their definitions.

Each keeps the *items* of its window (see ``sliding``) and gives a value for each instant at which an item comes or
leaves; between two of those nothing changes. What leaves is forgotten, so memory is bounded by the window.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final

import numpy as np

from fsd_agent.rules.triggers import sliding
from fsd_agent.rules.triggers.codes import (
    BOOLEAN,
    FALSE,
    FAR,
    NUMBER,
    TRUE,
    UNKNOWN,
    Codes,
    Kind,
    bits,
)
from fsd_agent.rules.triggers.operations import number
from fsd_agent.rules.triggers.sliding import Index, Items, Times
from fsd_agent.rules.triggers.steps import NEVER, Shown, Steps, when
from fsd_agent.rules.triggers.values import Column

_NS_PER_S: Final = 1e9
_UNKNOWN: Final = np.array(NUMBER.unknown)


class _Windowed:
    """A window over items: its value changes where an item comes and where one leaves."""

    def __init__(self, shown: Kind, window_ns: int) -> None:
        self._shown = Shown(shown)
        self._window_ns = np.array(window_ns)
        self._items = Items()

    def follow(self, steps: Steps, until_ns: int) -> Steps:
        """See :class:`Temporal`."""
        come_ns = self._take_up(steps) if steps.t_ns.shape[0] else NEVER
        leave_ns, gone = self._items.leave_ns, 0
        if self._items.first_ns < until_ns:
            gone = int(leave_ns.searchsorted(until_ns))
        elif not come_ns.shape[0]:
            return self._shown.nothing
        at_ns = sliding.merged(come_ns, leave_ns[:gone])
        lo = leave_ns.searchsorted(at_ns, "right")
        hi = leave_ns.searchsorted(at_ns + self._window_ns, "right")
        result = self._shown.steps(at_ns, self._look(lo, hi))
        self._forget(gone)
        return result

    def next_ns(self) -> int | None:
        """See :class:`Temporal`."""
        return when(self._items.first_ns)

    @abstractmethod
    def _take_up(self, steps: Steps) -> Times:
        """Append the items of a batch, which is not empty; at which of its instants the result may change."""

    @abstractmethod
    def _look(self, lo: Index, hi: Index) -> Codes:
        """The result where ``lo`` items have left and ``hi`` have ended, an instant being its own end."""

    def _forget(self, gone: int) -> None:
        """The first ``gone`` items have left."""
        self._items.drop(gone)


class _Stretched(_Windowed):
    """Items are the stretches over which the argument had one value, from the unknown one before any arrival on.

    A stretch leaves a window's length after its end. The window is from ``lo`` to ``hi``, both included: the stretch
    in force has not ended.
    """

    def __init__(self, kind: Kind, shown: Kind, window_ns: int) -> None:
        super().__init__(shown, window_ns)
        self._kind = kind
        self._now = kind.unknown
        self._items.append(np.array([FAR]), np.array([kind.unknown]))

    def _take_up(self, steps: Steps) -> Times:
        codes = self._kind.encode(steps.value)
        new = sliding.changes(codes, self._now)
        if not new.shape[0]:
            return NEVER
        at_ns, codes = steps.t_ns[new], codes[new]
        self._now = int(codes[-1])
        leave_ns = at_ns + self._window_ns
        self._items.close(leave_ns[0])
        leave_ns[:-1] = leave_ns[1:]
        leave_ns[-1] = FAR
        self._items.append(leave_ns, codes)
        return at_ns


class Extreme(_Stretched):
    """``ONCE``, ``MAX_OVER`` and ``MIN_OVER``: the least code of the stretches in the window.

    Of the items of earlier batches only those are kept that are less than all after them, so that the first one in
    the window is the least: few for a signal that goes up and down, and the whole window for one that only goes
    down.
    """

    def __init__(self, kind: Kind, window_ns: int) -> None:
        super().__init__(kind, kind, window_ns)
        self._old = len(self._items)
        """How many of the items were there before this batch; all of them when it brought none."""

    def _take_up(self, steps: Steps) -> Times:
        self._old = len(self._items)
        return super()._take_up(steps)

    def _look(self, lo: Index, hi: Index) -> Codes:
        codes, old = self._items.code, self._old
        result = codes[lo]
        if old < codes.shape[0]:
            late = int(hi.searchsorted(old))  # Where something of this batch has come.
            new = codes[old:]
            if new.shape[0] > 1:
                new = sliding.least(new, np.maximum(lo[late:] - old, 0), hi[late:] - old)
            np.minimum(result[late:], new, out=result[late:])
        return result

    def _forget(self, gone: int) -> None:
        items, old = self._items, self._old
        leave_ns, codes = items.leave_ns, items.code
        if old < codes.shape[0]:
            kept = sliding.leaders(codes[old:]) + old
            ahead = int(codes[:old].searchsorted(codes[kept[0]]))
            if ahead < kept[0] or kept.shape[0] > 1:
                leave_ns, codes = leave_ns[kept], codes[kept]
                items.cut(ahead)
                items.append(leave_ns, codes)
                gone = min(gone, ahead) + int(kept.searchsorted(gone))
        items.drop(gone)
        self._old = len(items)


class Rate(_Stretched):
    """``RATE``."""

    def __init__(self, window_ns: int) -> None:
        super().__init__(NUMBER, NUMBER, window_ns)
        self._window_s = np.array(window_ns / _NS_PER_S)

    def _look(self, lo: Index, hi: Index) -> Codes:
        codes = self._items.code
        now, then = codes[hi], codes[lo]
        result = bits((now.view(np.float64) - then.view(np.float64)) / self._window_s)
        np.putmask(result, (now == _UNKNOWN) | (then == _UNKNOWN), _UNKNOWN)
        return result


class Statistic(_Windowed):
    """``MEAN_OVER`` and ``STD_OVER``: items are the arrivals that are known. Each look costs the window's length."""

    def __init__(self, over: Callable[[Column, Index, Index], Column], window_ns: int) -> None:
        super().__init__(NUMBER, window_ns)
        self._over = over

    def _take_up(self, steps: Steps) -> Times:
        x, at_ns = number(steps.value), steps.t_ns
        value = x.value
        known = x.known.nonzero()[0]
        if known.shape[0] < value.shape[0]:
            at_ns, value = at_ns[known], value[known]
        self._items.append(at_ns + self._window_ns, value.view(np.int64))
        return at_ns

    def _look(self, lo: Index, hi: Index) -> Codes:
        result = bits(self._over(self._items.samples, lo, hi))
        np.putmask(result, lo == hi, _UNKNOWN)
        return result


class Count(_Windowed):
    """``COUNT_OVER``: items are the instants at which the argument turned true."""

    def __init__(self, window_ns: int) -> None:
        super().__init__(NUMBER, window_ns)
        self._now: int | None = None
        """None before the first arrival."""

    def _take_up(self, steps: Steps) -> Times:
        codes = BOOLEAN.encode(steps.value)
        before = sliding.shifted(codes, UNKNOWN if self._now is None else self._now)
        rises_ns = steps.t_ns[(before == FALSE) & (codes == TRUE)]
        self._items.append(rises_ns + self._window_ns, np.zeros(rises_ns.shape, np.int64))
        first, self._now = self._now is None, int(codes[-1])
        return sliding.merged(steps.t_ns[:1], rises_ns) if first else rises_ns

    def _look(self, lo: Index, hi: Index) -> Codes:
        return bits((hi - lo).astype(np.float64))
