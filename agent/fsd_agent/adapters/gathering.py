"""How long acknowledgements are left alone, so that they are acted on together.

On a slow link they come one by one, and each wakes a loop whose code has gone out of the processor's caches: what is done for
four at once costs little more than what is done for one. While more than half of the window is in flight the link has work for
longer than that, so nothing is lost by not looking at the socket until about half is left.

How fast they come is learnt from those that came. Time in which nothing was in flight says nothing of it.
"""

from __future__ import annotations

from typing import Final

MOST_S: Final = 0.1
"""Whatever else comes over the connection may have to wait for so long."""
LEAST_S: Final = 0.002
"""Less is not worth a wait of its own: on a fast link half a window takes less."""
_NEWEST: Final = 0.25
"""Share of the newest gap in the average."""


class Gathering:
    """Of one connection; times are of a monotonic clock, in seconds."""

    def __init__(self, now_s: float) -> None:
        self._gap_s = 0.0
        self._last_s = now_s

    def began(self, now_s: float) -> None:
        """Something is in flight again, and nothing was before."""
        self._last_s = now_s

    def acked(self, count: int, now_s: float) -> None:
        """So many acknowledgements came at once; at least one."""
        gap_s = (now_s - self._last_s) / count
        self._gap_s += (gap_s - self._gap_s) * _NEWEST
        self._last_s = now_s

    def wait_s(self, in_flight: int, window: int) -> float:
        """How long to leave them alone, with so many in flight; 0 is not at all."""
        wait_s = min(MOST_S, (in_flight - window // 2) * self._gap_s)
        return wait_s if wait_s >= LEAST_S else 0.0
