r"""What a sealed file is known by, from the vehicle's journal to the region's receipt: one SHA-256 over those of its pieces.

    piece     64 KiB of the file, the last has what is left; of an empty file there is one, of nothing
    identity  SHA-256 of "fsd pieces 1\0", the file's size (u64, big-endian), and the SHA-256 of each piece in order

A piece is a segment as it travels. So one pass over the bytes, while the file is sealed, gives what the file is known by and the hash
that each segment's topic names; who sends it hashes nothing again, and pieces can be hashed beside each other.

Files that were sealed before this have the SHA-256 of the whole instead. Both are 32 bytes; what begins with other bytes can't have the
other's value, so who is given one may try both.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

PIECE_BYTES: Final = 64 * 1024
HASH_BYTES: Final = hashlib.sha256().digest_size

_HEAD: Final = struct.Struct(">13sQ")
_DOMAIN: Final = b"fsd pieces 1\0"


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What a file says of itself."""

    sha256: bytes
    """What it is known by."""
    pieces: bytes = b""
    """SHA-256 of each piece; nothing where ``sha256`` is that of the whole."""

    @classmethod
    def of(cls, content: bytes) -> FileIdentity:
        """Of a file that is in memory."""
        pieces = hash_pieces(content)
        return cls(identity_of(len(content), pieces), pieces)


class Digest(Protocol):
    """What hashes have in common."""

    def update(self, data: bytes, /) -> None:
        """Take what comes next."""
        ...

    def digest(self) -> bytes:
        """Of all that was taken."""
        ...


class PieceHashes:
    """The identity of bytes that come in parts of any size."""

    def __init__(self) -> None:
        self._size = 0
        self._hashes = bytearray()
        self._open = hashlib.sha256()
        """Of the piece that is not full yet."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take what comes next."""
        rest = memoryview(data)
        while rest:
            if self._size and not self._size % PIECE_BYTES:  # Full, and something comes after it
                self._hashes += self._open.digest()
                self._open = hashlib.sha256()
            fitting = rest[: PIECE_BYTES - self._size % PIECE_BYTES]
            self._open.update(fitting)
            self._size += len(fitting)
            rest = rest[len(fitting) :]

    def pieces(self) -> bytes:
        """SHA-256 of each piece so far."""
        return bytes(self._hashes) + self._open.digest()

    def digest(self) -> bytes:
        """What bytes so far are known by."""
        return identity_of(self._size, self.pieces())


def identity_of(size: int, pieces: bytes) -> bytes:
    """What a file of so many bytes is known by, whose pieces have these hashes."""
    return hashlib.sha256(_HEAD.pack(_DOMAIN, size) + pieces).digest()


def hash_pieces(data: bytes | memoryview) -> bytes:
    """SHA-256 of each piece of ``data``, which begins where a piece does."""
    view = memoryview(data)
    starts = range(0, max(1, len(view)), PIECE_BYTES)
    return b"".join(hashlib.sha256(view[at : at + PIECE_BYTES]).digest() for at in starts)


def count_pieces(size: int) -> int:
    """How many pieces a file of so many bytes has."""
    return max(1, -(-size // PIECE_BYTES))


def digest_like(identity: FileIdentity | None) -> Digest:
    """Works out what that file must be known by; of one that says nothing, the SHA-256 of the whole."""
    return PieceHashes() if identity is not None and identity.pieces else hashlib.sha256()


def is_known_by(sha256: bytes, read: Callable[[], Iterable[bytes]]) -> bool:
    """Whether the bytes that ``read`` gives are those of the file that is known by ``sha256``, in either way."""
    return any(_digest(read(), begin()) == sha256 for begin in (PieceHashes, hashlib.sha256))


def _digest(parts: Iterable[bytes], digest: Digest) -> bytes:
    for part in parts:
        digest.update(part)
    return digest.digest()
