"""Clips whose purpose is not consented to any more: given up with that reason, ledger and journal first.

Their keys are gone already (``consent.py``), so this only tidies up what is noise. A window that is still open is closed
by sensing first. Nobody else ends such a clip: sending and sealing leave a purpose alone from its withdrawal on, until
nothing of before is left.

Threads: the one that finishes clips.
"""

from __future__ import annotations

from fsd_agent.pipeline.consent import LOOK_EVERY_NS, Consents
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.records.clip import ClipState
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.spool.lifecycle import LIVE


class WithdrawnClips:
    """See the module."""

    def __init__(
        self, consent: Consents, give_up: GiveUp, *, journal: Journal, clock: Clock, events: EventSink
    ) -> None:
        """Recovery has left nothing of before: only withdrawals from now on count."""
        self._consent = consent
        self._give_up = give_up
        self._journal = journal
        self._clock = clock
        self._events = events
        self._cleared = 0
        """Withdrawals after which nothing is left."""
        self._not_before_ns = clock.monotonic_ns()

    def step(self) -> None:
        """Give up what is to be given up."""
        consented, now_ns = self._consent.now, self._clock.monotonic_ns()
        if consented.withdrawals == self._cleared or now_ns < self._not_before_ns:
            return
        self._not_before_ns = now_ns + LOOK_EVERY_NS
        try:
            left = [row for row in self._journal.clips(LIVE) if row.purpose not in consented.in_force]
            for row in left:
                if row.state is not ClipState.STAGED:
                    detail = f"consent to {row.purpose} was withdrawn"
                    self._give_up.drop(row, DropReason.CONSENT_WITHDRAWN, detail)
            if all(row.state is not ClipState.STAGED for row in left):
                self._cleared = consented.withdrawals
        except JournalError as error:
            self._events.emit("journal_failed", clip="", what=str(error))
        except LedgerError as error:
            self._events.emit("ledger_failed", clip="", what=str(error))
