"""Register a vehicle to a jurisdiction: a document that a registration authority signs for one device key.

The vehicle is given the authority's public key with its first document, as a factory would; afterwards it believes
another authority only when it is told to.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.durable import write_file
from fsd_agent.adapters.key_files import VehicleDir, create_keys
from fsd_agent.adapters.trust_files import public_key_text, read_public_keys
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.region import Registration
from fsd_agent.wire.envelope import key_id_of, public_key_of
from fsd_agent.wire.moments import NS_PER_S, MomentError, decode_moment
from fsd_agent.wire.registration import (
    MAX_REGISTRATION_BYTES,
    RegistrationError,
    check_vehicle,
    decode_registration,
    encode_registration,
    open_registration,
    sign_registration,
)
from fsd_tools.errors import ToolError, UsageError
from fsd_tools.registry.registry import Registry

VALID_DAYS = 730
CLOCK_SLACK_S = 3600
"""Documents begin in the past, for clocks that are late."""
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Validity:
    """As given on the command line; empty means the default."""

    not_before: str = ""
    not_after: str = ""

    def resolve(self, now: dt.datetime) -> tuple[int, int]:
        """Unix time in nanoseconds; raises :class:`UsageError`."""
        now_s = int(now.timestamp())
        try:
            begin = decode_moment(self.not_before) if self.not_before else (now_s - CLOCK_SLACK_S) * NS_PER_S
            end = decode_moment(self.not_after) if self.not_after else begin + VALID_DAYS * DAY_S * NS_PER_S
        except MomentError as error:
            raise UsageError(f"{error}.") from None
        return begin, end


def register_vehicle(
    vehicle_dir: Path,
    registry_dir: Path,
    *,
    vehicle: str,
    jurisdiction: str,
    serial: int | None,
    validity: Validity,
    trust: bool,
    now: dt.datetime,
    element: SecureElement | None = None,
) -> Registration:
    """Write the signed document; ``serial`` None is the one after the present document's.

    It is bound to the vehicle's device key; to the next one while that is being rotated, and counts before the switch too.
    ``trust`` makes the vehicle trust this authority beside those that it trusts already. Raises :class:`ToolError`,
    also for a serial that is not newer than the present one.
    """
    files, key = VehicleDir(vehicle_dir), Registry(registry_dir).private_key()
    not_before, not_after = validity.resolve(now)
    try:
        check_vehicle(vehicle)
        before = _present(files)
        serial = serial if serial is not None else (before.serial + 1 if before is not None else 1)
        # Checked with a stand-in first: what can't be registered leaves no key behind.
        encode_registration(Registration(vehicle, jurisdiction, serial, "0" * 16, not_before, not_after))
        create_keys(vehicle_dir, element)
        device_key_id = DeviceKeys(files, element).newest().key_id
        registration = Registration(vehicle, jurisdiction, serial, device_key_id, not_before, not_after)
        if before is not None and serial <= before.serial and not _same_place(registration, before):
            raise ToolError(
                f"{files.registration}: has serial {before.serial}; a re-registration needs a greater one than {serial}"
            )
        if before is None or serial > before.serial:
            _give_authority(files, public_key_of(key), trust=trust)
            write_file(files.registration, [sign_registration(registration, key)])
            return registration
    except (VehicleKeyError, RegistrationError, SpoolError, TrustError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from error
    return before


def _same_place(one: Registration, other: Registration) -> bool:
    """Whether a document of the same serial says the same: then the present one stays, with its validity."""
    return (one.vehicle, one.jurisdiction, one.serial, one.device_key_id) == (
        other.vehicle,
        other.jurisdiction,
        other.serial,
        other.device_key_id,
    )


def _give_authority(files: VehicleDir, public: bytes, *, trust: bool) -> None:
    """Make sure that the vehicle believes what this authority signs."""
    known = read_public_keys(files.authorities) if files.authorities.exists() else ()
    if public in known:
        return
    if known and not trust:
        trusted = ", ".join(map(key_id_of, known))
        raise ToolError(
            f"{files.authorities}: the vehicle trusts {trusted}, not {key_id_of(public)}; "
            "give --trust to have it trust this authority too"
        )
    files.trust.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [public_key_text(one, f"registration authority {key_id_of(one)}") for one in (*known, public)]
    write_file(files.authorities, ["".join(lines).encode()])


def _present(files: VehicleDir) -> Registration | None:
    """What the vehicle goes by now, signed by an authority that it trusts."""
    path = files.registration
    if not path.exists():
        return None
    document = path.read_bytes()[: MAX_REGISTRATION_BYTES + 1]
    try:
        return decode_registration(open_registration(document, read_public_keys(files.authorities)))
    except RegistrationError as error:
        raise ToolError(f"{path}: {error}; remove it to register afresh") from error
