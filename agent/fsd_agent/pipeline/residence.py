"""Where this vehicle belongs right now: firmware's registration against the region policies on board.

Everything that needs a region asks here, and gets a :class:`Route` or a :class:`Hold`; there is no default.

Firmware may change the document at any moment, also while its samples have stopped: whoever asks gets an answer that
is at most :data:`LOOK_EVERY_NS` old.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.records.region import Hold, RegionPolicy, Registration, Route
from fsd_agent.rules.residency.route import route
from fsd_agent.wire.policy import PolicyError
from fsd_agent.wire.registration import RegistrationError, decode_registration
from fsd_firmware.contract import FirmwareError

LOOK_EVERY_NS = 1_000_000_000
"""A withdrawn registration stops collection and delivery within this time, for a small file read a second."""


class Residence:
    """See the module."""

    def __init__(
        self,
        registration: Callable[[], bytes | None],
        policies: Sequence[RegionPolicy | PolicyError],
        *,
        clock: Clock,
        events: EventSink,
    ) -> None:
        """Ask ``registration`` for firmware's document; a policy that can't be read stands as its error."""
        self._registration = registration
        self._policies = tuple(policies)
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._looked_ns = clock.monotonic_ns()
        self._current = self._decide()
        self._tell()

    @property
    def current(self) -> Route | Hold:
        """The answer now; tells when it has changed."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if now_ns - self._looked_ns >= LOOK_EVERY_NS:
                self._looked_ns = now_ns
                decided = self._decide()
                if decided != self._current:
                    self._current = decided
                    self._tell()
            return self._current

    def _decide(self) -> Route | Hold:
        registration: Registration | RegistrationError | None = None
        try:
            document = self._registration()
            if document is not None:
                registration = decode_registration(document)
        except RegistrationError as error:
            registration = error
        except FirmwareError as error:  # there may be one, but nobody can say what is in it: hold, and go on
            registration = RegistrationError(str(error))
        return route(registration, self._policies)

    def _tell(self) -> None:
        where = self._current
        if isinstance(where, Hold):
            self._events.emit("hold", reason=str(where.reason), detail=where.detail)
            return
        self._events.emit(
            "route",
            vehicle=where.registration.vehicle,
            jurisdiction=where.registration.jurisdiction,
            region=where.policy.region_id,
        )
