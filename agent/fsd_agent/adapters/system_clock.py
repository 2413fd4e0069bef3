"""The machine's own clocks."""

from __future__ import annotations

import time

_TOGETHER_NS = 1_000_000
_ATTEMPTS = 10


class SystemClock:
    """CLOCK_MONOTONIC, CLOCK_REALTIME, and by how much CLOCK_BOOTTIME is ahead of the first (clock_gettime(2))."""

    def monotonic_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.time_ns()

    def suspended_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`. The clocks are read again where something came between them."""
        for _ in range(_ATTEMPTS):
            before_ns = time.monotonic_ns()
            boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            if time.monotonic_ns() - before_ns <= _TOGETHER_NS:
                break
        return boot_ns - before_ns
