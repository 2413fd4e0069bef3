"""Segments of sealed files, each with its SHA-256: read a block at a time, and the block that comes next ahead of time.

A block is many segments: opening a file, asking for its key and deriving from it cost more than opening a segment does. While
one is sent, the next is read, decrypted and hashed beside the delivering loop. At most these two are kept; they are what the
region gets, still sealed, and whether it may be given to anybody is asked for each segment, by who sends it.

A block that nobody has begun to read when it is wanted is read by who wants it: nobody waits behind other work.

Threads: one calls the methods, and what is read ahead is read where the executor runs it.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final

from fsd_agent.ports.spool import RegionSpool
from fsd_agent.records.clip import ClipRow

BLOCK_BYTES: Final = 1 << 20
"""Read at once: opening a file and asking for its key cost as much as opening several segments."""
HASH_BYTES: Final = hashlib.sha256().digest_size
Segment = tuple[bytes, bytes]
"""Bytes, and the SHA-256 of them."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a block begins. ``sha256`` is the whole file's: another file of the clip has other blocks."""

    clip_id: str
    sha256: bytes
    offset: int


class Segments:
    """See the module. Of one region's files."""

    def __init__(self, spool: RegionSpool, ahead: Executor, segment_bytes: int) -> None:
        """``ahead`` reads what is not wanted yet; best on a thread that does nothing else."""
        self._spool = spool
        self._ahead = ahead
        self._segment_bytes = segment_bytes
        self._block_bytes = block_of(segment_bytes)
        self._clip_id = ""
        self._block: dict[int, Segment] = {}
        """What was wanted last, by where in the file of ``_clip_id`` it begins."""
        self._next: tuple[_Place, Future[dict[int, Segment]]] | None = None

    def get(self, row: ClipRow, offset: int, length: int, hashes: bytes = b"") -> Segment:
        """``length`` bytes from ``offset`` on, fewer at the file's end. Raises ``SpoolError``.

        ``hashes`` are those of all segments, in order, where they are known: then none is worked out.
        """
        found = self._block.get(offset) if row.clip_id == self._clip_id else None
        if found is None:
            self._block, self._clip_id = self._wanted(row, offset, hashes), row.clip_id
            self._read_ahead(row, offset + self._block_bytes, hashes)
            found = self._block.get(offset, (b"", b""))
        if len(found[0]) == length:
            return found
        data = b"".join(self._spool.parts(row.purpose, row.clip_id, offset, length))  # Not as it was cut here
        return data, hashlib.sha256(data).digest()

    def forget(self, clip_id: str) -> None:
        """The file is gone, or another, or will be."""
        if clip_id == self._clip_id:
            self._clip_id, self._block = "", {}
        if self._next is not None and clip_id == self._next[0].clip_id:
            self._drop_next()

    def forget_all(self) -> None:
        """Any of them may be gone."""
        self._clip_id, self._block = "", {}
        self._drop_next()

    def _drop_next(self) -> None:
        if self._next is not None:
            self._next[1].cancel()
            self._next = None

    def _wanted(self, row: ClipRow, offset: int, hashes: bytes) -> dict[int, Segment]:
        place = _Place(row.clip_id, row.sha256, offset)
        if self._next is not None and self._next[0] == place and not self._next[1].cancel():
            (_, block), self._next = self._next, None
            return block.result()
        self._drop_next()
        return self._read(row, offset, hashes)

    def _read_ahead(self, row: ClipRow, offset: int, hashes: bytes) -> None:
        if offset < row.size_bytes:
            place = _Place(row.clip_id, row.sha256, offset)
            self._next = place, self._ahead.submit(self._read, row, offset, hashes)

    def _read(self, row: ClipRow, offset: int, hashes: bytes) -> dict[int, Segment]:
        size = self._segment_bytes
        pieces = cut(self._spool.parts(row.purpose, row.clip_id, offset, self._block_bytes), size)
        return {
            at: (piece, known_hash(hashes, at, size) or hashlib.sha256(piece).digest())
            for at, piece in zip(range(offset, offset + len(pieces) * size, size), pieces, strict=True)
        }


def block_of(segment_bytes: int) -> int:
    """How much is read at once: whole segments, about :data:`BLOCK_BYTES` of them."""
    return max(1, BLOCK_BYTES // segment_bytes) * segment_bytes


def cut(parts: tuple[bytes, ...], segment_bytes: int) -> tuple[bytes, ...]:
    """The same bytes in segments, the last of which may be shorter. As they are where they are so already, as parts mostly are."""
    if all(len(part) == segment_bytes for part in parts[:-1]) and all(
        len(part) <= segment_bytes for part in parts[-1:]
    ):
        return parts
    data = b"".join(parts)
    return tuple(data[at : at + segment_bytes] for at in range(0, len(data), segment_bytes))


def known_hash(hashes: bytes, offset: int, segment_bytes: int) -> bytes:
    """That of the segment at ``offset``; nothing where it is not known, or no segment begins there."""
    number, inside = divmod(offset, segment_bytes)
    return b"" if inside else hashes[number * HASH_BYTES :][:HASH_BYTES]
