"""Clips of regions that the vehicle has left and that want them erased: dropped with that reason, ledger and journal first.

Only once the vehicle has arrived in another region: on hold, nobody knows whether it will come back. A window that is
still open is closed by sensing first. Nothing of such a clip is ever sent to the region that the vehicle belongs to now.

Of its firings that it was not told of yet it is told no more.

A clip that could still be under way over a connection to that region waits until the connection is given up: nothing
goes on with a clip that was given up.

Threads: the one that finishes clips.
"""

from __future__ import annotations

from collections.abc import Callable

from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.whereabouts import Whereabouts
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.records.clip import ClipState
from fsd_agent.records.reasons import DropReason

LOOK_EVERY_NS = 5_000_000_000


class LeftClips:
    """See the module."""

    def __init__(
        self,
        *,
        journal: Journal,
        give_up: GiveUp,
        residence: Whereabouts,
        connected_to: Callable[[], str],
        clock: Clock,
        events: EventSink,
    ) -> None:
        """``connected_to``: the region that delivery is about right now, empty where it is about none."""
        self._journal = journal
        self._give_up = give_up
        self._connected_to = connected_to
        self._residence = residence
        self._clock = clock
        self._events = events
        self._not_before_ns = clock.monotonic_ns()

    def step(self) -> None:
        """Erase what is to be erased, now and then."""
        now_ns = self._clock.monotonic_ns()
        erased = self._residence.erased - {self._connected_to()}
        if not erased or now_ns < self._not_before_ns:
            return
        self._not_before_ns = now_ns + LOOK_EVERY_NS
        try:
            self._journal.untell(region_ids=erased)
            for row in self._journal.clips({ClipState.CAPTURED, ClipState.SEALED}):
                if row.region_id in erased:
                    detail = f"the vehicle has left region {row.region_id}, which wants its clips erased"
                    self._give_up.drop(row, DropReason.LEFT_REGION, detail)
        except JournalError as error:
            self._events.emit("journal_failed", clip="", what=str(error))
        except LedgerError as error:
            self._events.emit("ledger_failed", clip="", what=str(error))
