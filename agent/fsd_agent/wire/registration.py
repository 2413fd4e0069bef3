"""Registration document: where firmware says this vehicle belongs.

Format, version 1: one JSON object (RFC 8259, UTF-8) with these members and nothing else::

    {"vehicle": "car-1", "jurisdiction": "CN", "serial": 1}

``vehicle`` is a pseudonym of 1 to 64 of ``[a-z0-9-]``; something that looks like a VIN (ISO 3779: 17 letters and
digits without I, O and Q) is refused, because the VIN never leaves the vehicle. ``jurisdiction`` is ISO 3166-1
alpha-2 in capitals. ``serial`` grows with every re-registration. A member given twice is refused: readers would
differ about which of the two counts, and this document decides where data goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from fsd_agent.records.region import Registration

MAX_REGISTRATION_BYTES = 4096
"""Three short members are under 200 bytes."""
MAX_SERIAL = 2**53 - 1
"""Whole in every JSON reader."""
RESERVED_NAMES = frozenset({"receiver", "operator"})
"""Common names of a region's own clients: a vehicle of that name would be given their rights by the broker."""

_VEHICLE = re.compile(r"[a-z0-9-]{1,64}\Z")
_VIN_LIKE = re.compile(r"[a-hj-npr-z0-9]{17}\Z")


class RegistrationError(Exception):
    """The document can't be used; the message names the field and the reason."""


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vehicle: str
    jurisdiction: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
    serial: Annotated[int, msgspec.Meta(ge=1, le=MAX_SERIAL)]


def check_vehicle(vehicle: str) -> str:
    """``vehicle`` itself, if it is a pseudonym that a vehicle may have; raises :class:`RegistrationError`."""
    if not _VEHICLE.match(vehicle):
        raise RegistrationError(f"vehicle: {vehicle[:80]!r} is not 1 to 64 of [a-z0-9-]")
    if _VIN_LIKE.match(vehicle):
        raise RegistrationError("vehicle: looks like a VIN (17 characters of its alphabet); use a pseudonym")
    if vehicle in RESERVED_NAMES:
        raise RegistrationError(f"vehicle: {vehicle!r} is the name of one of the region's own clients")
    return vehicle


def encode_registration(registration: Registration) -> bytes:
    """The document of a registration; raises :class:`RegistrationError` if it would be refused."""
    document = _Document(registration.vehicle, registration.jurisdiction, registration.serial)
    data = msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    decode_registration(data)
    return data


def decode_registration(data: bytes) -> Registration:
    """Read a document; raises :class:`RegistrationError`."""
    if len(data) > MAX_REGISTRATION_BYTES:
        raise RegistrationError(f"{len(data)} bytes, at most {MAX_REGISTRATION_BYTES}")
    try:
        raw = json.loads(data.decode("utf-8"), object_pairs_hook=_members_once)
    except (ValueError, RecursionError) as error:  # json and UTF-8 errors are ValueErrors
        raise RegistrationError(f"not JSON: {error}") from error
    try:
        document = msgspec.convert(raw, _Document, strict=True)
    except msgspec.ValidationError as error:
        raise RegistrationError(str(error)) from error
    return Registration(check_vehicle(document.vehicle), document.jurisdiction, document.serial)


def _members_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RegistrationError("a member is given twice")
    return members
