"""Reading sealed files for sending, for either profile's topics: a block at a time, and never what was not sealed so.

Whether a file is what was sealed is found out first (:mod:`.soundness`).

A block is many segments: opening a file, asking for its key and deriving from it cost more than opening a segment does. The
last one is kept until another is read; it is what the region gets, still sealed, and whether it may be given to anybody is
asked for each segment, by who sends it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

from fsd_agent.pipeline.soundness import BLOCK_BYTES, Soundness
from fsd_agent.ports.spool import RegionSpool, SpoolDamagedError
from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.uplink.transfer import Emission, SendFin, SendInit
from fsd_agent.wire.file_async import (
    PREFIX_BYTES,
    FileClaim,
    FileInit,
    encode_init,
    fin_topic,
    init_topic,
    segment_topic,
)
from fsd_agent.wire.transfer import Fin, Init, Topics, encode


@dataclass(frozen=True, slots=True)
class _Block:
    """What was read last."""

    clip_id: str
    offset: int
    size: int
    parts: tuple[bytes, ...]
    starts: Mapping[int, bytes]
    """The same by where in the file they begin."""

    @classmethod
    def of(cls, clip_id: str, offset: int, parts: tuple[bytes, ...]) -> Self:
        """Parts that follow each other, from ``offset`` on."""
        ends = accumulate(map(len, parts), initial=offset)
        return cls(clip_id, offset, sum(map(len, parts)), parts, dict(zip(ends, parts, strict=False)))

    def find(self, clip_id: str, offset: int, length: int) -> bytes | None:
        """These bytes, where all of them are in it."""
        start = offset - self.offset
        if clip_id != self.clip_id or start < 0 or start + length > self.size:
            return None
        part = self.starts.get(offset)
        if part is not None and len(part) == length:  # As it is where segments are as large as parts
            return part
        return b"".join(self.parts)[start : start + length]


_NOTHING = _Block("", 0, 0, (), {})
_HASH_BYTES = hashlib.sha256().digest_size


class SealedFiles:
    """The sealed clips of one route. Those of another region can't be named here, and have other keys."""

    def __init__(
        self,
        spool: RegionSpool,
        topics: Topics,
        beside: Executor,
        done: Callable[[], None],
        segment_bytes: int,
    ) -> None:
        """``beside`` runs the checks of whole files; ``done`` is called by its thread when one is over."""
        self._spool = spool
        self._topics = topics
        self._segment_bytes = segment_bytes
        block_bytes = max(1, BLOCK_BYTES // segment_bytes) * segment_bytes
        self._soundness = Soundness(spool, beside, done, block_bytes, self._hashes_of)
        self._hashes: dict[str, bytes] = {}
        """Of clips that were found to be sound: SHA-256 of each segment, in order."""
        self._block = _NOTHING

    @property
    def unknown(self) -> frozenset[str]:
        """Clips of which it is not known yet whether they are sound."""
        return self._soundness.unknown

    def is_sound(self, row: ClipRow) -> bool:
        """To be asked before each first question about a clip; see :meth:`.soundness.Soundness.outline`."""
        hashes = self._soundness.outline(row)
        if hashes is None:
            return False
        self._hashes[row.clip_id] = hashes
        self._forget_block(row)  # The file may be another since
        return True

    def render(self, emission: Emission, row: ClipRow) -> tuple[str, bytes]:
        """Topic and payload of what is to be sent of the clip of ``row``. Raises ``SpoolError``."""
        if isinstance(emission, SendInit):
            return self._init(row, emission.message, self._hashes[row.clip_id])
        if isinstance(emission, SendFin):
            return self._fin(row, emission.message)
        data = self._read(row, emission.offset, emission.length)
        if len(data) != emission.length:
            end = emission.offset + emission.length
            raise SpoolDamagedError(f"clip {row.clip_id}: file ends before byte {end}")
        return self._segment(row, emission.offset, self._hash_of(row, emission.offset, data)), data

    def forget(self, row: ClipRow) -> None:
        """Keep nothing in memory of a clip whose file is gone, or will be."""
        self._soundness.forget(row.clip_id)
        self._hashes.pop(row.clip_id, None)
        self._forget_block(row)

    def forget_all(self) -> None:
        """As :meth:`forget`, of any clip; checks that are under way are given up."""
        self._soundness.forget_all()
        self._hashes.clear()
        self._block = _NOTHING

    def erase(self, row: ClipRow) -> None:
        """Remove the file of a clip that has come to its end. Raises ``SpoolError``."""
        self.forget(row)
        self._spool.erase(row.purpose, row.clip_id)

    def _read(self, row: ClipRow, offset: int, length: int) -> bytes:
        found = self._block.find(row.clip_id, offset, length)
        if found is not None:
            return found
        parts = self._spool.parts(row.purpose, row.clip_id, offset, max(length, BLOCK_BYTES))
        self._block = block = _Block.of(row.clip_id, offset, parts)
        return block.find(row.clip_id, offset, min(length, block.size)) or b""

    def _forget_block(self, row: ClipRow) -> None:
        if row.clip_id == self._block.clip_id:
            self._block = _NOTHING

    def _hashes_of(self, block: tuple[bytes, ...]) -> bytes:
        size, segments = self._segment_bytes, block
        if any(len(part) != size for part in block[:-1]) or len(block[-1]) > size:
            data = b"".join(block)
            segments = tuple(data[at : at + size] for at in range(0, len(data), size))
        return b"".join(hashlib.sha256(segment).digest() for segment in segments)

    def _hash_of(self, row: ClipRow, offset: int, data: bytes) -> bytes:
        """As it was found when the file was checked, beside: hashing here would hold up what is sent."""
        number, inside = divmod(offset, self._segment_bytes)
        found = self._hashes.get(row.clip_id, b"")[number * _HASH_BYTES :][:_HASH_BYTES]
        return found if found and not inside else hashlib.sha256(data).digest()

    def _init(self, row: ClipRow, message: Init, _hashes: bytes) -> tuple[str, bytes]:
        return self._topics.init(row.clip_id), encode(message)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return self._topics.segment(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin) -> tuple[str, bytes]:
        return self._topics.fin(row.clip_id), encode(message)


class FileAsyncFiles(SealedFiles):
    """The same by the public file convention: :mod:`fsd_agent.wire.file_async`."""

    def _init(self, row: ClipRow, message: Init, hashes: bytes) -> tuple[str, bytes]:
        claim = FileClaim(
            fsd=1,
            region=self._topics.region,
            vehicle=self._topics.vehicle,
            segment_bytes=message.segment_bytes,
            segments=b"".join(hashes[at:][:PREFIX_BYTES] for at in range(0, len(hashes), _HASH_BYTES)),
        )
        init = FileInit(name=row.clip_id, size=message.size, checksum=message.sha256.hex(), user_data=claim)
        return init_topic(row.clip_id), encode_init(init)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return segment_topic(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin) -> tuple[str, bytes]:
        return fin_topic(row.clip_id, message.size, message.sha256), b""
