"""What firmware says of link and power, at most :data:`LOOK_EVERY_NS` old; what is new is told.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_firmware.surroundings import Surroundings

LOOK_EVERY_NS = 500_000_000
"""Bytes that go over a link which has just become metered, for one small file read in half a second."""


class SurroundingsWatch:
    """See the module."""

    def __init__(self, ask: Callable[[], Surroundings], clock: Clock, events: EventSink) -> None:
        self._ask = ask
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._now: Surroundings | None = None
        self._looked_ns = 0

    @property
    def now(self) -> Surroundings:
        """The answer now."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if self._now is None or now_ns - self._looked_ns >= LOOK_EVERY_NS:
                before, self._now, self._looked_ns = self._now, self._ask(), now_ns
                self._tell(before, self._now)
            return self._now

    @property
    def trouble(self) -> str:
        """Why less is known than could be; empty where that is no fault."""
        return self.now.fault

    def _tell(self, before: Surroundings | None, now: Surroundings) -> None:
        """Link and fault; of power, ``pipeline.power`` tells what it makes of it."""
        if before is None or (before.link, before.fault) != (now.link, now.fault):
            link = now.link
            self._events.emit(
                "link", kind=str(link.kind), metered=link.metered, roaming=link.roaming, reason=now.fault
            )
