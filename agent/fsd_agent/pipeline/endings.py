"""How a sealed clip ends: the ledger says so first, then the journal, then its erasure is recorded and its file erased.

A damaged file is set aside instead of being erased: see :mod:`.quarantine`. A crash in between leaves what recovery
carries through at the next start. Another order could lose a clip, or the record of its end. When the ledger or the journal
can't take the end (a disk is full), nothing has happened: the clip stays.

Nothing ends here that a withdrawal of consent may have ended already: it is looked up anew first.
"""

from __future__ import annotations

from collections.abc import Callable

from fsd_agent.pipeline.book import ClipBook, cause_of
from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.lane import Lane
from fsd_agent.pipeline.quarantine import set_aside
from fsd_agent.pipeline.sealed_files import SealedFiles
from fsd_agent.pipeline.standing import Standing
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.ports.spool import SpoolError, SpoolStore
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.ledger import Cause, Copy
from fsd_agent.records.reasons import DropReason


class Endings:
    """The order. Both methods return whether the clip is finished."""

    def __init__(self, journal: Journal, book: ClipBook, spool: SpoolStore, events: EventSink) -> None:
        self.delivered_clips = 0
        self.delivered_bytes = 0
        self.dropped_clips: dict[DropReason, int] = {}
        self.trouble = ""
        self._journal = journal
        self._book = book
        self._spool = spool
        self._events = events

    def deliver(self, files: SealedFiles, row: ClipRow, receipt: bytes) -> bool:
        """Its region has signed for it; ``receipt`` is kept."""
        try:
            self._book.receipted(row, receipt)
            self._journal.delivered(row.clip_id, receipt=receipt)
        except (LedgerError, JournalError) as error:
            self._not_taken(row, error)
            return False
        self.delivered_clips += 1
        self.delivered_bytes += row.size_bytes
        self._erase(files, row, Cause.RECEIPTED)
        self._events.emit("delivered", clip=row.clip_id, region=row.region_id, bytes=row.size_bytes)
        return True

    def drop(self, files: SealedFiles, row: ClipRow, reason: DropReason, detail: str) -> bool:
        """It can never be delivered."""
        try:
            self._book.dropped(row, reason)
            self._journal.dropped(row.clip_id, reason, detail)
        except (LedgerError, JournalError) as error:
            self._not_taken(row, error)
            return False
        self.dropped_clips[reason] = self.dropped_clips.get(reason, 0) + 1
        self.trouble = f"clip {row.clip_id} dropped: {reason}: {detail}"
        if not self._set_aside(row, reason, detail):
            self._erase(files, row, cause_of(reason))
        self._events.emit("dropped", clip=row.clip_id, reason=str(reason), detail=detail)
        return True

    def _set_aside(self, row: ClipRow, reason: DropReason, detail: str) -> bool:
        try:
            return set_aside(self._spool, row, reason, detail, self._events)
        except SpoolError as error:
            self.trouble = f"spool: {error}"
            return False

    def _not_taken(self, row: ClipRow, error: LedgerError | JournalError) -> None:
        self.trouble = f"{'ledger' if isinstance(error, LedgerError) else 'journal'}: {error}"
        if isinstance(error, LedgerError):
            self._events.emit("ledger_failed", clip=row.clip_id, what=str(error))

    def _erase(self, files: SealedFiles, row: ClipRow, cause: Cause) -> None:
        """What can't be erased now, or whose erasure can't be recorded, is erased by recovery at the next start."""
        try:
            self._book.erasing(row, Copy.SEALED, cause)
            files.erase(row)
        except SpoolError as error:
            self.trouble = f"spool: {error}"
        except LedgerError as error:
            self._not_taken(row, error)


class RouteEndings:
    """Ends clips of the route that is followed, and has its lane forget them."""

    def __init__(
        self,
        endings: Endings,
        *,
        consent: Consents,
        standing: Standing,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._endings = endings
        self._consent = consent
        self._standing = standing
        self._clock = clock
        self._random = random

    def deliver(self, lane: Lane, clip_id: str, receipt: bytes) -> None:
        """Its region has signed for it."""
        row = lane.schedule.row(clip_id)
        with self._consent.steady() as consented:
            if not self._standing.outdated(consented):
                self.ended(lane, clip_id, ended=self._endings.deliver(lane.files, row, receipt))

    def drop(self, lane: Lane, clip_id: str, reason: DropReason, detail: str) -> None:
        """It can never be delivered."""
        with self._consent.steady() as consented:
            if self._standing.outdated(consented):
                self._postpone(lane, clip_id)
                return
            ended = self._endings.drop(lane.files, lane.schedule.row(clip_id), reason, detail)
            self.ended(lane, clip_id, ended=ended)

    def ended(self, lane: Lane, clip_id: str, *, ended: bool) -> None:
        """Forget a finished clip; keep one whose end could not be recorded, and learn its state again."""
        if ended:
            lane.schedule.done(clip_id)
            self._standing.recorded.discard(clip_id)
        else:
            self._postpone(lane, clip_id)
        self._standing.trouble = self._endings.trouble or self._standing.trouble
        if not ended or not len(lane.schedule):
            self._standing.stale = True

    def _postpone(self, lane: Lane, clip_id: str) -> None:
        lane.schedule.postpone(clip_id, self._clock.monotonic_ns(), self._random())
