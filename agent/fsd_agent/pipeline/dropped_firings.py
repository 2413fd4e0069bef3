"""Firings that nothing is kept for: told, recorded in the ledger, and counted in the journal.

What one of the two can't take because of the disk is kept in memory and offered again with the next; beyond
:data:`MAX_UNRECORDED` it is only counted. The ledger does not wait for the disk for these records alone. A region is told
by itself only of what the journal takes at once: by the time of another offer consent may have been withdrawn.

Threads: one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fsd_agent.pipeline.no_room import NOT_TAKEN
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.ledger import FiringDropped

MAX_UNRECORDED = 10_000
"""For each of journal and ledger."""


class DroppedFirings:
    """See the module."""

    def __init__(self, journal: Journal, ledger: Ledger, events: EventSink) -> None:
        self._journal = journal
        self._ledger = ledger
        self._events = events
        self._for_journal: list[JudgedFiring] = []
        self._for_ledger: list[FiringDropped] = []
        self.lost = 0
        """Found room neither where they belong nor in memory."""

    def add(self, dropped: Sequence[JudgedFiring], region_id: str) -> None:
        """Take these, and offer again what waits. ``region_id`` is that of their campaigns."""
        for judged in dropped:
            self._events.emit(
                "fired",
                campaign=judged.firing.campaign_id,
                firing=judged.firing_id,
                event_ns=judged.firing.t_ns,
                dropped=str(judged.drop),
            )
        self._record([_fact(judged, region_id) for judged in dropped])
        self._count([replace(judged, region_id=region_id) for judged in dropped])

    def _record(self, facts: Sequence[FiringDropped]) -> None:
        waiting = [*self._for_ledger, *facts]
        if not waiting:
            return
        try:
            self._ledger.append(*waiting)
        except LedgerError as error:
            if not self._for_ledger:
                self._events.emit("ledger_failed", clip="", what=str(error))
            self.lost += max(0, len(waiting) - MAX_UNRECORDED)
            self._for_ledger = waiting[:MAX_UNRECORDED]
        else:
            self._for_ledger = []

    def _count(self, dropped: Sequence[JudgedFiring]) -> None:
        waiting = [*self._for_journal, *dropped]
        if not waiting:
            return
        try:
            self._journal.accept(waiting, ())
        except NOT_TAKEN:
            self.lost += max(0, len(waiting) - MAX_UNRECORDED)
            self._for_journal = [replace(judged, telling=None) for judged in waiting[:MAX_UNRECORDED]]
        else:
            self._for_journal = []


def _fact(judged: JudgedFiring, region_id: str) -> FiringDropped:
    firing = judged.firing
    if judged.drop is None:
        raise AssertionError("a firing that is dropped has a reason")
    return FiringDropped(
        region_id, judged.firing_id, firing.campaign_id, firing.campaign_version, judged.drop
    )
