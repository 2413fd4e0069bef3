"""How a sealed clip ends: the journal says so first, then its file is erased.

A crash between the two leaves a file that the journal calls finished; recovery erases it. The other order could
lose a clip. When the journal can't record the end (its disk is full), nothing has happened: the clip stays.
"""

from __future__ import annotations

from fsd_agent.pipeline.sealed_files import SealedFiles
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.reasons import DropReason


class Endings:
    """See the module. Both methods return whether the clip is finished."""

    def __init__(self, journal: Journal, events: EventSink) -> None:
        self.delivered_clips = 0
        self.delivered_bytes = 0
        self.dropped_clips: dict[DropReason, int] = {}
        self.trouble = ""
        self._journal = journal
        self._events = events

    def deliver(self, files: SealedFiles, row: ClipRow, receipt: bytes) -> bool:
        """Its region has signed for it; ``receipt`` is kept."""
        try:
            self._journal.delivered(row.clip_id, receipt=receipt)
        except JournalError as error:
            self.trouble = f"journal: {error}"
            return False
        self.delivered_clips += 1
        self.delivered_bytes += row.size_bytes
        self._erase(files, row.clip_id)
        self._events.emit("delivered", clip=row.clip_id, region=row.region_id, bytes=row.size_bytes)
        return True

    def drop(self, files: SealedFiles, row: ClipRow, reason: DropReason, detail: str) -> bool:
        """It can never be delivered."""
        try:
            self._journal.dropped(row.clip_id, reason, detail)
        except JournalError as error:
            self.trouble = f"journal: {error}"
            return False
        self.dropped_clips[reason] = self.dropped_clips.get(reason, 0) + 1
        self.trouble = f"clip {row.clip_id} dropped: {reason}: {detail}"
        self._erase(files, row.clip_id)
        self._events.emit("dropped", clip=row.clip_id, reason=str(reason), detail=detail)
        return True

    def _erase(self, files: SealedFiles, clip_id: str) -> None:
        """What can't be erased now is erased by recovery at the next start."""
        try:
            files.erase(clip_id)
        except SpoolError as error:
            self.trouble = f"spool: {error}"
