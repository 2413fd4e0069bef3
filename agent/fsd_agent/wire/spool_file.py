r"""Spool file: a sealed clip as it lies on the vehicle, once more encrypted, under the key of its compartment.

Format, version 3::

    magic  "FSDSPOL1"
    u32    length of the header, big-endian, at most 512
    bytes  header: msgpack map, the fields of SpoolHeader
    bytes  AES-256-GCM of the clip's content key, 48 bytes
    ...    chunks: AES-256-GCM over 64 KiB of the sealed file each (the last one has what is left), each 16 bytes longer
    bytes  AES-256-GCM of the SHA-256 of each of the sealed file's pieces (``wire.pieces``), 16 bytes longer; version 2 has the
           SHA-256 of the whole instead, version 1 ends before it

Two keys come from the compartment's ``spool`` key (``wire.compartment``) by HKDF-SHA256, salted with the header's 32
random bytes, under ``info`` ``"fsd spool v1\0"``: the first 32 bytes encrypt chunks and hashes, the others the content key. A
chunk's nonce is seven zero bytes, its number (u32, big-endian) and 1 for the last chunk, else 0; that of the hashes ends in
zero and 2; the content key's is zero. Associated data of all is the SHA-256 of everything up to the header's end. So a chunk can
be read without the others, and none can be moved, dropped, or shown as another clip's, purpose's, region's or file's: the random
bytes are each file's own.

So where the hashes are of what the journal knows the clip by, each chunk that opens is what was sealed, and nobody need read the
others to know it. Of a file of version 1 that is known when the whole is read. A chunk is a piece, and a segment as it travels.

What the region gets is the sealed file inside (``wire.sealed``); header and content key never leave the vehicle. The
content key is what the region gets wrapped: by it the vehicle can give its owner a copy of the redacted clip.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedReader, RawIOBase
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fsd_agent.records.clip import SealedFile
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.compartment import KEY_BYTES, use_key
from fsd_agent.wire.pieces import HASH_BYTES, PIECE_BYTES, FileIdentity, count_pieces, identity_of
from fsd_agent.wire.sealed import SealedManifest, open_with_content_key

MAGIC = b"FSDSPOL1"
CHUNK_BYTES = PIECE_BYTES
"""Of the sealed file: a read of one byte decrypts this much."""
TAG_BYTES = 16
_SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
SALT_BYTES = 32
MAX_HEADER_BYTES = 512

_LENGTH = struct.Struct(">I")
_NONCE = struct.Struct(">7xIB")
_HASH_NONCE = _NONCE.pack(0, 2)
_START_BYTES = len(MAGIC) + _LENGTH.size
_CONTENT_KEY_BYTES = KEY_BYTES + TAG_BYTES
BLOCK_BYTES = _START_BYTES + MAX_HEADER_BYTES + _CONTENT_KEY_BYTES + 8 * (CHUNK_BYTES + TAG_BYTES)
"""Room for what comes before the chunks and for eight of them: written at once, and still in the cache of who made them."""

Version = Literal[1, 2, 3]
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
    size: Annotated[int, msgspec.Meta(ge=0, le=2**32 * CHUNK_BYTES)]
    """Of the sealed file, bytes."""
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]


def encode_spool_file(
    file: SealedFile, compartment: Compartment, clip_id: str, *, key: bytes, salt: bytes
) -> Iterator[bytes]:
    """The file in parts, in version 1; ``key`` is the compartment's, ``salt`` 32 random bytes that were never used before.

    Raises :class:`SpoolFileError`, while iterating, where ``file`` does not have the size that it says.
    """
    room = bytearray(BLOCK_BYTES)
    return map(bytes, encode_spool_blocks(file, compartment, clip_id, key=key, salt=salt, room=room))


def encode_spool_blocks(
    file: SealedFile,
    compartment: Compartment,
    clip_id: str,
    *,
    key: bytes,
    salt: bytes,
    room: bytearray,
    identity: Callable[[], FileIdentity] | None = None,
    version: Version = 3,
) -> Iterator[memoryview]:
    """The same in blocks that are made in ``room``, :data:`BLOCK_BYTES` of it, each over the one before.

    ``identity`` is asked what the sealed file is known by when all of it was read, and everything else is written; without it the
    file is of version 1.

    Memory that is taken anew for each part is given back to the kernel after each file, and taking it costs as much as
    encrypting does.
    """
    of = 1 if identity is None else version
    head = SpoolHeader(of, compartment.region_id, compartment.purpose, clip_id, file.size_bytes, salt)
    body = msgspec.msgpack.encode(head)
    start = MAGIC + _LENGTH.pack(len(body)) + body
    chunk_cipher, key_cipher = _ciphers(key, compartment, salt)
    bound = sha256(start).digest()
    opening = start + key_cipher.encrypt(bytes(_NONCE.size), file.content_key, bound)
    view, end = memoryview(room), len(opening)
    view[:end] = opening
    last = _last(file.size_bytes)
    done = 0
    for number, chunk in enumerate(_chunks(file)):
        done += len(chunk)
        if number > last or done > file.size_bytes:
            break
        sealed_bytes = len(chunk) + TAG_BYTES
        if end + sealed_bytes > len(view):
            yield view[:end]
            end = 0
        nonce = _NONCE.pack(number, number == last)
        end += chunk_cipher.encrypt_into(nonce, chunk, bound, view[end : end + sealed_bytes])
    if done != file.size_bytes:
        raise SpoolFileError(
            f"clip {clip_id}: sealed to {done} bytes or more, {file.size_bytes} were announced"
        )
    yield view[:end]
    if identity is not None:
        known = identity()
        hashes = known.pieces if version == 3 else known.sha256
        yield memoryview(chunk_cipher.encrypt(_HASH_NONCE, hashes, bound))


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """An open spool file; made by :meth:`open`. Nothing of it is held but its header and its keys."""

    header: SpoolHeader
    _read_at: ReadAt
    _body_at: int
    _bound: bytes
    _chunks: AESGCM
    _content: AESGCM

    @classmethod
    def open(cls, read_at: ReadAt, compartment: Compartment, clip_id: str, *, key: bytes) -> SpoolFile:
        """Read its header and check that it is this clip's; raises :class:`SpoolFileError`.

        That header and key belong together is seen when the first chunk, or the content key, is opened.
        """
        start = _start_of(read_at(0, _START_BYTES + MAX_HEADER_BYTES))
        header = read_header(start)
        found = Compartment(header.region_id, header.purpose), header.clip_id
        if found != (compartment, clip_id):
            raise SpoolFileError(f"is clip {found[1]} of compartment {found[0]}")
        chunks, content = _ciphers(key, compartment, header.salt)
        return cls(header, read_at, len(start) + _CONTENT_KEY_BYTES, sha256(start).digest(), chunks, content)

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes of the sealed file, fewer at its end; raises :class:`SpoolFileError`."""
        return b"".join(self.parts(offset, length))

    def parts(self, offset: int, length: int) -> tuple[bytes, ...]:
        """The same, cut where the sealed file has multiples of :data:`CHUNK_BYTES`; none is empty.

        Each is made in one piece, and small enough for memory that was used before to be used again: copying them together, and
        the kernel's clearing of fresh pages for that, costs as much as decrypting does.
        """
        end = min(offset + length, self.header.size)
        if offset >= end:
            return ()
        first, last = offset // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        opened = list(self._open_chunks(first, last))
        opened[-1] = opened[-1][: end - last * CHUNK_BYTES]
        opened[0] = opened[0][offset - first * CHUNK_BYTES :]
        return tuple(opened)

    def content_key(self) -> bytes:
        """The key that opens the clip in the sealed file; raises :class:`SpoolFileError`."""
        sealed = self._read_at(self._body_at - _CONTENT_KEY_BYTES, _CONTENT_KEY_BYTES)
        try:
            return self._content.decrypt(bytes(_NONCE.size), sealed, self._bound)
        except (InvalidTag, ValueError) as error:
            raise SpoolFileError("its content key is damaged, or another compartment's") from error

    def identity(self) -> FileIdentity | None:
        """What the sealed file is known by; None in version 1. Raises :class:`SpoolFileError`."""
        if self.header.v == 1:
            return None
        size = self.header.size
        hashes = 1 if self.header.v == 2 else count_pieces(size)
        at, count = self._body_at + size + count_pieces(size) * TAG_BYTES, hashes * HASH_BYTES + TAG_BYTES
        refused = "its hashes are damaged, cut short, or another file's"
        # The size is not proved yet, and may ask for any memory: so the file's end has to be where it says first.
        if len(self._read_at(at + count - 1, 2)) != 1:
            raise SpoolFileError(refused)
        try:
            opened = self._chunks.decrypt(_HASH_NONCE, self._read_at(at, count), self._bound)
        except (InvalidTag, ValueError) as error:
            raise SpoolFileError(refused) from error
        return FileIdentity(opened) if self.header.v == 2 else FileIdentity(identity_of(size, opened), opened)

    def _open_chunks(self, first: int, last: int) -> Iterator[bytes]:
        """Read these at once, and open them one by one."""
        size, end = self.header.size, _last(self.header.size)
        # In version 1 nothing comes behind the last one: what is there is read with it, and does not open.
        most = CHUNK_BYTES if self.header.v == 1 or last < end else size - end * CHUNK_BYTES
        count = (last - first) * _SEALED_CHUNK_BYTES + most + TAG_BYTES
        sealed = memoryview(self._read_at(self._body_at + first * _SEALED_CHUNK_BYTES, count))
        for number in range(first, last + 1):
            at = (number - first) * _SEALED_CHUNK_BYTES
            nonce = _NONCE.pack(number, number == end)
            try:
                yield self._chunks.decrypt(nonce, sealed[at : at + _SEALED_CHUNK_BYTES], self._bound)
            except (InvalidTag, ValueError) as error:
                raise SpoolFileError(
                    f"chunk {number} is damaged, cut short, or another clip's or compartment's"
                ) from error


