"""How long acknowledgements are left alone, so that they are acted on together.

On a slow link they come one by one, and each wakes a loop whose code has gone out of the processor's caches: what is done for
four at once costs little more than what is done for one. While more than half of the window is in flight the link has work for
longer than that, so nothing is lost by not looking at the socket until about half is left.

How fast they come is learnt from those that came, as long as the link is what they waited for: where hardly any of the window
is left, it was us whom the link waited for, and then they are not left alone. Else our own work would count as the link's, and
each pause would make the next one longer.
"""

from __future__ import annotations

from typing import Final

MOST_S: Final = 0.1
"""Whatever else comes over the connection may have to wait for so long."""
LEAST_S: Final = 0.002
"""Less is not worth a wait of its own: on a fast link half a window takes less."""
_NEWEST: Final = 0.25
"""Share of the newest gap in the average."""
_BUSY: Final = 4
"""The link has had work all the time where more than one part in so many of the window is left: no smaller window can tell."""


class Gathering:
    """Of one connection, with that window; times are of a monotonic clock, in seconds."""

    def __init__(self, window: int, now_s: float) -> None:
        self._window = window
        self._gap_s = 0.0
        self._last_s = now_s

    def acked(self, count: int, in_flight: int, now_s: float) -> None:
        """So many acknowledgements came at once, at least one, and so many are still to come."""
        if self._window < _BUSY or in_flight <= self._window // _BUSY:
            self._gap_s = 0.0
        else:
            self._gap_s += ((now_s - self._last_s) / count - self._gap_s) * _NEWEST
        self._last_s = now_s

    def wait_s(self, in_flight: int) -> float:
        """How long to leave them alone, with so many in flight; 0 is not at all."""
        wait_s = min(MOST_S, (in_flight - self._window // 2) * self._gap_s)
        return wait_s if wait_s >= LEAST_S else 0.0
