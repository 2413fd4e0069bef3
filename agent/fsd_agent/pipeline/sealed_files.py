"""Reading sealed files for sending: a block at a time, and never one that is not what was sealed.

A block is many segments: opening a file, asking for its key and deriving from it cost more than opening a segment does. The
last one is kept until another is read; it is what the region gets, still sealed, and giving it to anybody is asked
for each segment, by who sends it.

Before each first question about a clip its file is hashed as a whole and compared with the journal, so that a
damaged file is found here, instead of being sent for ever to a receiver that can never accept it. Each time, because
a file that was sound at the last attempt may be the reason why that one failed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fsd_agent.ports.spool import RegionSpool
from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.uplink.transfer import Emission, SendFin, SendInit
from fsd_agent.wire.transfer import Topics, encode

BLOCK_BYTES = 512 << 10
"""Read at once, and kept: a multiple of the segments that are sent."""


class DamagedError(Exception):
    """The spooled file is not what was sealed; the message names the clip and the reason."""


@dataclass(frozen=True, slots=True)
class _Block:
    """What was read last."""

    clip_id: str
    offset: int
    data: bytes

    def find(self, clip_id: str, offset: int, length: int) -> bytes | None:
        """These bytes, where all of them are in it."""
        start = offset - self.offset
        if clip_id != self.clip_id or start < 0 or start + length > len(self.data):
            return None
        return self.data[start : start + length]


_NOTHING = _Block("", 0, b"")


class SealedFiles:
    """The sealed clips of one route. Those of another region can't be named here, and have other keys."""

    def __init__(self, spool: RegionSpool, topics: Topics) -> None:
        self._spool = spool
        self._topics = topics
        self._block = _NOTHING

    def render(self, emission: Emission, row: ClipRow) -> tuple[str, bytes]:
        """Topic and payload of what is to be sent of the clip of ``row``. Raises :class:`DamagedError` or ``SpoolError``."""
        clip_id = emission.clip_id
        if isinstance(emission, SendInit):
            message = emission.message
            self._check_whole(row, message.size, message.sha256)
            return self._topics.init(clip_id), encode(message)
        if isinstance(emission, SendFin):
            return self._topics.fin(clip_id), encode(emission.message)
        data = self._segment(row, emission.offset, emission.length)
        if len(data) != emission.length:
            raise DamagedError(f"clip {clip_id}: file ends before byte {emission.offset + emission.length}")
        return self._topics.segment(clip_id, emission.offset), data

    def _segment(self, row: ClipRow, offset: int, length: int) -> bytes:
        found = self._block.find(row.clip_id, offset, length)
        if found is not None:
            return found
        data = self._spool.read(row.purpose, row.clip_id, offset, max(length, BLOCK_BYTES))
        self._block = _Block(row.clip_id, offset, data)
        return data[:length]

    def _check_whole(self, row: ClipRow, size: int, sha256: bytes) -> None:
        self._forget(row)  # The file may be another since
        digest = hashlib.sha256()
        done = 0
        while data := self._spool.read(row.purpose, row.clip_id, done, BLOCK_BYTES):
            digest.update(data)
            done += len(data)
        if done != size:
            raise DamagedError(f"clip {row.clip_id}: {done} bytes on disk, {size} were sealed")
        if digest.digest() != sha256:
            raise DamagedError(f"clip {row.clip_id}: SHA-256 of the file is not that of what was sealed")

    def forget(self) -> None:
        """Keep nothing of any file in memory."""
        self._block = _NOTHING

    def erase(self, row: ClipRow) -> None:
        """Remove the file of a clip that has come to its end. Raises ``SpoolError``."""
        self._forget(row)
        self._spool.erase(row.purpose, row.clip_id)

    def _forget(self, row: ClipRow) -> None:
        if row.clip_id == self._block.clip_id:
            self.forget()
