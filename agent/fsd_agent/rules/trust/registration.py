"""Which registration document a vehicle goes by.

The rules, in this order; the first that fails is the reason for which the vehicle holds:

1. It is not larger than it may be, and signed by a registration authority that the vehicle was given to trust.
2. Its payload is a registration of the format that this software knows, for a device key of this vehicle: the present one,
   or one that rotation statements link to it. So a key can be rotated before or after a document for the new one came.
3. Its serial is not below the newest ever accepted; the same serial has the same content. Content counts and not the
   signature: an authority that changes its key may sign the same content anew.
4. The present moment lies in its validity.

The present moment is the latest that is known: the clock; the newest time at which a policy in force was signed; and
what the clock has shown for long enough before, while this serial was the newest (see :class:`BelievedClock`). So a
clock that is set back revives nothing. A clock that is set ahead can expire a document: the vehicle holds, and says so.
Set right within :data:`BELIEVE_NS` it goes on as before; after that only a newer document helps, because nobody can
tell a wrong clock from time that has passed. A newer document is measured by the clock and the policies alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fsd_agent.records.region import HoldReason, Registration
from fsd_agent.wire.floors import RegistrationFloor, digest_of
from fsd_agent.wire.moments import show_moment
from fsd_agent.wire.registration import RegistrationError, decode_registration, open_registration

BELIEVE_NS: Final = 300_000_000_000
"""A clock that has not gone back for this long is believed. Longer than it takes to set a clock after a start."""


@dataclass(frozen=True, slots=True)
class SignedRegistration:
    """What an authority signed; whether the vehicle goes by it is :func:`accept_registration`'s to say, each time."""

    registration: Registration
    digest: bytes
    """Of the payload."""


@dataclass(frozen=True, slots=True)
class AcceptedRegistration:
    """The vehicle goes by it, once ``floor`` is kept."""

    registration: Registration
    floor: RegistrationFloor


def verify_registration(document: bytes, authorities: Sequence[bytes]) -> SignedRegistration:
    """What needs neither time nor anything that is kept: signature and format. Raises :class:`RegistrationError`.

    The same document under the same authorities has the same answer, so it need not be asked for again.
    """
    payload = open_registration(document, authorities)
    return SignedRegistration(decode_registration(payload), digest_of(payload))


def accept_registration(
    signed: SignedRegistration,
    *,
    device_key_ids: Collection[str],
    floor: RegistrationFloor | None,
    clock_ns: int,
    proved_ns: int,
) -> AcceptedRegistration:
    """Decide on firmware's document; raises :class:`RegistrationError` with the reason.

    ``floor`` is None where none was ever accepted; ``clock_ns`` is the wall clock, ``proved_ns`` the newest time
    that a signature proves, Unix time; ``device_key_ids`` are this vehicle's own.
    """
    registration = signed.registration
    if registration.device_key_id not in device_key_ids:
        raise RegistrationError(
            f"device_key_id: {registration.device_key_id}, this vehicle's is {', '.join(sorted(device_key_ids))}",
            HoldReason.REGISTRATION_OTHER_VEHICLE,
        )
    kept = _not_older(registration.serial, signed.digest, floor)
    _check_valid(registration, max(clock_ns, proved_ns, kept.clock_ns))
    return AcceptedRegistration(registration, kept)


def _not_older(serial: int, digest: bytes, floor: RegistrationFloor | None) -> RegistrationFloor:
    """Rule 3; the floor from now on."""
    if floor is None or serial > floor.serial:
        return RegistrationFloor(serial, digest, clock_ns=0)
    if serial < floor.serial:
        raise RegistrationError(
            f"serial: {serial}, but {floor.serial} was accepted before", HoldReason.REGISTRATION_OLDER
        )
    if digest != floor.digest:
        raise RegistrationError(
            f"serial: {serial} was accepted before with other content", HoldReason.REGISTRATION_CONTRADICTS
        )
    return floor


def _check_valid(registration: Registration, now_ns: int) -> None:
    """Rule 4. The reason names the day and not the second: it is told again whenever it changes."""
    today, _, _ = show_moment(now_ns).partition("T")
    if now_ns < registration.not_before_wall_ns:
        raise RegistrationError(
            f"not_before: {show_moment(registration.not_before_wall_ns)}, it is {today}",
            HoldReason.REGISTRATION_NOT_YET_VALID,
        )
    if now_ns >= registration.not_after_wall_ns:
        raise RegistrationError(
            f"not_after: {show_moment(registration.not_after_wall_ns)}, it is {today}",
            HoldReason.REGISTRATION_EXPIRED,
        )


class BelievedClock:
    """What the wall clock has shown for at least :data:`BELIEVE_NS` without going back behind it.

    A reading becomes believed when so much time has passed on the monotonic clock and the wall clock was never seen
    before that reading again. A jump ahead that is taken back in time leaves nothing.
    """

    def __init__(self) -> None:
        self._reading: tuple[int, int] | None = None

    def look(self, *, monotonic_ns: int, wall_ns: int) -> int | None:
        """A reading that is believed from now on, if there is one; call it now and then."""
        if self._reading is None or wall_ns < self._reading[1]:
            self._reading = monotonic_ns, wall_ns
            return None
        since_ns, believed = self._reading
        if monotonic_ns - since_ns < BELIEVE_NS:
            return None
        self._reading = monotonic_ns, wall_ns
        return believed


def raised(floor: RegistrationFloor, clock_ns: int) -> RegistrationFloor:
    """The floor once the clock is believed to be at least there."""
    return replace(floor, clock_ns=max(floor.clock_ns, clock_ns))
