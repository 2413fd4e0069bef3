"""Reading sealed files for sending: a segment at a time, and never one that is not what was sealed; under either profile's topics.

Before each first question about a clip its file is hashed as a whole and compared with the journal, so that a
damaged file is found here, instead of being sent for ever to a receiver that can never accept it. Each time, because
a file that was sound at the last attempt may be the reason why that one failed.
"""

from __future__ import annotations

import hashlib

from fsd_agent.ports.spool import RegionSpool
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


class DamagedError(Exception):
    """The spooled file is not what was sealed; the message names the clip and the reason."""


class SealedFiles:
    """The sealed clips of one route. Those of another region can't be named here, and have other keys."""

    def __init__(self, spool: RegionSpool, topics: Topics) -> None:
        self._spool = spool
        self._topics = topics

    def render(self, emission: Emission, row: ClipRow) -> tuple[str, bytes]:
        """Topic and payload of what is to be sent of the clip of ``row``. Raises :class:`DamagedError` or ``SpoolError``."""
        if isinstance(emission, SendInit):
            return self._init(row, emission.message, self._check_whole(row, emission.message))
        if isinstance(emission, SendFin):
            return self._fin(row, emission.message)
        data = self._spool.read(row.purpose, row.clip_id, emission.offset, emission.length)
        if len(data) != emission.length:
            end = emission.offset + emission.length
            raise DamagedError(f"clip {row.clip_id}: file ends before byte {end}")
        return self._segment(row, emission.offset, hashlib.sha256(data).digest()), data

    def _init(self, row: ClipRow, message: Init, _segments: bytes) -> tuple[str, bytes]:
        return self._topics.init(row.clip_id), encode(message)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return self._topics.segment(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin) -> tuple[str, bytes]:
        return self._topics.fin(row.clip_id), encode(message)

    def _check_whole(self, row: ClipRow, message: Init) -> bytes:
        """The first bytes of each segment's hash, in order, of a file that is what was sealed."""
        digest, segments = hashlib.sha256(), bytearray()
        done = 0
        while data := self._spool.read(row.purpose, row.clip_id, done, message.segment_bytes):
            digest.update(data)
            segments += self._prefix(data)
            done += len(data)
        if done != message.size:
            raise DamagedError(f"clip {row.clip_id}: {done} bytes on disk, {message.size} were sealed")
        if digest.digest() != message.sha256:
            raise DamagedError(f"clip {row.clip_id}: SHA-256 of the file is not that of what was sealed")
        return bytes(segments)

    def _prefix(self, _data: bytes) -> bytes:
        """Our own topics say nothing of segments beforehand."""
        return b""

    def erase(self, row: ClipRow) -> None:
        """Remove the file of a clip that has come to its end. Raises ``SpoolError``."""
        self._spool.erase(row.purpose, row.clip_id)


class FileAsyncFiles(SealedFiles):
    """The same by the public file convention: :mod:`fsd_agent.wire.file_async`."""

    def _init(self, row: ClipRow, message: Init, segments: bytes) -> tuple[str, bytes]:
        claim = FileClaim(
            fsd=1,
            region=self._topics.region,
            vehicle=self._topics.vehicle,
            segment_bytes=message.segment_bytes,
            segments=segments,
        )
        init = FileInit(name=row.clip_id, size=message.size, checksum=message.sha256.hex(), user_data=claim)
        return init_topic(row.clip_id), encode_init(init)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return segment_topic(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin) -> tuple[str, bytes]:
        return fin_topic(row.clip_id, message.size, message.sha256), b""

    def _prefix(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()[:PREFIX_BYTES]
