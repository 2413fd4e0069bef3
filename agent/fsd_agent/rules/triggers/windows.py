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


class _Windowed:
    """A window over items: its value changes where an item comes and where one leaves."""

    _in_force: int
    """How many items are in the window that have come but not ended: 1 where items are stretches, which leave
    ``window_ns`` after their end, 0 where they are instants, which leave ``window_ns`` after themselves."""

    def __init__(self, shown: Kind, window_ns: int) -> None:
        self._shown = Shown(shown)
        self._window_ns = window_ns
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
        hi = leave_ns.searchsorted(at_ns + self._window_ns, "right") + self._in_force
        result = self._shown.steps(at_ns, self._look(lo, hi))
        self._forget(until_ns, gone)
        return result

    def next_ns(self) -> int | None:
        """See :class:`Temporal`."""
        return when(self._items.first_ns)

    @abstractmethod
    def _take_up(self, steps: Steps) -> Times:
        """Append the items of a batch, which is not empty; at which of its instants the result may change."""

    @abstractmethod
    def _look(self, lo: Index, hi: Index) -> Codes:
        """The result over each ``items[lo:hi]``."""

    def _forget(self, until_ns: int, gone: int) -> None:
        """``gone`` items left before ``until_ns``."""
        del until_ns
        self._items.drop(gone)


class _Stretched(_Windowed):
    """Items are the stretches over which the argument had one value, from the unknown one before any arrival on."""

    _in_force = 1

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
        leave_ns = np.full(at_ns.shape, FAR)
        leave_ns[:-1] = at_ns[1:] + self._window_ns
        self._items.close(int(at_ns[0]) + self._window_ns)
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
            early = int(hi.searchsorted(old, "right"))  # Instants before anything of this batch came.
            new = sliding.least(codes[old:], np.maximum(lo[early:] - old, 0), hi[early:] - old)
            np.minimum(result[early:], new, out=result[early:])
        return result

    def _forget(self, until_ns: int, gone: int) -> None:
        items, old = self._items, self._old
        leave_ns, codes = items.leave_ns, items.code
        if old < codes.shape[0]:
            kept = sliding.leaders(codes[old:]) + old
            ahead = int(codes[:old].searchsorted(codes[kept[0]]))
            leave_ns, codes = leave_ns[kept], codes[kept]
            items.cut(ahead)
            items.append(leave_ns, codes)
            gone = int(items.leave_ns.searchsorted(until_ns))
        items.drop(gone)
        self._old = len(items)


class Rate(_Stretched):
    """``RATE``."""

    def __init__(self, window_ns: int) -> None:
        super().__init__(NUMBER, NUMBER, window_ns)
        self._window_s = window_ns / _NS_PER_S

    def _look(self, lo: Index, hi: Index) -> Codes:
        codes = self._items.code
        now, then = codes[hi - 1], codes[lo]
        with np.errstate(all="ignore"):  # Infinities and NaN are values.
            result = bits((now.view(np.float64) - then.view(np.float64)) / self._window_s)
        result[(now == FAR) | (then == FAR)] = FAR
        return result


class Statistic(_Windowed):
    """``MEAN_OVER`` and ``STD_OVER``: items are the arrivals that are known. Each look costs the window's length."""

    _in_force = 0

    def __init__(self, over: Callable[[Column, Index, Index], Column], window_ns: int) -> None:
        super().__init__(NUMBER, window_ns)
        self._over = over

    def _take_up(self, steps: Steps) -> Times:
        x, at_ns = number(steps.value), steps.t_ns
        value = x.value
        if not x.known.all():
            at_ns, value = at_ns[x.known], value[x.known]
        self._items.append(at_ns + self._window_ns, value.view(np.int64))
        return at_ns

    def _look(self, lo: Index, hi: Index) -> Codes:
        with np.errstate(all="ignore"):  # Infinities and NaN are values.
            result = bits(self._over(self._items.samples, lo, hi))
        result[lo == hi] = FAR
        return result


class Count(_Windowed):
    """``COUNT_OVER``: items are the instants at which the argument turned true."""

    _in_force = 0

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
