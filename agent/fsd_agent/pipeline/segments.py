"""Segments of sealed files, each with its SHA-256, read a block at a time.

A block is many segments: opening a file, asking for its key and deriving from it cost more than opening a segment does. One block
is kept; it is what the region gets, still sealed, and whether it may be given to anybody is asked for each segment, by who sends it.

Threads: one.
"""

from __future__ import annotations

import hashlib
from typing import Final

from fsd_agent.ports.spool import RegionSpool
from fsd_agent.records.clip import ClipRow
from fsd_agent.wire.pieces import HASH_BYTES

BLOCK_BYTES: Final = 1 << 20
"""Read at once: opening a file and asking for its key cost as much as opening several segments."""
Segment = tuple[bytes, bytes]
"""Bytes, and the SHA-256 of them."""


class Segments:
    """See the module. Of one region's files."""

    def __init__(self, spool: RegionSpool, segment_bytes: int) -> None:
        self._spool = spool
        self._segment_bytes = segment_bytes
        self._clip_id = ""
        self._block: dict[int, bytes] = {}
        """What was wanted last, by where in the file of ``_clip_id`` it begins."""

    def get(self, row: ClipRow, offset: int, length: int, hashes: bytes = b"") -> Segment:
        """``length`` bytes from ``offset`` on, fewer at the file's end. Raises ``SpoolError``.

        ``hashes`` are those of all segments, in order, where they are known: then none is worked out.
        """
        found = self._block.get(offset) if row.clip_id == self._clip_id else None
        if found is None:
            self._block, self._clip_id = self._read(row, offset), row.clip_id
            found = self._block.get(offset, b"")
        if len(found) != length:  # Not as it was cut here
            data = b"".join(self._spool.parts(row.purpose, row.clip_id, offset, length))
            return data, hashlib.sha256(data).digest()
        return found, known_hash(hashes, offset, self._segment_bytes) or hashlib.sha256(found).digest()

    def forget(self, clip_id: str) -> None:
        """The file is gone, or another, or will be."""
        if clip_id == self._clip_id:
            self.forget_all()

    def forget_all(self) -> None:
        """Any of them may be gone."""
        self._clip_id, self._block = "", {}

    def _read(self, row: ClipRow, offset: int) -> dict[int, bytes]:
        size = self._segment_bytes
        pieces = cut(self._spool.parts(row.purpose, row.clip_id, offset, block_of(size)), size)
        return dict(zip(range(offset, offset + len(pieces) * size, size), pieces, strict=True))


class Outline:
    """Hashes of a file that is read as a whole, block by block; of :func:`block_of` bytes each, but for the last."""

    def __init__(self, segment_bytes: int) -> None:
        self._segment_bytes = segment_bytes
        self._segments = bytearray()
        self._whole = hashlib.sha256()

    def add(self, block: tuple[bytes, ...]) -> None:
        """The next block, in parts."""
        for segment in cut(block, self._segment_bytes):
            self._segments += hashlib.sha256(segment).digest()
            self._whole.update(segment)

    def segments(self) -> bytes:
        """SHA-256 of each segment, in order."""
        return bytes(self._segments)

    def whole(self) -> bytes:
        """SHA-256 of all."""
        return self._whole.digest()


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
