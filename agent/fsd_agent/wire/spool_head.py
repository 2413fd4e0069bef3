r"""How every spool file begins, whatever its version, and the keys that come of it.

    magic  "FSDSPOL1"
    u32    length of the header, big-endian, at most 512
    bytes  header: msgpack map, the fields of SpoolHeader
    bytes  AES-256-GCM of the clip's content key, 48 bytes
    ...    the sealed file: ``wire.spool_file``; of versions 1 to 3 ``wire.spool_file_before``

Two keys come from the compartment's ``spool`` key (``wire.compartment``) by HKDF-SHA256, salted with the header's 32
random bytes, under ``info`` ``"fsd spool v1\0"``: the first 32 bytes are for what is encrypted of the sealed file, the others for the
content key, whose nonce is zero. Associated data of all is the SHA-256 of everything up to the header's end; the random bytes are each
file's own.

Header and content key never leave the vehicle. The content key is what the region gets wrapped: by it the vehicle can give its owner a
copy of the redacted clip.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.compartment import KEY_BYTES, use_key
from fsd_agent.wire.pieces import PIECE_BYTES

MAGIC = b"FSDSPOL1"
TAG_BYTES = 16
SALT_BYTES = 32
MAX_HEADER_BYTES = 512

_LENGTH = struct.Struct(">I")
_START_BYTES = len(MAGIC) + _LENGTH.size
_CONTENT_KEY_BYTES = KEY_BYTES + TAG_BYTES
_CONTENT_KEY_NONCE = bytes(12)

Version = Literal[1, 2, 3, 4]
ReadAt = Callable[[int, int], bytes]
"""(offset, length) to bytes of the spool file; fewer only at its end."""


class SpoolFileError(ValueError):
    """No spool file of this clip, or damaged; nothing of it may be used."""


class SpoolHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What anyone who has the disk can read: no time, place or content."""

    v: Version
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    purpose: Purpose
    clip_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0, le=2**32 * PIECE_BYTES)]
    """Of the sealed file, bytes."""
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]


@dataclass(frozen=True, slots=True)
class SpoolHead:
    """The beginning of one file, and what opens the rest."""

    header: SpoolHeader
    body_at: int
    """Where the sealed file begins."""
    bound: bytes
    """Associated data of everything that is encrypted in it."""
    cipher: AESGCM
    """For the sealed file."""
    key_cipher: AESGCM
    """For the clip's content key."""

    @classmethod
    def open(cls, read_at: ReadAt, compartment: Compartment, clip_id: str, *, key: bytes) -> SpoolHead:
        """Read it and check that it is this clip's; ``key`` is the compartment's. Raises :class:`SpoolFileError`.

        That header and key belong together is seen when anything of it is decrypted.
        """
        start = _start_of(read_at(0, _START_BYTES + MAX_HEADER_BYTES))
        header = read_header(start)
        found = Compartment(header.region_id, header.purpose), header.clip_id
        if found != (compartment, clip_id):
            raise SpoolFileError(f"is clip {found[1]} of compartment {found[0]}")
        return cls._made(header, start, compartment, key)

    @classmethod
    def begin(cls, header: SpoolHeader, content_key: bytes, *, key: bytes) -> tuple[SpoolHead, bytes]:
        """Of a new file: it, and all bytes before the sealed file."""
        body = msgspec.msgpack.encode(header)
        start = MAGIC + _LENGTH.pack(len(body)) + body
        head = cls._made(header, start, Compartment(header.region_id, header.purpose), key)
        return head, start + head.key_cipher.encrypt(_CONTENT_KEY_NONCE, content_key, head.bound)

    @classmethod
    def _made(cls, header: SpoolHeader, start: bytes, compartment: Compartment, key: bytes) -> SpoolHead:
        derived = HKDF(
            algorithm=SHA256(), length=2 * KEY_BYTES, salt=header.salt, info=b"fsd spool v1\0"
        ).derive(use_key(key, compartment, "spool"))
        ciphers = AESGCM(derived[:KEY_BYTES]), AESGCM(derived[KEY_BYTES:])
        return cls(header, len(start) + _CONTENT_KEY_BYTES, sha256(start).digest(), *ciphers)

    def content_key(self, read_at: ReadAt) -> bytes:
        """The key that opens the clip in the sealed file; raises :class:`SpoolFileError`."""
        sealed = read_at(self.body_at - _CONTENT_KEY_BYTES, _CONTENT_KEY_BYTES)
        try:
            return self.key_cipher.decrypt(_CONTENT_KEY_NONCE, sealed, self.bound)
        except InvalidTag as error:
            raise SpoolFileError("its content key is damaged, or another compartment's") from error


def read_header(start: bytes) -> SpoolHeader:
    """What the beginning of a file says of itself, **not verified**; raises :class:`SpoolFileError`."""
    try:
        return msgspec.msgpack.decode(_start_of(start)[_START_BYTES:], type=SpoolHeader)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpoolFileError(f"header: {error}") from error


def _start_of(data: bytes) -> bytes:
    """The bytes up to the header's end; fewer only where the file ends there."""
    if not data.startswith(MAGIC):
        raise SpoolFileError(f"starts with {data[: len(MAGIC)]!r}, a spool file with {MAGIC!r}")
    if len(data) < _START_BYTES:
        raise SpoolFileError("ends in its header")
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    if length > MAX_HEADER_BYTES:
        raise SpoolFileError(f"a header of {length} bytes, at most {MAX_HEADER_BYTES}")
    return data[: _START_BYTES + length]
