r"""Rotation statement: the device's key before says which key comes after it, and that one agrees.

Format, version 1: msgpack of ``[1, old key, new key, wall_ns, signature by the old, signature by the new]``, keys raw
Ed25519 (32 bytes), signatures (RFC 8032) over ``"fsd-rotation-1\0"`` and the msgpack of ``[1, old, new, wall_ns]``. The
old key's signature hands over; the new key's shows that whoever asks for it has it. Only the canonical encoding is read.

A chain of statements leads from a key that somebody knows to the one that is in use now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fsd_agent.wire.curve import ed25519_fault
from fsd_agent.wire.envelope import key_id_of

VERSION = 1
MAX_ROTATION_BYTES = 512
MAX_CHAIN = 64
"""Rotations of one vehicle that a request may carry: more than one a year of its life."""

_DOMAIN = b"fsd-rotation-1\0"
_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class RotationError(Exception):
    """Not a rotation statement, or not signed by both of its keys; the message says which."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A statement whose signatures were verified."""

    old_key: bytes
    new_key: bytes
    wall_ns: int
    """When it was made, by the vehicle's clock: for people."""
    data: bytes
    """The statement itself."""

    @property
    def old_key_id(self) -> str:
        """Of the key before."""
        return key_id_of(self.old_key)

    @property
    def new_key_id(self) -> str:
        """Of the key after."""
        return key_id_of(self.new_key)


def sign_rotation(
    old_key: bytes,
    new_key: bytes,
    wall_ns: int,
    *,
    sign_old: Callable[[bytes], bytes],
    sign_new: Callable[[bytes], bytes],
) -> Rotation:
    """Make a statement; each ``sign`` gives an Ed25519 signature. Raises :class:`RotationError` for unusable keys."""
    message = _message(old_key, new_key, wall_ns)
    parts = (VERSION, old_key, new_key, wall_ns, sign_old(message), sign_new(message))
    return decode_rotation(msgspec.msgpack.encode(parts))


def decode_rotation(data: bytes) -> Rotation:
    """Read and verify a statement; raises :class:`RotationError`."""
    if len(data) > MAX_ROTATION_BYTES:
        raise RotationError(f"a rotation statement of {len(data)} bytes, at most {MAX_ROTATION_BYTES}")
    form = tuple[int, _Key, _Key, int, _Signature, _Signature]
    try:
        parts = msgspec.msgpack.decode(data, type=form)
    except msgspec.DecodeError as error:
        raise RotationError(f"not a rotation statement: {error}") from error
    version, old_key, new_key, wall_ns, old_signature, new_signature = parts
    if version != VERSION:
        raise RotationError(f"rotation statement version {version}, this software reads {VERSION}")
    if msgspec.msgpack.encode(parts) != data:
        raise RotationError("not the canonical encoding of a rotation statement")
    if old_key == new_key:
        raise RotationError(f"leads from device key {key_id_of(old_key)} to itself")
    message = _message(old_key, new_key, wall_ns)
    for what, key, signature in (("old", old_key, old_signature), ("new", new_key, new_signature)):
        fault = ed25519_fault(key)
        if fault is not None:
            raise RotationError(f"{what} key: {fault}")
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except InvalidSignature as error:
            raise RotationError(f"not signed by the {what} device key {key_id_of(key)}") from error
    return Rotation(old_key, new_key, wall_ns, data)


def path_between(
    rotations: Iterable[Rotation], old_key_id: str, new_key_id: str
) -> tuple[Rotation, ...] | None:
    """The statements that lead from one key to another, in order; empty for the same key, None where none lead there.

    A key comes after one other: of several statements for it, the last counts.
    """
    before = {one.new_key_id: one for one in rotations}
    path: list[Rotation] = []
    at = new_key_id
    while at != old_key_id:
        step = before.pop(at, None)  # popped: statements that go round in a circle end
        if step is None:
            return None
        path.insert(0, step)
        at = step.old_key_id
    return tuple(path)


def linked_key_ids(rotations: Iterable[Rotation], key_id: str) -> frozenset[str]:
    """A key and every one that statements link it to: keys before it, and prepared to come after it."""
    pairs = [(one.old_key_id, one.new_key_id) for one in rotations]
    found = {key_id}
    for _ in pairs:
        for old, new in pairs:
            if old in found or new in found:
                found |= {old, new}
    return frozenset(found)


def _message(old_key: bytes, new_key: bytes, wall_ns: int) -> bytes:
    return _DOMAIN + msgspec.msgpack.encode((VERSION, old_key, new_key, wall_ns))
