"""What is kept so that nothing older comes back: msgpack arrays of fixed length, in the journal's state.

registration   [1, serial, SHA-256 of the payload, newest believed clock in ns]
policy         [1, version, SHA-256 of the payload, the signed envelope]
consent        [1, revision, [purposes that it gives, sorted]]
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from fsd_agent.records.consent import ConsentSetting
from fsd_agent.records.purpose import Purpose

_Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Number = Annotated[int, msgspec.Meta(ge=0)]


class FloorError(ValueError):
    """Bytes that no floor was written as; the message says why."""


@dataclass(frozen=True, slots=True)
class RegistrationFloor:
    """The newest registration ever accepted."""

    serial: int
    digest: bytes
    clock_ns: int
    """Newest wall time that the clock has shown for long enough while this was the newest; 0 for none."""


@dataclass(frozen=True, slots=True)
class PolicyFloor:
    """The newest policy ever accepted from a region."""

    version: int
    digest: bytes
    envelope: bytes


def digest_of(payload: bytes) -> bytes:
    """SHA-256 of what was signed: the same content signed anew is the same content."""
    return hashlib.sha256(payload).digest()


def encode_registration_floor(floor: RegistrationFloor) -> bytes:
    """Bytes to keep."""
    return msgspec.msgpack.encode((1, floor.serial, floor.digest, floor.clock_ns))


def decode_registration_floor(data: bytes) -> RegistrationFloor:
    """What :func:`encode_registration_floor` wrote; raises :class:`FloorError`."""
    try:
        _, serial, digest, clock_ns = msgspec.msgpack.decode(
            data, type=tuple[Literal[1], _Number, _Digest, _Number]
        )
    except msgspec.DecodeError as error:
        raise FloorError(str(error)) from error
    return RegistrationFloor(serial, digest, clock_ns)


def encode_policy_floor(floor: PolicyFloor) -> bytes:
    """Bytes to keep."""
    return msgspec.msgpack.encode((1, floor.version, floor.digest, floor.envelope))


def decode_policy_floor(data: bytes) -> PolicyFloor:
    """What :func:`encode_policy_floor` wrote; raises :class:`FloorError`."""
    try:
        _, version, digest, envelope = msgspec.msgpack.decode(
            data, type=tuple[Literal[1], _Number, _Digest, bytes]
        )
    except msgspec.DecodeError as error:
        raise FloorError(str(error)) from error
    return PolicyFloor(version, digest, envelope)


def encode_consent_floor(floor: ConsentSetting) -> bytes:
    """Bytes to keep of the newest setting ever accepted."""
    return msgspec.msgpack.encode((1, floor.revision, sorted(floor.given)))


def decode_consent_floor(data: bytes) -> ConsentSetting:
    """What :func:`encode_consent_floor` wrote; raises :class:`FloorError`."""
    try:
        _, revision, given = msgspec.msgpack.decode(
            data, type=tuple[Literal[1], _Number, tuple[Purpose, ...]]
        )
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FloorError(str(error)) from error
    return ConsentSetting(revision, frozenset(given))
