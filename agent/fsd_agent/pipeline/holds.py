"""Keeps the history of holds, in the journal's state, so that the region can be told afterwards.

It is looked at as often as a status is told; a hold in between is in the ledger alone. What was kept and can't be read costs
the history and nothing else: it is told, and the vehicle goes on. What can't be kept is tried again.

Threads: any.
"""

from __future__ import annotations

import threading

from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import JournalError, StateStore
from fsd_agent.records.region import Hold, Route
from fsd_agent.records.status import HoldSpan
from fsd_agent.rules.residency.holds import after
from fsd_agent.wire.holds import HoldsError, decode_holds, encode_holds

STATE_KEY = "holds"
KEEP_EVERY_NS = 600_000_000_000
"""How long an open hold has lasted is kept this often: so much of it a kill may cost. What failed is tried again as often."""


class Holds:
    """See the module."""

    def __init__(self, journal: StateStore, clock: Clock, events: EventSink) -> None:
        self._journal = journal
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._spans = self._read()
        self._looked_ns = self._kept_ns = clock.monotonic_ns()
        self._fault = ""
        """Why the newest could not be kept; empty where it was."""

    @property
    def spans(self) -> tuple[HoldSpan, ...]:
        """As of the last look; the newest is the last."""
        with self._lock:
            return self._spans

    def look(self, where: Route | Hold) -> tuple[HoldSpan, ...]:
        """Take in where the vehicle belongs now."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            reason = where.reason if isinstance(where, Hold) else None
            elapsed_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
            before = self._spans
            self._spans = after(before, reason, wall_ns=self._clock.wall_ns(), elapsed_ns=elapsed_ns)
            if _turn(self._spans) != _turn(before) or self._is_due(now_ns):
                self._keep(now_ns)
            return self._spans

    def _is_due(self, now_ns: int) -> bool:
        is_open = bool(self._spans) and not self._spans[-1].until_wall_ns
        return (is_open or bool(self._fault)) and now_ns - self._kept_ns >= KEEP_EVERY_NS

    def _keep(self, now_ns: int) -> None:
        self._kept_ns, told = now_ns, self._fault
        try:
            self._journal.set_state(STATE_KEY, encode_holds(self._spans))
        except JournalError as error:
            self._fault = f"the history of holds: {error}"
        else:
            self._fault = ""
        if self._fault and self._fault != told:
            self._events.emit("journal_failed", clip="", what=self._fault)

    def _read(self) -> tuple[HoldSpan, ...]:
        try:
            kept = self._journal.get_state(STATE_KEY)
            return () if kept is None else decode_holds(kept)
        except (JournalError, HoldsError) as error:
            self._events.emit("journal_failed", clip="", what=f"the history of holds: {error}")
            return ()


def _turn(spans: tuple[HoldSpan, ...]) -> tuple[str, int] | None:
    """What changes when a hold begins or ends: of the newest, but for its length, which grows all the time."""
    return (spans[-1].reason, spans[-1].until_wall_ns) if spans else None
