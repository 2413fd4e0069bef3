"""Sealed files as messages, for either profile's topics: what is sent of a clip, and never what was not sealed so.

Whether a file is what was sealed is known before the first question about it:

    it holds the hash that the journal has of the clip    each part of it that opens is of what was sealed, and one that does not is
                                                          found when it is to be sent
    it does not, or an attempt on it got nowhere, or      all of it is read and compared, beside the delivering loop, which
    its first message names the hash of each segment      sends other clips meanwhile (:mod:`.soundness`)

What is read of it, and ahead: :mod:`.segments`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor

from fsd_agent.pipeline.segments import HASH_BYTES, Segments, block_of, cut
from fsd_agent.pipeline.soundness import AtOnce, Soundness
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


class SealedFiles:
    """The sealed clips of one route. Those of another region can't be named here, and have other keys."""

    def __init__(
        self,
        spool: RegionSpool,
        topics: Topics,
        beside: Executor,
        done: Callable[[], None],
        segment_bytes: int,
        ahead: Executor | None = None,
    ) -> None:
        """``beside`` runs the checks of whole files; ``done`` is called by its thread when one is over.

        ``ahead`` reads what is sent next; without it that is done on our thread.
        """
        self._spool = spool
        self._topics = topics
        self._segment_bytes = segment_bytes
        self._soundness = Soundness(spool, beside, done, block_of(segment_bytes), self._hashes_of)
        self._segments = Segments(spool, ahead or AtOnce(), segment_bytes)
        self._hashes: dict[str, bytes] = {}
        """Of clips of which all was read: SHA-256 of each segment, in order."""

    @property
    def unknown(self) -> frozenset[str]:
        """Clips of which it is not known yet whether they are sound."""
        return self._soundness.unknown

    def is_sound(self, row: ClipRow, *, doubted: bool = False) -> bool:
        """To be asked before each first question about a clip; see :meth:`.soundness.Soundness.outline`.

        ``doubted``: what the file says of itself is not enough.
        """
        self._segments.forget(row.clip_id)  # The file may be another since
        if not doubted and self._says_so(row):
            self._hashes.pop(row.clip_id, None)
            return True
        hashes = self._soundness.outline(row)
        if hashes is None:
            return False
        self._hashes[row.clip_id] = hashes
        return True

    def render(self, emission: Emission, row: ClipRow) -> tuple[str, bytes]:
        """Topic and payload of what is to be sent of the clip of ``row``. Raises ``SpoolError``."""
        if isinstance(emission, SendInit):
            return self._init(row, emission.message, self._hashes.get(row.clip_id, b""))
        if isinstance(emission, SendFin):
            return self._fin(row, emission.message)
        hashes = self._hashes.get(row.clip_id, b"")
        data, sha256 = self._segments.get(row, emission.offset, emission.length, hashes)
        if len(data) != emission.length:
            end = emission.offset + emission.length
            raise SpoolDamagedError(f"clip {row.clip_id}: file ends before byte {end}")
        return self._segment(row, emission.offset, sha256), data

    def forget(self, row: ClipRow) -> None:
        """Keep nothing in memory of a clip whose file is gone, or will be."""
        self._soundness.forget(row.clip_id)
        self._hashes.pop(row.clip_id, None)
        self._segments.forget(row.clip_id)

    def forget_all(self) -> None:
        """As :meth:`forget`, of any clip; checks that are under way are given up."""
        self._soundness.forget_all()
        self._hashes.clear()
        self._segments.forget_all()

    def erase(self, row: ClipRow) -> None:
        """Remove the file of a clip that has come to its end. Raises ``SpoolError``."""
        self.forget(row)
        self._spool.erase(row.purpose, row.clip_id)

    def _says_so(self, row: ClipRow) -> bool:
        """Whether the file itself says that it is what was sealed as this clip. Raises ``SpoolError``."""
        return self._spool.sha256(row.purpose, row.clip_id) == row.sha256

    def _hashes_of(self, block: tuple[bytes, ...]) -> bytes:
        return b"".join(hashlib.sha256(segment).digest() for segment in cut(block, self._segment_bytes))

    def _init(self, row: ClipRow, message: Init, _hashes: bytes) -> tuple[str, bytes]:
        return self._topics.init(row.clip_id), encode(message)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return self._topics.segment(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin) -> tuple[str, bytes]:
        return self._topics.fin(row.clip_id), encode(message)


class FileAsyncFiles(SealedFiles):
    """The same by the public file convention: :mod:`fsd_agent.wire.file_async`."""

    def _says_so(self, row: ClipRow) -> bool:  # noqa: ARG002
        """It does not say the hash of each segment, which the first message has."""
        return False

    def _init(self, row: ClipRow, message: Init, hashes: bytes) -> tuple[str, bytes]:
        claim = FileClaim(
            fsd=1,
            region=self._topics.region,
            vehicle=self._topics.vehicle,
            segment_bytes=message.segment_bytes,
            segments=b"".join(hashes[at:][:PREFIX_BYTES] for at in range(0, len(hashes), HASH_BYTES)),
        )
        init = FileInit(name=row.clip_id, size=message.size, checksum=message.sha256.hex(), user_data=claim)
        return init_topic(row.clip_id), encode_init(init)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return segment_topic(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin) -> tuple[str, bytes]:
        return fin_topic(row.clip_id, message.size, message.sha256), b""
