"""Firmware's registration document, judged and never forgotten.

The newest serial that was ever accepted is kept in the journal, with the digest of its content, before anything acts
on it; with it the newest time that the clock is believed to have reached. A registration that can't be kept is not
acted on. A time that can't be kept counts as long as this process lives, for it only forbids more: a full disk must not
hold a vehicle, or it could never deliver what fills it.

It is looked at every second. A document that is byte for byte the one before, under the same authorities, is not verified
again; everything else, time above all, is decided each time.

Threads: one at a time; the caller serialises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.journal import JournalError, StateStore
from fsd_agent.ports.trust_store import TrustError, TrustStore
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.region import HoldReason, Registration
from fsd_agent.rules.trust.registration import (
    BelievedClock,
    SignedRegistration,
    accept_registration,
    raised,
    verify_registration,
)
from fsd_agent.wire.floors import (
    FloorError,
    RegistrationFloor,
    decode_registration_floor,
    encode_registration_floor,
)
from fsd_agent.wire.registration import RegistrationError
from fsd_firmware.contract import FirmwareError

STATE_KEY = "registration"


class Registrar:
    """See the module."""

    def __init__(
        self,
        document: Callable[[], bytes | None],
        trust: TrustStore,
        *,
        device_key_ids: Callable[[], Collection[str]],
        journal: StateStore,
        clock: Clock,
    ) -> None:
        self._document = document
        self._trust = trust
        self._device_key_ids = device_key_ids
        self._journal = journal
        self._clock = clock
        self._believed = BelievedClock()
        self._believed_ns = 0
        self._verified: tuple[bytes, tuple[bytes, ...], SignedRegistration] | None = None
        """The newest document that was verified, by which authorities, and what it says."""

    @property
    def believed_ns(self) -> int:
        """The newest wall time that the clock is believed to have reached, while this serial was the newest; 0 for none."""
        return self._believed_ns

    def look(self, proved_ns: int) -> Registration | RegistrationError | None:
        """What the vehicle goes by now; ``proved_ns`` is the newest time that a signature proves, Unix time."""
        wall_ns = self._clock.wall_ns()
        floor = self._look_at_floor(wall_ns)  # First: time passes also while there is no document
        try:
            document = self._document()
            if document is None:
                return None
            authorities = self._trust.authorities()
        except FirmwareError as error:  # there may be one, but nobody can say what is in it: hold, and go on
            return RegistrationError(str(error))
        except TrustError as error:
            return RegistrationError(str(error), HoldReason.NO_AUTHORITY)
        if isinstance(floor, RegistrationError):
            return floor
        return self._judge(document, authorities, floor, wall_ns, proved_ns)

    def _look_at_floor(self, wall_ns: int) -> RegistrationFloor | RegistrationError | None:
        """What is kept, with the newest time that is believed; the error where nobody can say what was accepted."""
        believed_ns = self._believed.look(monotonic_ns=self._clock.monotonic_ns(), wall_ns=wall_ns)
        if believed_ns is not None:
            self._believed_ns = max(believed_ns, self._believed_ns)
        try:
            kept = self._floor()
        except (JournalError, FloorError) as error:
            return RegistrationError(str(error), HoldReason.REGISTRATION_NOT_KEPT)
        floor = None if kept is None else self._raised(kept)
        self._believed_ns = 0 if floor is None else floor.clock_ns
        return floor

    def _judge(
        self,
        document: bytes,
        authorities: tuple[bytes, ...],
        floor: RegistrationFloor | None,
        wall_ns: int,
        proved_ns: int,
    ) -> Registration | RegistrationError:
        try:
            accepted = accept_registration(
                self._verify(document, authorities),
                device_key_ids=self._device_key_ids(),
                floor=floor,
                clock_ns=wall_ns,
                proved_ns=proved_ns,
            )
            if accepted.floor != floor:
                self._keep(accepted.floor)
                self._believed_ns = accepted.floor.clock_ns
        except RegistrationError as error:
            return error
        except VehicleKeyError as error:
            return RegistrationError(str(error), HoldReason.REGISTRATION_OTHER_VEHICLE)
        except JournalError as error:
            return RegistrationError(str(error), HoldReason.REGISTRATION_NOT_KEPT)
        return accepted.registration

    def _verify(self, document: bytes, authorities: tuple[bytes, ...]) -> SignedRegistration:
        if self._verified is None or self._verified[:2] != (document, authorities):
            self._verified = document, authorities, verify_registration(document, authorities)
        return self._verified[2]

    def _floor(self) -> RegistrationFloor | None:
        kept = self._journal.get_state(STATE_KEY)
        return None if kept is None else decode_registration_floor(kept)

    def _raised(self, kept: RegistrationFloor) -> RegistrationFloor:
        """What is kept, with the newest time that is believed."""
        floor = raised(kept, self._believed_ns)
        if floor != kept:
            # What can't be kept counts as long as we live, and is offered again at the next look.
            with suppress(JournalError):
                self._keep(floor)
        return floor

    def _keep(self, floor: RegistrationFloor) -> None:
        self._journal.set_state(STATE_KEY, encode_registration_floor(floor))
