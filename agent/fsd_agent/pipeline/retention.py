"""Clips that have waited on board past their region's retention or their campaigns' deadline: given up with that reason.

The rule is ``rules.spool.retention``; it is asked on hold too, and whether there is a connection or not. Clips of a region
that has no policy in force stay until their deadline: nobody says how long they may be kept.

When a clip was seen first is kept in the journal's state, for every clip that is on board, and read there at each look. What a
full disk has no room to keep of it counts all the same, and is held in memory until there is room.

Threads: any; each gives up what is in the states that belong to it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Protocol

from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.records.clip import ClipPlace, ClipState
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.spool.held import NOBODY, HeldClips
from fsd_agent.rules.spool.lifecycle import LIVE
from fsd_agent.rules.spool.retention import is_late, is_over
from fsd_agent.wire.held_since import HeldSinceError, decode_held_since, encode_held_since

LOOK_EVERY_NS = 300_000_000_000
"""Retention is counted in days; each look reads every clip that is on board."""
STATE_KEY = "held-since"
_S = 1_000_000_000


class PolicyTime(Protocol):
    """Who knows how long clips may be kept, and what time it is."""

    @property
    def policies(self) -> tuple[RegionPolicy, ...]:
        """Every policy in force."""
        ...

    @property
    def proved_ns(self) -> int:
        """The newest wall time that is proved; see ``pipeline.residence``."""
        ...


class Retention:
    """See the module."""

    def __init__(
        self, *, journal: Journal, source: PolicyTime, give_up: GiveUp, clock: Clock, events: EventSink
    ) -> None:
        self._journal = journal
        self._source = source
        self._give_up = give_up
        self._clock = clock
        self._events = events
        self._lock = threading.Lock()
        self._unkept: HeldClips | None = None
        """What the journal could not take."""
        self._was_kept = False
        """What the journal has is of this run."""
        self._next_ns: dict[ClipState, int] = {}

    def step(self, state: ClipState) -> tuple[str, ...]:
        """Give up what is over, of the clips in ``state``, now and then; their ids."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            if now_ns < self._next_ns.get(state, now_ns):
                return ()
            self._next_ns[state] = now_ns + LOOK_EVERY_NS
        given_up: list[str] = []
        try:
            for place, reason, detail in self._over(now_ns):
                row = self._journal.clip(place.clip_id) if place.state is state else None
                if row is not None:
                    self._give_up.drop(row, reason, detail)
                    given_up.append(row.clip_id)
        except JournalError as error:
            self._events.emit("journal_failed", clip="", what=str(error))
        except LedgerError as error:
            self._events.emit("ledger_failed", clip="", what=str(error))
        return tuple(given_up)

    def _over(self, now_ns: int) -> list[tuple[ClipPlace, DropReason, str]]:
        """Every clip on board that is over, and why."""
        days = {policy.region_id: policy.retention_days for policy in self._source.policies}
        proved_ns = self._source.proved_ns
        found: list[tuple[ClipPlace, DropReason, str]] = []
        with self._lock:
            for place, since_ns in self._note(now_ns, proved_ns):
                kept_days, region_id = days.get(place.region_id), place.region_id
                if kept_days is not None and is_over(since_ns, proved_ns=proved_ns, retention_days=kept_days):
                    detail = (
                        f"it has waited on board for the {kept_days} days that region {region_id} keeps clips"
                    )
                    found.append((place, DropReason.RETENTION_OVER, detail))
                elif is_late(since_ns, proved_ns=proved_ns, deadline_ns=place.deadline_ns):
                    detail = f"it was worth something for {(place.deadline_ns or 0) // _S} s after its firing"
                    found.append((place, DropReason.DEADLINE_PASSED, detail))
        return found

    def _note(self, now_ns: int, proved_ns: int) -> Iterator[tuple[ClipPlace, int]]:
        """Every clip on board with the moment that counts; once it was gone through, they are kept."""
        held, clock_ns = self._unkept or self._read(), self._clock.wall_ns()
        held.begin()
        for place in self._journal.each(LIVE):
            yield place, held.meet(place.clip_id, now_ns=now_ns, proved_ns=proved_ns, clock_ns=clock_ns)
        held.end()
        if held.is_changed:
            self._keep(held)

    def _read(self) -> HeldClips:
        """What cannot be read was not written by us: every clip is noted anew, and so kept longer rather than shorter."""
        kept, noted = self._journal.get_state(STATE_KEY), NOBODY
        if kept is not None:
            try:
                noted = decode_held_since(kept)
            except HeldSinceError as error:
                self._events.emit("journal_failed", clip="", what=f"{STATE_KEY}: {error}")
        return HeldClips(noted, of_this_run=self._was_kept)

    def _keep(self, held: HeldClips) -> None:
        self._unkept = held
        try:
            self._journal.set_state(STATE_KEY, encode_held_since(held.noted()))
        except JournalError as error:
            self._events.emit("journal_failed", clip="", what=str(error))
        else:
            self._unkept, self._was_kept = None, True
