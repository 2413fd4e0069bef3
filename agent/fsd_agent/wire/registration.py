"""Registration document: where firmware says this vehicle belongs, signed by a registration authority.

Format, version 2: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``registration``) whose payload is one JSON
object (RFC 8259, UTF-8) with these members and nothing else::

    {"vehicle": "car-1", "device_key_id": "0123456789abcdef", "jurisdiction": "CN", "serial": 1,
     "not_before": "2026-11-20T10:00:00Z", "not_after": "2028-11-20T10:00:00Z"}

``vehicle`` is a pseudonym of 1 to 64 of ``[a-z0-9-]``; something that looks like a VIN (ISO 3779: 17 letters and
digits without I, O and Q) is refused, because the VIN never leaves the vehicle. ``device_key_id`` binds the document to
one vehicle's device key: a genuine document of another vehicle re-registers nobody. ``jurisdiction`` is ISO 3166-1
alpha-2 in capitals. ``serial`` grows with every re-registration. A member given twice is refused: readers would
differ about which of the two counts, and this document decides where data goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from fsd_agent.records.region import HoldReason, Registration
from fsd_agent.wire.envelope import (
    REGISTRATION,
    EnvelopeError,
    EnvelopeFault,
    key_id_of,
    open_envelope,
    public_key_of,
    seal_envelope,
)
from fsd_agent.wire.moments import MomentError, decode_moment, encode_moment

MAX_REGISTRATION_BYTES = 4096
"""Six short members and a signature are under 500 bytes."""
MAX_SERIAL = 2**53 - 1
"""Whole in every JSON reader."""
RESERVED_NAMES = frozenset({"receiver", "operator", "observer"})
"""Common names of a region's own clients: a vehicle of that name would be given their rights by the broker."""

_VEHICLE = re.compile(r"[a-z0-9-]{1,64}\Z")
_VIN_LIKE = re.compile(r"[a-hj-npr-z0-9]{17}\Z")


class RegistrationError(Exception):
    """The document can't be used; ``reason`` says why for machines, the message names the field for people."""

    def __init__(self, message: str, reason: HoldReason = HoldReason.BAD_REGISTRATION) -> None:
        super().__init__(message)
        self.reason = reason


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vehicle: str
    device_key_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    jurisdiction: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
    serial: Annotated[int, msgspec.Meta(ge=1, le=MAX_SERIAL)]
    not_before: str
    not_after: str


def check_vehicle(vehicle: str) -> str:
    """``vehicle`` itself, if it is a pseudonym that a vehicle may have; raises :class:`RegistrationError`."""
    if not _VEHICLE.match(vehicle):
        raise RegistrationError(f"vehicle: {vehicle[:80]!r} is not 1 to 64 of [a-z0-9-]")
    if _VIN_LIKE.match(vehicle):
        raise RegistrationError("vehicle: looks like a VIN (17 characters of its alphabet); use a pseudonym")
    if vehicle in RESERVED_NAMES:
        raise RegistrationError(f"vehicle: {vehicle!r} is the name of one of the region's own clients")
    return vehicle


def sign_registration(registration: Registration, private_key: bytes) -> bytes:
    """The signed document, by the authority's raw Ed25519 key; raises :class:`RegistrationError`."""
    payload = encode_registration(registration)
    return seal_envelope(REGISTRATION, payload, key_id_of(public_key_of(private_key)), private_key)


def open_registration(document: bytes, authorities: Sequence[bytes]) -> bytes:
    """The payload of a document that one of ``authorities`` (raw Ed25519) signed; raises :class:`RegistrationError`."""
    if len(document) > MAX_REGISTRATION_BYTES:
        raise RegistrationError(
            f"more than {MAX_REGISTRATION_BYTES} bytes", HoldReason.REGISTRATION_TOO_LARGE
        )
    if document.lstrip()[:1] in {b"{", b"["}:
        raise RegistrationError("a document without a signature", HoldReason.REGISTRATION_UNSIGNED)
    try:
        return open_envelope(document, REGISTRATION, *authorities)
    except EnvelopeError as error:
        reason = HoldReason.BAD_REGISTRATION
        if error.fault is EnvelopeFault.BAD_SIGNATURE:
            known = error.key_id in map(key_id_of, authorities)
            reason = HoldReason.REGISTRATION_BAD_SIGNATURE if known else HoldReason.REGISTRATION_UNKNOWN_KEY
        raise RegistrationError(str(error), reason) from error


def encode_registration(registration: Registration) -> bytes:
    """The payload of a registration; raises :class:`RegistrationError` if it would be refused."""
    try:
        document = _Document(
            registration.vehicle,
            registration.device_key_id,
            registration.jurisdiction,
            registration.serial,
            encode_moment(registration.not_before_wall_ns),
            encode_moment(registration.not_after_wall_ns),
        )
    except MomentError as error:
        raise RegistrationError(f"validity: {error}") from error
    data = msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    decode_registration(data)
    return data


def decode_registration(data: bytes) -> Registration:
    """Read a payload; raises :class:`RegistrationError`."""
    if len(data) > MAX_REGISTRATION_BYTES:
        raise RegistrationError(
            f"{len(data)} bytes, at most {MAX_REGISTRATION_BYTES}", HoldReason.REGISTRATION_TOO_LARGE
        )
    try:
        raw = json.loads(data.decode("utf-8"), object_pairs_hook=_members_once)
    except (ValueError, RecursionError) as error:  # json and UTF-8 errors are ValueErrors
        raise RegistrationError(f"not JSON: {error}") from error
    try:
        document = msgspec.convert(raw, _Document)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # JSON can spell half a character
        raise RegistrationError(str(error)) from error
    not_before, not_after = (
        _moment("not_before", document.not_before),
        _moment("not_after", document.not_after),
    )
    if not_after <= not_before:
        raise RegistrationError(f"not_after: {document.not_after} is not after {document.not_before}")
    return Registration(
        vehicle=check_vehicle(document.vehicle),
        jurisdiction=document.jurisdiction,
        serial=document.serial,
        device_key_id=document.device_key_id,
        not_before_wall_ns=not_before,
        not_after_wall_ns=not_after,
    )


def _moment(field: str, text: str) -> int:
    try:
        return decode_moment(text)
    except MomentError as error:
        raise RegistrationError(f"{field}: {error}") from error


def _members_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RegistrationError("a member is given twice")
    return members
