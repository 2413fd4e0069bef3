"""Where this vehicle belongs right now: firmware's registration against the region policies on board.

Everything that needs a region asks here, and gets a :class:`Route` or a :class:`Hold`; there is no default.

Threads: ``refresh`` from one; ``current`` from any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fsd_agent.ports.events import EventSink
from fsd_agent.records.region import Hold, RegionPolicy, Registration, Route
from fsd_agent.rules.residency.route import route
from fsd_agent.wire.policy import PolicyError
from fsd_agent.wire.registration import RegistrationError, decode_registration
from fsd_firmware.contract import FirmwareError


class Residence:
    """See the module."""

    def __init__(
        self,
        registration: Callable[[], bytes | None],
        policies: Sequence[RegionPolicy | PolicyError],
        *,
        events: EventSink,
    ) -> None:
        """Ask ``registration`` for firmware's document; a policy that can't be read stands as its error."""
        self._registration = registration
        self._policies = tuple(policies)
        self._events = events
        self._current = self._decide()
        self._tell()

    @property
    def current(self) -> Route | Hold:
        """As of the last refresh."""
        return self._current

    def refresh(self) -> Route | Hold:
        """Read the registration again and decide; tells when the answer has changed."""
        decided = self._decide()
        if decided != self._current:
            self._current = decided
            self._tell()
        return decided

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
