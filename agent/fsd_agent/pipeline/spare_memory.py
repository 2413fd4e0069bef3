"""Gives memory back that was used for a moment: by the start, and by who goes over everything that is on board now and then.

Threads: one at a time.
"""

from __future__ import annotations

from collections.abc import Callable

from fsd_agent.ports.clock import Clock

FIRST_NS = 3_000_000_000
"""After the start. Each pause is twice the one before: how long the loops take to go over everything for the first time depends
on who else is busy."""
EVERY_NS = 60_000_000_000
"""No pause is longer. It takes a millisecond or two, in which nobody else can have memory."""


class SpareMemory:
    """See the module."""

    def __init__(self, give_back: Callable[[], object], clock: Clock) -> None:
        """``give_back``: whatever the process holds and does not use."""
        self._give_back = give_back
        self._clock = clock
        self._pause_ns = FIRST_NS
        self._next_ns = clock.monotonic_ns() + FIRST_NS

    def look(self) -> None:
        """Give it back, where it is time to."""
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_ns:
            self._pause_ns = min(2 * self._pause_ns, EVERY_NS)
            self._next_ns = now_ns + self._pause_ns
            self._give_back()
