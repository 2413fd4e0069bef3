"""Tells how long the vehicle's certificate for the region of the route still serves: once a day, and once that it has expired.

What cannot be read is told by whoever needs it to connect; here it says nothing.

Threads: any.
"""

from __future__ import annotations

import threading

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.rules.trust.certificates import CertificateLife, CertificateState, certificate_life


class CertificateWatch:
    """See the module."""

    def __init__(self, keys: VehicleKeys, clock: Clock, events: EventSink) -> None:
        self._keys = keys
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._told: dict[str, CertificateLife] = {}

    def look(self, region_id: str) -> int:
        """Until when it is valid, Unix time; 0 where that can't be told. Emits ``certificate_expiring`` and ``_expired``."""
        try:
            until_ns = self._keys.certificate_until_ns(region_id)
        except VehicleKeyError:
            return 0
        life = certificate_life(region_id, until_wall_ns=until_ns, now_wall_ns=self._clock.wall_ns())
        with self._lock:
            is_news = life != self._told.get(region_id) and life.state is not CertificateState.SERVES
            self._told[region_id] = life
        if is_news:
            expired = life.state is CertificateState.EXPIRED
            self._events.emit(
                "certificate_expired" if expired else "certificate_expiring",
                region=region_id,
                days_left=life.days_left,
                what=life.detail,
            )
        return until_ns