def read_header(start: bytes) -> SpoolHeader:
    """What the beginning of a file says of itself, **not verified**; raises :class:`SpoolFileError`."""
    try:
        return msgspec.msgpack.decode(_start_of(start)[_START_BYTES:], type=SpoolHeader)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SpoolFileError(f"header: {error}") from error


def open_own_clip(
    read_at: ReadAt, compartment: Compartment, clip_id: str, *, key: bytes
) -> tuple[SealedManifest, Iterator[bytes]]:
    """The redacted clip in a spool file, for the vehicle's owner: its manifest, and its MCAP file in parts.

    ``key`` is the compartment's. Raises :class:`SpoolFileError` or ``wire.sealed.SealedError``, from the iterator too:
    parts that were read are good only if it comes to its end.
    """
    file = SpoolFile.open(read_at, compartment, clip_id, key=key)
    return open_with_content_key(BufferedReader(_Inner(file), CHUNK_BYTES), file.content_key())


class _Inner(RawIOBase):
    """The sealed file in a spool file, as a stream."""

    def __init__(self, file: SpoolFile) -> None:
        super().__init__()
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # a buffer of bytes is all that is asked of it
        data = self._file.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


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


def _ciphers(key: bytes, compartment: Compartment, salt: bytes) -> tuple[AESGCM, AESGCM]:
    """(for chunks, for the content key)."""
    derived = HKDF(algorithm=SHA256(), length=2 * KEY_BYTES, salt=salt, info=b"fsd spool v1\0").derive(
        use_key(key, compartment, "spool")
    )
    return AESGCM(derived[:KEY_BYTES]), AESGCM(derived[KEY_BYTES:])


def _last(size: int) -> int:
    """Number of the last chunk; there is one also of nothing."""
    return count_pieces(size) - 1


def _chunks(file: SealedFile) -> Iterator[bytes | memoryview]:
    """Full chunks, then one last of what is left; at least one, also of nothing. Of large parts nothing is copied."""
    pending = b""
    for part in file.chunks:
        rest = memoryview(part)
        if pending:
            fitting = CHUNK_BYTES - len(pending)
            pending, rest = b"".join((pending, rest[:fitting])), rest[fitting:]
            if not rest:
                continue
            yield pending
        while len(rest) > CHUNK_BYTES:
            yield rest[:CHUNK_BYTES]
            rest = rest[CHUNK_BYTES:]
        pending = bytes(rest)
    yield pending
