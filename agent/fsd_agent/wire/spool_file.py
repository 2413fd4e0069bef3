r"""Spool file: a sealed clip as it lies on the vehicle, closed under the key of its compartment.

Format, version 4, behind the head (``wire.spool_head``)::

    bytes  AES-256-GCM of the sealed file's first piece (``wire.pieces``: 64 KiB, or all of a smaller one), 16 bytes longer
    ...    the other pieces, as they are
    bytes  AES-256-GCM of the SHA-256 of each of the sealed file's pieces, 16 bytes longer

Nonces are zero but for the last byte: 1 of the first piece, 2 of the hashes.

A sealed file (``wire.sealed``) is AES-256-GCM under a key of its own but for its manifest, which has that key wrapped for the region and
fits into the first piece. So with the compartment's key gone, what is left is noise, to the region too: nothing that is kept says what opens it.
And as the first piece is the last that is sent (``rules.uplink.transfer``), a region that says truly what it has can open nothing of a
clip whose key was destroyed before it had all.

Each piece is read without the others and compared with its hash, so none can be moved, dropped, changed, or shown as another clip's,
purpose's, region's or file's. Where the hashes are those of what the journal knows the clip by, each piece that is read is what was sealed. A
piece is a segment as it travels.

What the region gets is the sealed file inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedReader, RawIOBase
from typing import Protocol

from cryptography.exceptions import InvalidTag

from fsd_agent.records.clip import SealedFile
from fsd_agent.records.purpose import Compartment
from fsd_agent.wire.pieces import HASH_BYTES, PIECE_BYTES, FileIdentity, count_pieces, identity_of
from fsd_agent.wire.sealed import SealedManifest, open_with_content_key
from fsd_agent.wire.spool_file_before import ChunkedBody
from fsd_agent.wire.spool_head import TAG_BYTES, ReadAt, SpoolFileError, SpoolHead, SpoolHeader

_FIRST_NONCE = bytes(11) + b"\1"
_HASH_NONCE = bytes(11) + b"\2"
Part = bytes | memoryview


def encode_spool_file(
    file: SealedFile,
    compartment: Compartment,
    clip_id: str,
    *,
    key: bytes,
    salt: bytes,
    identity: Callable[[], FileIdentity],
) -> Iterator[Part]:
    """The file in parts; of the sealed file's own parts, all that is not encrypted is passed on and not copied.

    ``key`` is the compartment's, ``salt`` 32 random bytes that were never used before. ``identity`` is asked what the sealed file is
    known by when all of it was read. Raises :class:`SpoolFileError`, while iterating, where ``file`` does not have the size that it says.
    """
    header = SpoolHeader(4, compartment.region_id, compartment.purpose, clip_id, file.size_bytes, salt)
    head, start = SpoolHead.begin(header, file.content_key, key=key)
    yield start
    parts = _of_size(file, clip_id)
    first, rest = _first_piece(parts)
    yield head.cipher.encrypt(_FIRST_NONCE, first, head.bound)
    if rest:
        yield rest
    yield from parts
    yield head.cipher.encrypt(_HASH_NONCE, identity().pieces, head.bound)


class Body(Protocol):
    """The sealed file in a spool file of some version."""

    def identity(self) -> FileIdentity | None:
        """What it is known by; None where the file does not say. Raises :class:`SpoolFileError`."""
        ...

    def pieces(self, first: int, last: int) -> Iterator[bytes]:
        """The pieces of these numbers and between, each as it was sealed. Raises :class:`SpoolFileError`, while iterating."""
        ...


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """An open spool file, of any version; made by :meth:`open`. Nothing of it is held but its header and its keys."""

    _head: SpoolHead
    _body: Body
    _read_at: ReadAt

    @classmethod
    def open(cls, read_at: ReadAt, compartment: Compartment, clip_id: str, *, key: bytes) -> SpoolFile:
        """Read its header and check that it is this clip's; raises :class:`SpoolFileError`.

        That header and key belong together is seen when anything else is read.
        """
        head = SpoolHead.open(read_at, compartment, clip_id, key=key)
        body = PlainBody(head, read_at) if head.header.v >= 4 else ChunkedBody(head, read_at)
        return cls(head, body, read_at)

    @property
    def header(self) -> SpoolHeader:
        """What the file says of itself."""
        return self._head.header

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes of the sealed file, fewer at its end; raises :class:`SpoolFileError`."""
        return b"".join(self.parts(offset, length))

    def parts(self, offset: int, length: int) -> tuple[bytes, ...]:
        """The same, cut where the sealed file has multiples of 64 KiB; none is empty.

        Each is made in one piece, and small enough for memory that was used before to be used again: copying them together, and
        the kernel's clearing of fresh pages for that, costs as much as hashing does.
        """
        end = min(offset + length, self.header.size)
        if offset >= end:
            return ()
        first, last = offset // PIECE_BYTES, (end - 1) // PIECE_BYTES
        opened = list(self._body.pieces(first, last))
        opened[-1] = opened[-1][: end - last * PIECE_BYTES]
        opened[0] = opened[0][offset - first * PIECE_BYTES :]
        return tuple(opened)

    def content_key(self) -> bytes:
        """The key that opens the clip in the sealed file; raises :class:`SpoolFileError`."""
        return self._head.content_key(self._read_at)

    def identity(self) -> FileIdentity | None:
        """What the sealed file is known by; None of version 1. Raises :class:`SpoolFileError`."""
        return self._body.identity()


