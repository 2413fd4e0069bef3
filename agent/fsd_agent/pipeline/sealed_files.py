"""Reading sealed files for sending: a block at a time, and never one that is not what was sealed (:mod:`.soundness`).

A block is many segments: opening a file, asking for its key and deriving from it cost more than opening a segment does. The
last one is kept until another is read; it is what the region gets, still sealed, and whether it may be given to anybody is
asked for each segment, by who sends it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from fsd_agent.pipeline.soundness import BLOCK_BYTES, DamagedError, Soundness
from fsd_agent.ports.spool import RegionSpool
from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.uplink.transfer import Emission, SendFin, SendInit
from fsd_agent.wire.transfer import Topics, encode


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

    def __init__(
        self, spool: RegionSpool, topics: Topics, beside: Executor, done: Callable[[], None]
    ) -> None:
        """``beside`` runs the checks of whole files; ``done`` is called by its thread when one is over."""
        self._spool = spool
        self._topics = topics
        self._soundness = Soundness(spool, beside, done)
        self._block = _NOTHING

    @property
    def unknown(self) -> frozenset[str]:
        """Clips of which it is not known yet whether they are sound."""
        return self._soundness.unknown

    def is_sound(self, row: ClipRow) -> bool:
        """To be asked before each first question about a clip; see :meth:`.soundness.Soundness.is_known`."""
        if not self._soundness.is_known(row):
            return False
        self._forget_block(row)  # The file may be another since
        return True

    def render(self, emission: Emission, row: ClipRow) -> tuple[str, bytes]:
        """Topic and payload of what is to be sent of the clip of ``row``. Raises :class:`DamagedError` or ``SpoolError``."""
        clip_id = emission.clip_id
        if isinstance(emission, SendInit):
            return self._topics.init(clip_id), encode(emission.message)
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

    def forget(self, row: ClipRow) -> None:
        """Keep nothing in memory of a clip whose file is gone, or will be."""
        self._soundness.forget(row.clip_id)
        self._forget_block(row)

    def forget_all(self) -> None:
        """As :meth:`forget`, of any clip; checks that are under way are given up."""
        self._soundness.forget_all()
        self._block = _NOTHING

    def erase(self, row: ClipRow) -> None:
        """Remove the file of a clip that has come to its end. Raises ``SpoolError``."""
        self.forget(row)
        self._spool.erase(row.purpose, row.clip_id)

    def _forget_block(self, row: ClipRow) -> None:
        if row.clip_id == self._block.clip_id:
            self._block = _NOTHING
