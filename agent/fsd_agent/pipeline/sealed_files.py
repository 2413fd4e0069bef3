"""Sealed files as messages, for either profile's topics: what is sent of a clip, and never what was not sealed so.

Whether a file is what was sealed is known before the first question about it:

    it says that it is what the journal knows the clip    each part of it that opens is of what was sealed, and one that does not is
    by                                                    found when it is to be sent
    it does not, or an attempt on it got nowhere, or      all of it is read and compared, beside the delivering loop, which
    its messages name the SHA-256 of the whole            sends other clips meanwhile (:mod:`.soundness`)

What is read of it: :mod:`.segments`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, NamedTuple

from fsd_agent.pipeline.segments import Segments
from fsd_agent.pipeline.soundness import Soundness
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
from fsd_agent.wire.pieces import HASH_BYTES, PIECE_BYTES, FileIdentity
from fsd_agent.wire.transfer import Fin, Init, Topics, encode


class _Known(NamedTuple):
    """Of a clip's file, before the first question about it."""

    hashes: bytes = b""
    """SHA-256 of each segment, in order, where the file says it or was read whole."""
    whole: bytes = b""
    """SHA-256 of all, where it was read whole."""


_NOTHING: Final = _Known()


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
        self._soundness = Soundness(spool, beside, done, segment_bytes)
        self._segments = Segments(spool, segment_bytes)
        self._known: dict[str, _Known] = {}

    @property
    def unknown(self) -> frozenset[str]:
        """Clips of which it is not known yet whether they are sound."""
        return self._soundness.unknown

    def is_sound(self, row: ClipRow, *, doubted: bool = False) -> bool:
        """To be asked before each first question about a clip; see :meth:`.soundness.Soundness.outline`.

        ``doubted``: what the file says of itself is not enough.
        """
        self._segments.forget(row.clip_id)  # The file may be another since
        says = None if doubted else self._says(row)
        if says is not None and says.sha256 == row.sha256:
            self._known[row.clip_id] = _Known(says.pieces if self._segment_bytes == PIECE_BYTES else b"")
            return True
        outline = self._soundness.outline(row)
        if outline is None:
            return False
        self._known[row.clip_id] = _Known(outline.segments(), outline.whole())
        return True

    def may_end(self, row: ClipRow) -> bool:  # noqa: ARG002
        """Whether all is known that the last question about a clip needs; else :meth:`is_sound` finds it out."""
        return True

    def render(self, emission: Emission, row: ClipRow) -> tuple[str, bytes]:
        """Topic and payload of what is to be sent of the clip of ``row``. Raises ``SpoolError``."""
        known = self._known.get(row.clip_id, _NOTHING)
        if isinstance(emission, SendInit):
            return self._init(row, emission.message, known)
        if isinstance(emission, SendFin):
            return self._fin(row, emission.message, known)
        data, sha256 = self._segments.get(row, emission.offset, emission.length, known.hashes)
        if len(data) != emission.length:
            end = emission.offset + emission.length
            raise SpoolDamagedError(f"clip {row.clip_id}: file ends before byte {end}")
        return self._segment(row, emission.offset, sha256), data

    def forget(self, row: ClipRow) -> None:
        """Keep nothing in memory of a clip whose file is gone, or will be."""
        self._soundness.forget(row.clip_id)
        self._known.pop(row.clip_id, None)
        self._segments.forget(row.clip_id)

    def forget_all(self) -> None:
        """As :meth:`forget`, of any clip; checks that are under way are given up."""
        self._soundness.forget_all()
        self._known.clear()
        self._segments.forget_all()

    def erase(self, row: ClipRow) -> None:
        """Remove the file of a clip that has come to its end. Raises ``SpoolError``."""
        self.forget(row)
        self._spool.erase(row.purpose, row.clip_id)

    def _says(self, row: ClipRow) -> FileIdentity | None:
        """What the file says that it is, where that is enough. Raises ``SpoolError``."""
        return self._spool.identity(row.purpose, row.clip_id)

    def _init(self, row: ClipRow, message: Init, _known: _Known) -> tuple[str, bytes]:
        return self._topics.init(row.clip_id), encode(message)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return self._topics.segment(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin, _known: _Known) -> tuple[str, bytes]:
        return self._topics.fin(row.clip_id), encode(message)


class FileAsyncFiles(SealedFiles):
    """The same by the public file convention (:mod:`fsd_agent.wire.file_async`), which has the SHA-256 of the whole."""

    def may_end(self, row: ClipRow) -> bool:
        """See the base class."""
        return bool(self._known.get(row.clip_id, _NOTHING).whole)

    def _says(self, row: ClipRow) -> FileIdentity | None:  # noqa: ARG002
        return None

    def _init(self, row: ClipRow, message: Init, known: _Known) -> tuple[str, bytes]:
        claim = FileClaim(
            fsd=2,
            region=self._topics.region,
            vehicle=self._topics.vehicle,
            segment_bytes=message.segment_bytes,
            segments=b"".join(
                known.hashes[at:][:PREFIX_BYTES] for at in range(0, len(known.hashes), HASH_BYTES)
            ),
            identity=row.sha256,
        )
        init = FileInit(name=row.clip_id, size=message.size, checksum=known.whole.hex(), user_data=claim)
        return init_topic(row.clip_id), encode_init(init)

    def _segment(self, row: ClipRow, offset: int, sha256: bytes) -> str:
        return segment_topic(row.clip_id, offset, sha256)

    def _fin(self, row: ClipRow, message: Fin, known: _Known) -> tuple[str, bytes]:
        return fin_topic(row.clip_id, message.size, known.whole), b""
