"""Damaged sealed files are set aside for a while, so that a person can look at what the disk did to them.

A sealed clip whose file is damaged is dropped as ``spool_damaged``: ledger and journal say so first, and then the file is
moved to quarantine instead of being erased. It is what it was: encrypted under its compartment's key, and no longer of any
clip that is sent. By the ledger the vehicle holds the copy until it goes from there too. It goes

- at the next start (``recover.py``), whatever it was;
- after :data:`KEEP_NS`;
- at once where nothing of it may be kept any more: its purpose is not consented to, or its region was left and wants it
  erased.

The store bounds how many and how much is kept (``adapters/spool_files.py``); what finds no place there is erased at once. A
damaged staged file is never kept: it is not redacted.

Threads: ``step`` for the one that finishes clips; ``take`` for any.
"""

from __future__ import annotations

from collections.abc import Callable

from fsd_agent.pipeline.book import ClipBook, cause_of
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventName, EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.ports.spool import SpoolError, SpoolStore
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.ledger import Copy
from fsd_agent.records.purpose import Compartment
from fsd_agent.records.reasons import DropReason

KEEP_NS = 86_400_000_000_000
LOOK_EVERY_NS = 5_000_000_000


def set_aside(spool: SpoolStore, row: ClipRow, reason: DropReason, detail: str, events: EventSink) -> bool:
    """Move the sealed file of a clip that was given up, if it was for its being damaged; whether it was moved.

    Raises ``SpoolError``.
    """
    if reason is not DropReason.SPOOL_DAMAGED:
        return False
    where = spool.set_aside(row.compartment, row.clip_id)
    events.emit("damaged", clip=row.clip_id, region=row.region_id, what=detail, kept=where)
    return bool(where)


class Quarantine:
    """Lets go of what was set aside; see the module."""

    def __init__(
        self,
        *,
        spool: SpoolStore,
        journal: Journal,
        ledger: Ledger,
        unwanted: Callable[[Compartment], bool],
        clock: Clock,
        events: EventSink,
    ) -> None:
        """``unwanted``: whether nothing of a compartment may be kept."""
        self._spool = spool
        self._journal = journal
        self._book = ClipBook(ledger)
        self._unwanted = unwanted
        self._clock = clock
        self._events = events
        self._seen_ns: dict[tuple[Compartment, str], int] = {}
        self._next_ns = clock.monotonic_ns()

    def step(self) -> None:
        """Erase what has been kept for long enough, now and then."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + LOOK_EVERY_NS
        try:
            self._seen_ns = {place: self._seen_ns.get(place, now_ns) for place in self._spool.aside()}
            for place, since_ns in self._seen_ns.items():
                if now_ns - since_ns >= KEEP_NS or self._unwanted(place[0]):
                    self._erase(*place)
        except JournalError as error:
            self._tell("journal_failed", error)
        except LedgerError as error:
            self._tell("ledger_failed", error)
        except SpoolError as error:
            self._tell("disk_failed", error)

    def _tell(self, event: EventName, error: Exception) -> None:
        self._events.emit(event, clip="", what=f"quarantine: {error}")

    def _erase(self, compartment: Compartment, clip_id: str) -> None:
        row = self._journal.clip(clip_id)
        if row is not None and row.drop is not None:
            self._book.erasing(row, Copy.SEALED, cause_of(row.drop))
        self._spool.let_go(compartment, clip_id)
