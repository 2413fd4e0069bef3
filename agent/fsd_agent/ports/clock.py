"""Time as an argument for everything above the adapters."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Both clocks, and what one of them leaves out. Any thread."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back while the process lives; they stand still while the machine is suspended."""
        ...

    def wall_ns(self) -> int:
        """Unix time in nanoseconds; may jump."""
        ...

    def suspended_ns(self) -> int:
        """Nanoseconds that the machine was suspended, in all, since some moment before the process."""
        ...
