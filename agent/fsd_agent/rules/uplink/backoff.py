"""How long to wait before trying again.

The ceiling doubles with each failed attempt up to a limit; the wait is uniform between half of the first ceiling
and the current one ("full jitter" with a floor), so that a fleet that lost its broker together does not come
back together. Randomness is an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

_DOUBLINGS_MAX = 40
"""Enough to reach any limit; keeps the shift small after weeks of failure."""


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Bounds of the wait."""

    first_ns: int
    """Longest wait after the first failure."""
    most_ns: int
    """Longest wait after many."""


def delay_ns(policy: BackoffPolicy, attempt: int, random: float) -> int:
    """Wait after failure number ``attempt`` (0 is the first), with ``random`` uniform in [0, 1)."""
    ceiling = min(policy.most_ns, policy.first_ns << min(attempt, _DOUBLINGS_MAX))
    floor = min(policy.first_ns // 2, ceiling)
    return floor + int(random * (ceiling - floor))
