"""Functions that look back, over values as functions of time. The definitions; the contract is :class:`~.steps.Temporal`.

A value is a step function of time, continuous from the right: from an arrival at t_i on it is v_i, before the first
arrival it is unknown. v_i is *in force* on [t_i, t_{i+1}), and so at some instant of a window of length w that ends
at t exactly for t_i <= t < t_{i+1} + w. Every result is again such a function, exact to the nanosecond, and a
function of the arrivals alone: wherever time is cut into calls, the same steps come out.

The definitions, x(t) a number and c(t) a boolean:

* ``ONCE(c, w)``: true where a stretch of true, false where none of true or unknown, lies in (t - w, t]; else unknown.
* ``RISE(c)``: true for 1 ns where c turns from false to true, unknown for 1 ns where it turns from unknown to true;
  else false where c is known and unknown where not.
* ``PREVIOUS(x)``: the value of the arrival before the newest.
* ``RATE(x, w)``: (x(t) - x(t - w)) / w, per second; unknown unless both are known.
* ``MAX_OVER``, ``MIN_OVER(x, w)``: of the known values in force at some instant of [t - w, t]; NaN if one is NaN.
* ``MEAN_OVER``, ``STD_OVER(x, w)``: of the arrivals in (t - w, t] that are known, each one sample.
* ``COUNT_OVER(c, w)``: how often c turned from false to true in (t - w, t]; known from the first arrival on.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fsd_agent.records.program import Op
from fsd_agent.rules.triggers import sliding, windows
from fsd_agent.rules.triggers.codes import BOOLEAN, FALSE, FAR, GREATEST, LEAST, NUMBER, TRUE, UNKNOWN, Codes
from fsd_agent.rules.triggers.sliding import Times
from fsd_agent.rules.triggers.steps import NEVER, Shown, Steps, Temporal, when
from fsd_agent.rules.triggers.values import Planes

__all__ = ["Steps", "Temporal", "make_temporal"]


def make_temporal(op: Op, window_ns: int) -> Temporal:
    """A node that has seen nothing. ``window_ns`` means nothing to RISE and PREVIOUS.

    Raises ``ValueError`` when ``op`` does not look back.
    """
    if op is Op.RISE:
        return _Rise()
    if op is Op.PREVIOUS:
        return _Previous()
    if op is Op.RATE:
        return windows.Rate(window_ns)
    if op is Op.COUNT_OVER:
        return windows.Count(window_ns)
    if op in _EXTREMES:
        return windows.Extreme(_EXTREMES[op], window_ns)
    if op in _STATISTICS:
        return windows.Statistic(_STATISTICS[op], window_ns)
    raise ValueError(f"{op} does not look back")


class _Rise:
    """``RISE``."""

    def __init__(self) -> None:
        self._shown = Shown(BOOLEAN)
        self._now = UNKNOWN
        self._end_ns = FAR
        """When the pulse of an earlier batch ends."""

    def follow(self, steps: Steps, until_ns: int) -> Steps:
        """See :class:`Temporal`."""
        at_ns, codes = NEVER, NEVER
        end_ns = self._end_ns
        if end_ns < until_ns:
            self._end_ns = FAR
        if steps.t_ns.shape[0]:
            at_ns, codes = self._pulses(steps, until_ns)
        if end_ns < until_ns and not (at_ns.shape[0] and at_ns[0] == end_ns):
            at_ns, codes = np.append(end_ns, at_ns), np.append(FALSE, codes)
        return self._shown.steps(at_ns, codes)

    def next_ns(self) -> int | None:
        """See :class:`Temporal`."""
        return when(self._end_ns)

    def _pulses(self, steps: Steps, until_ns: int) -> tuple[Times, Codes]:
        """At each change of the argument what it gives, and 1 ns later the end of a pulse unless the next is there."""
        codes = BOOLEAN.encode(steps.value)
        new = sliding.changes(codes, self._now)
        if not new.shape[0]:
            return NEVER, NEVER
        at_ns, codes = steps.t_ns[new], codes[new]
        before = sliding.shifted(codes, self._now)
        self._now = int(codes[-1])
        two_ns = np.stack((at_ns, at_ns + 1), axis=1)
        two = np.stack((_PULSE[before, codes], np.full(codes.shape, FALSE)), axis=1)
        keep = np.ones(two.shape, np.bool_)
        keep[:, 1] = (codes == TRUE) & (two_ns[:, 1] < np.append(at_ns[1:], until_ns))
        if codes[-1] == TRUE and not keep[-1, 1]:
            self._end_ns = int(two_ns[-1, 1])
        return two_ns[keep], two[keep]


_PULSE: Final = np.array([[FALSE, UNKNOWN, FALSE], [UNKNOWN, UNKNOWN, FALSE], [TRUE, UNKNOWN, FALSE]])
"""What ``RISE`` gives at an instant, by the argument's codes just before it and at it."""


class _Previous:
    """``PREVIOUS``, of what type the argument has."""

    def __init__(self) -> None:
        self._shown: Shown | None = None
        self._kind = NUMBER
        self._newest = FAR

    def follow(self, steps: Steps, until_ns: int) -> Steps:  # noqa: ARG002 - only arrivals change it
        """See :class:`Temporal`."""
        if self._shown is None:
            self._kind = BOOLEAN if isinstance(steps.value, Planes) else NUMBER
            self._shown, self._newest = Shown(self._kind), self._kind.unknown
        if not steps.t_ns.shape[0]:
            return self._shown.nothing
        codes = self._kind.encode(steps.value)
        before = sliding.shifted(codes, self._newest)
        self._newest = int(codes[-1])
        return self._shown.steps(steps.t_ns, before)

    def next_ns(self) -> int | None:
        """See :class:`Temporal`."""
        return None


_EXTREMES: Final = {Op.ONCE: BOOLEAN, Op.MAX_OVER: GREATEST, Op.MIN_OVER: LEAST}
_STATISTICS: Final = {Op.MEAN_OVER: sliding.means, Op.STD_OVER: sliding.deviations}
