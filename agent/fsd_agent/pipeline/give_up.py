"""Giving up a clip wherever it is on its way: in the ledger, in the journal, then its copies, each erasure recorded first."""

from __future__ import annotations

from fsd_agent.pipeline.book import ClipBook, cause_of
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.ledger import Ledger
from fsd_agent.ports.spool import SpoolError, SpoolStore, Staging
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.ledger import Copy
from fsd_agent.records.reasons import DropReason


class GivingUp:
    """See the module. For clips whose window is closed and that nobody else works on."""

    def __init__(
        self, *, journal: Journal, staging: Staging, spool: SpoolStore, ledger: Ledger, events: EventSink
    ) -> None:
        self._journal = journal
        self._book = ClipBook(ledger)
        self._staging = staging
        self._spool = spool
        self._events = events

    def give_up(self, row: ClipRow, reason: DropReason, detail: str) -> None:
        """Raises ``LedgerError`` and ``JournalError``; what can't be erased now is erased by recovery at the next start."""
        self._book.dropped(row, reason)
        self._journal.dropped(row.clip_id, reason, detail)
        self._events.emit("dropped", clip=row.clip_id, reason=str(reason), detail=detail)
        try:
            self._book.erasing(row, Copy.STAGED, cause_of(reason))
            self._staging.erase(row.compartment, row.clip_id)
            self._book.erasing(row, Copy.SEALED, cause_of(reason))
            self._spool.erase(row.compartment, row.clip_id)
        except SpoolError as error:
            self._events.emit("disk_failed", clip=row.clip_id, what=str(error))
