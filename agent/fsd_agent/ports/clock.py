"""Time as an argument for everything above the adapters."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Both clocks. Any thread."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back while the process lives."""
        ...

    def wall_ns(self) -> int:
        """Unix time in nanoseconds; may jump."""
        ...
