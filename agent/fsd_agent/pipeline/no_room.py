"""A disk that is full, or fails, under an event in progress: what is tried again, and what it is told as."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from fsd_agent.ports.events import EventName
from fsd_agent.ports.journal import JournalError, StorageFailedError, StorageFullError
from fsd_agent.ports.ledger import LedgerError, LedgerFullError
from fsd_agent.ports.spool import CompartmentKeyError, SpoolError, SpoolFullError
from fsd_agent.records.reasons import DropReason

FULL: Final = (SpoolFullError, StorageFullError, LedgerFullError)
"""Nothing has happened, and it may work once there is room."""
NOT_TAKEN: Final = (StorageFullError, StorageFailedError)
"""The journal could not take it because of the disk; it is offered again."""

_T = TypeVar("_T")


class KeepsRoom(Protocol):
    """Who is told when a write did not work: see ``room.py``."""

    def make(self) -> bool:
        """The disk is full: free some room now; False where there is none to be had."""
        ...

    def doubt(self) -> None:
        """A write failed, and not because the disk is full."""
        ...


def insist(act: Callable[[], _T], room: KeepsRoom) -> _T:
    """Do it; where the disk is full, again for as long as room can be made.

    ``act`` must leave nothing behind where it raises one of :data:`FULL`, which it does at last; others pass at once.
    """
    while True:
        try:
            return act()
        except FULL:
            if not room.make():
                raise
        except (SpoolError, JournalError, LedgerError):
            room.doubt()
            raise


def why(error: SpoolError | JournalError | LedgerError) -> tuple[EventName, DropReason]:
    """How a firing that can't be kept for this is told and counted."""
    if isinstance(error, FULL):
        return "disk_full", DropReason.DISK_FULL
    if isinstance(error, CompartmentKeyError):
        return "disk_failed", DropReason.NO_KEY
    if isinstance(error, LedgerError):
        return "ledger_failed", DropReason.LEDGER_FAILED
    return "disk_failed", DropReason.DISK_FAILED