@dataclass(frozen=True, slots=True)
class PlainBody:
    """The sealed file in one of version 4; see :class:`Body`."""

    head: SpoolHead
    read_at: ReadAt

    def identity(self) -> FileIdentity:
        """See the protocol."""
        hashes = self._hashes()
        return FileIdentity(identity_of(self.head.header.size, hashes), hashes)

    def pieces(self, first: int, last: int) -> Iterator[bytes]:
        """See the protocol."""
        hashes, size = self._hashes(), self.head.header.size
        for number in range(first, last + 1):
            at = number * PIECE_BYTES
            length = min(PIECE_BYTES, size - at)
            if number:
                piece = self.read_at(self.head.body_at + TAG_BYTES + at, length)
            else:
                piece = self._first(length)
            if sha256(piece).digest() != hashes[number * HASH_BYTES :][:HASH_BYTES]:
                raise SpoolFileError(f"piece {number} is damaged, or another file's")
            yield piece

    def _first(self, length: int) -> bytes:
        sealed = self.read_at(self.head.body_at, length + TAG_BYTES)
        try:
            return self.head.cipher.decrypt(_FIRST_NONCE, sealed, self.head.bound)
        except InvalidTag as error:
            raise SpoolFileError("piece 0 is damaged, or another clip's or compartment's") from error

    def _hashes(self) -> bytes:
        size = self.head.header.size
        count = count_pieces(size) * HASH_BYTES + TAG_BYTES
        at = self.head.body_at + TAG_BYTES + size
        refused = "its hashes are damaged, cut short, or another clip's or compartment's"
        # The size is not proved yet, and may ask for any memory: so the file's end has to be where it says first.
        if len(self.read_at(at + count - 1, 2)) != 1:
            raise SpoolFileError(refused)
        try:
            return self.head.cipher.decrypt(_HASH_NONCE, self.read_at(at, count), self.head.bound)
        except InvalidTag as error:
            raise SpoolFileError(refused) from error


def open_own_clip(
    read_at: ReadAt, compartment: Compartment, clip_id: str, *, key: bytes
) -> tuple[SealedManifest, Iterator[bytes]]:
    """The redacted clip in a spool file, for the vehicle's owner: its manifest, and its MCAP file in parts.

    ``key`` is the compartment's. Raises :class:`SpoolFileError` or ``wire.sealed.SealedError``, from the iterator too:
    parts that were read are good only if it comes to its end.
    """
    file = SpoolFile.open(read_at, compartment, clip_id, key=key)
    return open_with_content_key(BufferedReader(_Inner(file), PIECE_BYTES), file.content_key())


class _Inner(RawIOBase):
    """The sealed file in a spool file, as a stream."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # a buffer of bytes is all that is asked of it
        data = self._file.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _of_size(file: SealedFile, clip_id: str) -> Iterator[memoryview]:
    """Its parts, and an error where they are more or fewer bytes than it says; of more, none is passed on."""
    done = 0
    for part in file.chunks:
        done += len(part)
        if done > file.size_bytes:
            break
        yield memoryview(part)
    if done != file.size_bytes:
        raise SpoolFileError(
            f"clip {clip_id}: sealed to {done} bytes or more, {file.size_bytes} were announced"
        )


def _first_piece(parts: Iterator[memoryview]) -> tuple[bytes, memoryview]:
    """(the first piece, what is left of the part that it ends in)."""
    taken: list[memoryview] = []
    wanted = PIECE_BYTES
    for part in parts:
        taken.append(part[:wanted])
        if len(part) >= wanted:
            return b"".join(taken), part[wanted:]
        wanted -= len(part)
    return b"".join(taken), memoryview(b"")
