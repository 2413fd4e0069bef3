"""Reading sealed files for sending: a segment at a time, and never one that is not what was sealed.

Before each first question about a clip its file is hashed as a whole and compared with the journal, so that a
damaged file is found here, instead of being sent for ever to a receiver that can never accept it. Each time, because
a file that was sound at the last attempt may be the reason why that one failed.
"""

from __future__ import annotations

import hashlib

from fsd_agent.ports.spool import RegionSpool
from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.uplink.transfer import Emission, SendFin, SendInit
from fsd_agent.wire.transfer import Topics, encode


class DamagedError(Exception):
    """The spooled file is not what was sealed; the message names the clip and the reason."""


class SealedFiles:
    """The sealed clips of one route. Those of another region can't be named here, and have other keys."""

    def __init__(self, spool: RegionSpool, topics: Topics) -> None:
        self._spool = spool
        self._topics = topics

    def render(self, emission: Emission, row: ClipRow) -> tuple[str, bytes]:
        """Topic and payload of what is to be sent of the clip of ``row``. Raises :class:`DamagedError` or ``SpoolError``."""
        clip_id = emission.clip_id
        if isinstance(emission, SendInit):
            message = emission.message
            self._check_whole(row, message.size, message.sha256, message.segment_bytes)
            return self._topics.init(clip_id), encode(message)
        if isinstance(emission, SendFin):
            return self._topics.fin(clip_id), encode(emission.message)
        data = self._spool.read(row.purpose, clip_id, emission.offset, emission.length)
        if len(data) != emission.length:
            raise DamagedError(f"clip {clip_id}: file ends before byte {emission.offset + emission.length}")
        return self._topics.segment(clip_id, emission.offset, hashlib.sha256(data).digest()), data

    def _check_whole(self, row: ClipRow, size: int, sha256: bytes, step: int) -> None:
        digest = hashlib.sha256()
        done = 0
        while data := self._spool.read(row.purpose, row.clip_id, done, step):
            digest.update(data)
            done += len(data)
        if done != size:
            raise DamagedError(f"clip {row.clip_id}: {done} bytes on disk, {size} were sealed")
        if digest.digest() != sha256:
            raise DamagedError(f"clip {row.clip_id}: SHA-256 of the file is not that of what was sealed")

    def erase(self, row: ClipRow) -> None:
        """Remove the file of a clip that has come to its end. Raises ``SpoolError``."""
        self._spool.erase(row.purpose, row.clip_id)
