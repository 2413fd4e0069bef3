"""Giving up a clip whose window is closed: ledger and journal first, then each copy's erasure is recorded and done.

Only from a thread that nothing is done with the clip on meanwhile: finishing for CAPTURED, delivering for SEALED, and
finishing also for SEALED clips of regions that delivery is not about, and of purposes that are not consented to any more,
which delivery leaves alone. Nothing goes on with a clip that was given up.

A clip that its region has signed for is the region's, and is not given up: where the ledger has the receipt and the journal
could not take it, the journal takes it here, whatever the reason was, and the copies go as received.

Threads: any. Two that find the same clip for different reasons give it up once.
"""

from __future__ import annotations

import threading

from fsd_agent.pipeline.book import ClipBook, cause_of
from fsd_agent.pipeline.quarantine import set_aside
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.ledger import Ledger
from fsd_agent.ports.spool import SpoolError, SpoolStore, Staging
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.ledger import Cause, Copy
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.spool.lifecycle import LIVE


class GiveUp:
    """See the module."""

    def __init__(
        self, *, journal: Journal, staging: Staging, spool: SpoolStore, ledger: Ledger, events: EventSink
    ) -> None:
        self._journal = journal
        self._staging = staging
        self._spool = spool
        self._book = ClipBook(ledger)
        self._events = events
        self._lock = threading.Lock()

    def drop(self, row: ClipRow, reason: DropReason, detail: str) -> None:
        """Raises ``LedgerError`` or ``JournalError`` where its end can't be taken: then it stays.

        What can't be erased now, or whose erasure can't be recorded, is erased by recovery at the next start.
        """
        with self._lock:
            found = self._journal.clip(row.clip_id)
            if found is None or found.state not in LIVE:
                return
            receipt = self._book.receipted_before(row) if found.state is ClipState.SEALED else None
            if receipt is not None:
                self._deliver(found, receipt)
            else:
                self._drop(row, reason, detail)

    def _deliver(self, row: ClipRow, receipt: bytes) -> None:
        self._journal.delivered(row.clip_id, receipt=receipt)
        self._events.emit("delivered", clip=row.clip_id, region=row.region_id, bytes=row.size_bytes)
        try:
            self._book.erasing(row, Copy.STAGED, Cause.SEALED)
            self._staging.erase(row.compartment, row.clip_id)
            self._book.erasing(row, Copy.SEALED, Cause.RECEIPTED)
            self._spool.erase(row.compartment, row.clip_id)
        except SpoolError as error:
            self._events.emit("disk_failed", clip=row.clip_id, what=str(error))

    def _drop(self, row: ClipRow, reason: DropReason, detail: str) -> None:
        self._book.dropped(row, reason)
        self._journal.dropped(row.clip_id, reason, detail)
        self._events.emit("dropped", clip=row.clip_id, reason=str(reason), detail=detail)
        try:
            self._book.erasing(row, Copy.STAGED, cause_of(reason))
            self._staging.erase(row.compartment, row.clip_id)
            if not set_aside(self._spool, row, reason, detail, self._events):
                self._book.erasing(row, Copy.SEALED, cause_of(reason))
                self._spool.erase(row.compartment, row.clip_id)
        except SpoolError as error:
            self._events.emit("disk_failed", clip=row.clip_id, what=str(error))
