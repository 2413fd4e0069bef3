"""The machine's own clocks."""

from __future__ import annotations

import time


class SystemClock:
    """CLOCK_MONOTONIC and CLOCK_REALTIME."""

    def monotonic_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.time_ns()
