"""What each function that looks back remembers, and how an arrival or the passing of time changes it.

The definitions are in ``temporal``. Plain numbers and not arrays: in a tick of some milliseconds one sample arrives or
none, and an array operation costs more than all that is done for it here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import copysign, nan
from typing import Final

from fsd_agent.records.program import Op
from fsd_agent.rules.triggers.past.statistics import Samples
from fsd_agent.rules.triggers.past.temporal import FAR, Scalar, Temporal, same

_PAST: Final = -(2**62)
_NS_PER_S: Final = 1e9


def make_temporal(op: Op, window_ns: int) -> Temporal:
    """A node that has seen nothing. ``window_ns`` means nothing to RISE and PREVIOUS.

    Raises ``ValueError`` when ``op`` does not look back.
    """
    if op not in _MADE:
        raise ValueError(f"{op} does not look back")
    return _MADE[op](window_ns)


class _Memory:
    """What every node remembers. Instants come in order; at one instant everything is one change.

    Nodes are asked thousands of times a second, so that each takes up an arrival in one function.
    """

    __slots__ = ("_window_ns", "begun", "next_ns", "shown")

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self.next_ns = FAR
        """When something leaves."""
        self.shown: Scalar = None
        self.begun = False

    def _show(self, value: Scalar) -> bool:
        """The result is ``value`` now; whether that changes it."""
        before = self.shown
        if value is before or (value and value == before):
            return False
        # Where both are numbers and differ they are not the same: asked first, because it is what mostly happens.
        if (value == before or value != value) and same(value, before):  # noqa: PLR0124 - NaN alone differs from itself
            return False
        self.shown = value
        return True


class _Once(_Memory):
    """``ONCE``. Whether something true, and something unknown, is in the window: until when."""

    __slots__ = ("_now", "_true_ns", "_unknown_ns")

    def __init__(self, window_ns: int) -> None:
        super().__init__(window_ns)
        self._now: Scalar = None
        self._true_ns, self._unknown_ns = _PAST, FAR

    def arrive(self, t_ns: int, value: Scalar) -> bool:
        """See :class:`Temporal`."""
        self.begun = True
        if value is not self._now:
            if self._now is True:
                self._true_ns = t_ns + self._window_ns
            elif self._now is None:
                self._unknown_ns = t_ns + self._window_ns
            self._now = value
            if value is True:
                self._true_ns = FAR
            elif value is None:
                self._unknown_ns = FAR
        return self.lapse(t_ns)

    def lapse(self, t_ns: int) -> bool:
        """See :class:`Temporal`."""
        is_true, is_unknown = t_ns < self._true_ns, t_ns < self._unknown_ns
        self.next_ns = min(self._true_ns if is_true else FAR, self._unknown_ns if is_unknown else FAR)
        return self._show(True if is_true else (None if is_unknown else False))


class _Rise(_Memory):
    """``RISE``. What leaves is the pulse, which lasts 1 ns."""

    __slots__ = ("_now",)

    def __init__(self, window_ns: int) -> None:
        super().__init__(window_ns)
        self._now: Scalar = None

    def arrive(self, t_ns: int, value: Scalar) -> bool:
        """See :class:`Temporal`."""
        self.begun = True
        before, self._now = self._now, value
        if value is True and before is not True:
            self.next_ns = t_ns + 1
            return self._show(True if before is False else None)
        self.next_ns = FAR
        return self._show(None if value is None else False)

    def lapse(self, t_ns: int) -> bool:  # noqa: ARG002 - there is one pulse, and it ends now
        """See :class:`Temporal`."""
        self.next_ns = FAR
        return self._show(False)


class _Previous(_Memory):
    """``PREVIOUS``. Nothing ever leaves."""

    __slots__ = ("_now",)

    def __init__(self, window_ns: int) -> None:
        super().__init__(window_ns)
        self._now: Scalar = None

    def arrive(self, t_ns: int, value: Scalar) -> bool:  # noqa: ARG002 - when it arrives does not matter
        """See :class:`Temporal`."""
        self.begun = True
        before, self._now = self._now, value
        return self._show(before)

    def lapse(self, t_ns: int) -> bool:  # noqa: ARG002
        """Never called: nothing lapses."""
        return False


class _Rate(_Memory):
    """``RATE``. A value comes in force a window ago when that much time has passed."""

    __slots__ = ("_now", "_on_the_way", "_then", "_window_s")

    def __init__(self, window_ns: int) -> None:
        super().__init__(window_ns)
        self._window_s = window_ns / _NS_PER_S
        self._now: Scalar = None
        self._then: Scalar = None
        self._on_the_way: deque[tuple[int, Scalar]] = deque()

    def arrive(self, t_ns: int, value: Scalar) -> bool:
        """See :class:`Temporal`."""
        self.begun = True
        if not same(value, self._now):
            self._now = value
            self._on_the_way.append((t_ns + self._window_ns, value))
            self.next_ns = self._on_the_way[0][0]
        return self.lapse(t_ns)

    def lapse(self, t_ns: int) -> bool:
        """See :class:`Temporal`."""
        if self.next_ns <= t_ns:
            on_the_way = self._on_the_way
            while on_the_way and on_the_way[0][0] <= t_ns:
                self._then = on_the_way.popleft()[1]
            self.next_ns = on_the_way[0][0] if on_the_way else FAR
        if self._now is None or self._then is None:
            return self._show(None)
        return self._show((self._now - self._then) / self._window_s)


class _Extreme(_Memory):
    """``MAX_OVER`` and ``MIN_OVER``, which is the greatest of the negated values, negated.

    Kept are the values that are greater than all after them: only they can be the greatest of a window that ends
    later. The first is the greatest now.
    """

    __slots__ = ("_is_nan", "_kept", "_nan_ns", "_now", "_sign")

    def __init__(self, window_ns: int, sign: float) -> None:
        super().__init__(window_ns)
        self._sign = sign
        self._kept: deque[list[float]] = deque()
        """Value, and when it leaves: FAR for the one in force."""
        self._now: list[float] | None = None
        """The one in force, where it is a number."""
        self._is_nan, self._nan_ns = False, _PAST

    def arrive(self, t_ns: int, value: Scalar) -> bool:
        """See :class:`Temporal`."""
        self.begun = True
        if self._now is not None:
            self._now[1] = t_ns + self._window_ns
        if self._is_nan:
            self._nan_ns = t_ns + self._window_ns
        self._now, self._is_nan = None, value is not None and value != value  # noqa: PLR0124 - NaN alone differs from itself
        if self._is_nan:
            self._nan_ns = FAR
        elif value is not None:
            x = self._sign * value
            kept = self._kept
            while kept and (kept[-1][0] < x or not _greater(kept[-1][0], x)):
                kept.pop()
            self._now = [x, FAR]
            kept.append(self._now)
        return self.lapse(t_ns)

    def lapse(self, t_ns: int) -> bool:
        """See :class:`Temporal`."""
        kept, nan_ns = self._kept, self._nan_ns
        while kept and kept[0][1] <= t_ns:
            kept.popleft()
        first_ns = int(kept[0][1]) if kept else FAR
        if nan_ns > t_ns:
            self.next_ns = min(first_ns, nan_ns)
            return self._show(nan)
        self.next_ns = first_ns
        return self._show(self._sign * kept[0][0] if kept else None)


class _Count(_Memory):
    """``COUNT_OVER``: when each rise in the window leaves it."""

    __slots__ = ("_now", "_rises")

    def __init__(self, window_ns: int) -> None:
        super().__init__(window_ns)
        self._now: Scalar = None
        self._rises: deque[int] = deque()

    def arrive(self, t_ns: int, value: Scalar) -> bool:
        """See :class:`Temporal`."""
        self.begun = True
        if self._now is False and value is True:
            self._rises.append(t_ns + self._window_ns)
        self._now = value
        return self.lapse(t_ns)

    def lapse(self, t_ns: int) -> bool:
        """See :class:`Temporal`."""
        rises = self._rises
        while rises and rises[0] <= t_ns:
            rises.popleft()
        self.next_ns = rises[0] if rises else FAR
        return self._show(float(len(rises)))


class _Statistic(_Memory):
    """``MEAN_OVER`` and ``STD_OVER``."""

    __slots__ = ("_leaves", "_samples", "_squared")

    def __init__(self, window_ns: int, *, squared: bool) -> None:
        super().__init__(window_ns)
        self._squared = squared
        self._leaves: deque[int] = deque()
        self._samples = Samples(squares=squared)

    def arrive(self, t_ns: int, value: Scalar) -> bool:
        """See :class:`Temporal`."""
        self.begun = True
        if value is not None:
            self._samples.append(value)
            self._leaves.append(t_ns + self._window_ns)
        return self.lapse(t_ns)

    def lapse(self, t_ns: int) -> bool:
        """See :class:`Temporal`."""
        leaves, samples = self._leaves, self._samples
        while leaves and leaves[0] <= t_ns:
            leaves.popleft()
            samples.drop()
        if not leaves:
            self.next_ns = FAR
            return self._show(None)
        self.next_ns = leaves[0]
        return self._show(samples.deviation() if self._squared else samples.mean())


def _greater(a: float, b: float) -> bool:
    """By value; zero is greater than minus zero."""
    return a > b or (a == b == 0 and copysign(1.0, a) > copysign(1.0, b))


_MADE: Final[dict[Op, Callable[[int], Temporal]]] = {
    Op.ONCE: _Once,
    Op.RISE: _Rise,
    Op.PREVIOUS: _Previous,
    Op.RATE: _Rate,
    Op.MAX_OVER: lambda window_ns: _Extreme(window_ns, 1.0),
    Op.MIN_OVER: lambda window_ns: _Extreme(window_ns, -1.0),
    Op.MEAN_OVER: lambda window_ns: _Statistic(window_ns, squared=False),
    Op.STD_OVER: lambda window_ns: _Statistic(window_ns, squared=True),
    Op.COUNT_OVER: _Count,
}
