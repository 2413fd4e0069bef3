r"""The message about one firing: what its region is told at once, sealed to that region and signed by the device.

Format, version 1: msgpack of ``[1, device key id, sealing key id, sealed, signature]``.

``sealed`` is HPKE (RFC 9180, base mode, the suite of :mod:`fsd_agent.wire.sealed`) of the content to the region's X25519 key,
with ``"fsd-firing-1 hpke\0"`` and the length-prefixed region id, vehicle, firing id and both key ids as its ``info``: what was
sealed for one firing can't be passed off as another's. ``signature`` is the device's Ed25519 over ``"fsd-firing-1 signed\0"``,
the same names, and ``sealed``: HPKE alone tells nothing of the sender. Region, vehicle and firing id are those of the topic.

The content is msgpack of an array, the members of ``records.firing.ToldFiring`` in their order: names would be half of it.
Whoever carries the message sees which vehicle says something of which firing id, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fsd_agent.records.firing import ToldFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import RegionKey
from fsd_agent.wire.sealed import HPKE_SUITE

VERSION: Final = 1
MAX_BYTES: Final = 4096
"""Sixteen pairs of evidence with the longest signal paths that there are take half of it."""

_HPKE_DOMAIN = b"fsd-firing-1 hpke\0"
_SIGNED_DOMAIN = b"fsd-firing-1 signed\0"
_KeyId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x7e]{1,200}\Z")]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_ClipId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class FiringError(ValueError):
    """Bytes that are not this message, or not this vehicle's; the message says why."""


class UnknownFiringKeyError(FiringError):
    """Signed by, or sealed to, a key that is not known here: it may be, later."""


@dataclass(frozen=True, slots=True)
class About:
    """Whose firing it is: the names in the message's topic."""

    region_id: str
    vehicle: str
    firing_id: str


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    v: int
    device_key_id: _KeyId
    sealing_key_id: _KeyId
    sealed: Annotated[bytes, msgspec.Meta(min_length=48, max_length=MAX_BYTES)]
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class _Content(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    campaign_id: _Id
    campaign_version: _Count
    purpose: Purpose
    t_ns: int
    wall_ns: int
    clip_id: _ClipId | None
    drop: DropReason | None
    evidence: tuple[tuple[_Id, float], ...]
    left_out: _Count
    registration_serial: _Count
    policy_version: _Count


def encode_firing(
    told: ToldFiring, about: About, *, to: RegionKey, sign: Callable[[bytes], bytes], device_key_id: str
) -> bytes:
    """Seal and sign; ``sign`` gives the device's Ed25519 signature.

    Raises :class:`FiringError` where it would be larger than :data:`MAX_BYTES`, and what ``sign`` raises.
    """
    content = msgspec.msgpack.encode(_Content(*(getattr(told, name) for name in _Content.__struct_fields__)))
    names = _names(about, device_key_id, to.key_id)
    recipient = X25519PublicKey.from_public_bytes(to.public_key)
    sealed = HPKE_SUITE.encrypt(content, recipient, _HPKE_DOMAIN + names)
    signature = sign(_SIGNED_DOMAIN + names + sealed)
    data = msgspec.msgpack.encode(_Message(VERSION, device_key_id, to.key_id, sealed, signature))
    if len(data) > MAX_BYTES:
        raise FiringError(f"firing {about.firing_id}: {len(data)} bytes, at most {MAX_BYTES}")
    return data


def open_firing(
    data: bytes,
    about: About,
    *,
    sealing_keys: Mapping[str, bytes],
    device_keys: Mapping[str, bytes],
) -> ToldFiring:
    """Verify and open; ``sealing_keys`` are the region's raw X25519 keys, ``device_keys`` the vehicle's raw Ed25519, by id.

    Raises :class:`FiringError`; :class:`UnknownFiringKeyError` where a key is missing.
    """
    message = _message(data)
    device_key = device_keys.get(message.device_key_id)
    if device_key is None:
        raise UnknownFiringKeyError(
            f"signed by device key {message.device_key_id}, which is not accepted here"
        )
    sealing_key = sealing_keys.get(message.sealing_key_id)
    if sealing_key is None:
        raise UnknownFiringKeyError(f"sealed to key {message.sealing_key_id}, which is not held here")
    names = _names(about, message.device_key_id, message.sealing_key_id)
    try:
        Ed25519PublicKey.from_public_bytes(device_key).verify(
            message.signature, _SIGNED_DOMAIN + names + message.sealed
        )
    except InvalidSignature as error:
        raise FiringError(f"not signed by device key {message.device_key_id}") from error
    own = X25519PrivateKey.from_private_bytes(sealing_key)
    try:
        content = HPKE_SUITE.decrypt(message.sealed, own, _HPKE_DOMAIN + names)
    except (InvalidTag, ValueError) as error:
        raise FiringError("does not open with this region's key") from error
    return _told(content)


def _message(data: bytes) -> _Message:
    if len(data) > MAX_BYTES:
        raise FiringError(f"{len(data)} bytes, at most {MAX_BYTES}")
    try:
        message = msgspec.msgpack.decode(data, type=_Message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FiringError(str(error)) from error
    if message.v != VERSION:
        raise FiringError(f"version {message.v}, this software reads {VERSION}")
    return message


def _told(content: bytes) -> ToldFiring:
    try:
        read = msgspec.msgpack.decode(content, type=_Content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FiringError(f"content: {error}") from error
    if (read.clip_id is None) == (read.drop is None):
        raise FiringError("content: needs exactly one of clip and reason")
    return ToldFiring(*(getattr(read, name) for name in _Content.__struct_fields__))


def _names(about: About, device_key_id: str, sealing_key_id: str) -> bytes:
    parts = (about.region_id, about.vehicle, about.firing_id, device_key_id, sealing_key_id)
    return b"".join(bytes([len(part)]) + part.encode("ascii") for part in parts)
