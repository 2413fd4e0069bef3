"""How fast bytes may go, so that the car's other traffic has room: a bucket that fills evenly.

The whole state is one moment: until when what was sent keeps the link busy at the permitted rate. Something may go once
that moment has come, whatever its size. A pause makes room for ``burst_ns`` at most, so over any stretch of time no more
than the rate's bytes, a burst and one message go.
"""

from __future__ import annotations

from dataclasses import dataclass

_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """What is permitted."""

    bytes_per_s: int
    """More than zero."""
    burst_ns: int
    """So much of it may be made up for after a pause."""


def busy_until(rate: Rate, busy_ns: int, size: int, now_ns: int) -> int:
    """The state after ``size`` bytes went at ``now_ns``, when it was ``busy_ns``. Monotonic nanoseconds."""
    return max(busy_ns, now_ns - rate.burst_ns) + -(-size * _S // rate.bytes_per_s)
