"""A clock that moves when it is told to."""

from __future__ import annotations

import threading


class ManualClock:
    """Both clocks, advanced by hand; the wall clock may also jump, and the machine be suspended."""

    def __init__(self, *, monotonic_ns: int = 0, wall_ns: int = 1_700_000_000_000_000_000) -> None:
        self._lock = threading.Lock()
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._suspended_ns = 0

    def monotonic_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        with self._lock:
            return self._monotonic_ns

    def wall_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        with self._lock:
            return self._wall_ns

    def suspended_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        with self._lock:
            return self._suspended_ns

    def suspend(self, for_ns: int) -> None:
        """Let time pass outside: the monotonic clock stands still. Raises ``ValueError`` for a negative step."""
        if for_ns < 0:
            raise ValueError("nobody sleeps backwards")
        with self._lock:
            self._suspended_ns += for_ns
            self._wall_ns += for_ns

    def advance(self, by_ns: int) -> None:
        """Let time pass on both clocks. Raises ``ValueError`` for a negative step."""
        if by_ns < 0:
            raise ValueError("a monotonic clock does not go back")
        with self._lock:
            self._monotonic_ns += by_ns
            self._wall_ns += by_ns

    def jump_wall(self, by_ns: int) -> None:
        """Set the wall clock forward or back, as a time service does."""
        with self._lock:
            self._wall_ns += by_ns
