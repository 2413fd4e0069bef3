"""What people and machines that watch the agent are told, as it happens."""

from __future__ import annotations

from typing import Protocol

EventValue = str | int | float | bool | None | list[str] | dict[str, int]


class EventSink(Protocol):
    """Takes one event at a time. Any thread; never blocks for long and never raises."""

    def emit(self, event: str, /, **fields: EventValue) -> None:
        """Tell that ``event`` happened. Names and fields: ``docs/architecture.md``, "Events"."""
        ...
