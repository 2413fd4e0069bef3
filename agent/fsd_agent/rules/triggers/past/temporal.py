"""Functions that look back, over values as functions of time.

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

from collections.abc import Sequence
from math import copysign
from typing import Final, Protocol

Scalar = bool | float | None
"""One value; None is unknown. Integers are floats."""
Steps = Sequence[tuple[int, Scalar]]
"""A function of time: each value from its instant (ns) on, until the next; instants increase."""

FAR: Final = 2**62
"""After any instant."""


class Temporal(Protocol):
    """One node's memory. It is told of instants in order, of each once, by ``arrive`` or by ``lapse``."""

    shown: Scalar
    """The result as of the newest instant."""
    begun: bool
    """Whether anything has arrived."""
    next_ns: int
    """The first instant at which the result may change though nothing arrives; :data:`FAR` for never."""

    def arrive(self, t_ns: int, value: Scalar) -> bool:
        """The argument is ``value`` from now on; whether the result changes, to the bit."""
        ...

    def lapse(self, t_ns: int) -> bool:
        """Time has passed up to ``next_ns``; whether the result changes."""
        ...


def follow(memory: Temporal, arrivals: Steps, until_ns: int) -> Steps:
    """Take up every arrival of the argument before ``until_ns``; the result's steps up to there.

    Arrivals before the last call's ``until_ns`` have been given then. The result has a step where its value
    changes, to the bit, and nowhere else, at an instant of the argument's or between; before its first step it is
    unknown.
    """
    steps: list[tuple[int, Scalar]] = []
    for t_ns, value in arrivals:
        _pass(memory, t_ns, steps)
        if memory.arrive(t_ns, value):
            steps.append((t_ns, memory.shown))
    _pass(memory, until_ns, steps)
    return steps


def _pass(memory: Temporal, before_ns: int, steps: list[tuple[int, Scalar]]) -> None:
    while memory.next_ns < before_ns:
        t_ns = memory.next_ns
        if memory.lapse(t_ns):
            steps.append((t_ns, memory.shown))


def same(a: Scalar, b: Scalar) -> bool:
    """Whether two values are the same to the bit; all NaN are one."""
    if a is None or b is None:
        return a is b
    if a == b:
        return a != 0 or copysign(1.0, a) == copysign(1.0, b)
    return a != a and b != b  # noqa: PLR0124 - NaN alone differs from itself
