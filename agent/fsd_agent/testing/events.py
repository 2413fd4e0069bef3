"""An event sink that remembers."""

from __future__ import annotations

import threading

from fsd_agent.ports.events import EventName, EventValue


class RememberedEvents:
    """Keeps every event in order, for tests and benches to look at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[tuple[EventName, dict[str, EventValue]]] = []

    def emit(self, event: EventName, /, **fields: EventValue) -> None:
        """Remember."""
        with self._lock:
            self._events.append((event, dict(fields)))

    def of(self, event: EventName) -> list[dict[str, EventValue]]:
        """Fields of every event of this name so far."""
        with self._lock:
            return [fields for name, fields in self._events if name == event]
