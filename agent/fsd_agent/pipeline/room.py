"""Keeps room on the disk: looks at it, decides what goes, and says which firings can be taken.

What goes is decided by ``rules.spool.evict`` and how bad it is by ``rules.spool.headroom``, whose headers are the whole
order. Here they are asked, and carried out:

- One thread looks, every five seconds, and at once where an event in progress found no room.
- What goes is given up by the thread that its state belongs to, as ``give_up.py`` wants it; a clip that has been begun
  to be sent since it was decided stays.
- An event in progress does not wait for any of this: the reserve gives up a part of its room on the spot (``make``), and
  is filled again once there is room.

A clip's weight is that of its file: the sealed one by the journal, the staged one by the disk.

Threads: ``look`` for one; everything else for any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.disk import Disk, Reserve
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import LedgerError
from fsd_agent.ports.spool import SpoolError, Staging
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.room import NOTHING, Amount, DiskLook
from fsd_agent.rules.spool.evict import Decision, Eviction, OnBoard, Quotas, Shortfall, evict, shortfalls
from fsd_agent.rules.spool.headroom import Headroom, HeadroomLimits, Level, follow, lacks, refuses

LOOK_EVERY_NS = 5_000_000_000
AT_LEAST_NS = 100_000_000
"""Between two looks, however often one is asked for."""
WRITE_EVERY_NS = 60_000_000_000
"""Between two writes that only find out whether the disk is sound and fast, while it is; else each look writes."""
CLIPS_AT_FIRST = 256
"""How many of the least valuable clips are read; four times as many where those are not enough."""
CLIPS_AT_MOST = 4_096
"""Whatever more must go, goes at the next look."""
GIVEN_UP_AT_ONCE = 64
"""Each takes a few milliseconds of the thread that gives it up, which has other things to do."""


@dataclass(frozen=True, slots=True)
class RoomPolicy:
    """What the configuration says."""

    quotas: Quotas
    limits: HeadroomLimits
    spare: Amount
    """What is to stay free when the reserve is filled again: sealing, journal and ledger need some."""
    scarce_priority: int
    """Firings of a lower priority than this are the first that are not taken."""


class Room:
    """See the module."""

    def __init__(
        self,
        policy: RoomPolicy,
        *,
        disk: Disk,
        reserve: Reserve,
        journal: Journal,
        staging: Staging,
        give_up: GiveUp,
        sending: Callable[[], Collection[str]],
        clock: Clock,
        events: EventSink,
    ) -> None:
        """``sending``: clips that are being sent; for sealed clips it is asked on the thread that sends."""
        self._policy = policy
        self._disk = disk
        self._reserve = reserve
        self._journal = journal
        self._staging = staging
        self._give_up = give_up
        self._sending = sending
        self._clock = clock
        self._events = events
        self._headroom = Headroom()
        self._decided = Decision((), ())
        self._next_ns = self._write_at_ns = clock.monotonic_ns()
        self._looked_ns = self._next_ns - AT_LEAST_NS
        self._is_wanted = self._is_doubted = False
        self._lock = threading.Lock()
        """Of what is decided: one thread replaces it, others take out what they have done."""
        self._trouble = ""
        self._fault = ""

    @property
    def is_broken(self) -> bool:
        """The disk can't be written to."""
        return self._headroom.is_broken

    @property
    def trouble(self) -> str:
        """What a person should look at: the disk, or why nothing can be decided; empty where there is room."""
        return self._fault or self._trouble

    def refuses(self, priority: int) -> DropReason | None:
        """Why a firing of this priority can't be taken now; None where it is."""
        can_make_room = all(short.reason is not DropReason.DISK_NEEDED for short in self._decided.unmet)
        return refuses(
            self._headroom,
            priority=priority,
            scarce_priority=self._policy.scarce_priority,
            can_make_room=can_make_room,
        )

    def make(self) -> bool:
        """An event in progress found no room: free some now, and look soon; False where there is none to be had."""
        made = self._reserve.give_up()
        self._is_wanted = True
        return made

    def doubt(self) -> None:
        """A write failed, and not because the disk is full: look soon, with a write."""
        self._is_doubted = self._is_wanted = True

    def look(self) -> None:
        """Measure, decide, and fill the reserve again, where it is time to."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < (self._looked_ns + AT_LEAST_NS if self._is_wanted else self._next_ns):
            return
        self._is_wanted = False
        self._looked_ns, self._next_ns = now_ns, now_ns + LOOK_EVERY_NS
        seen = self._measure(now_ns)
        try:
            decided = self._decide(seen)
            self._fault = ""
        except (JournalError, SpoolError) as error:
            decided = Decision((), ())
            self._tell_fault(error)
        with self._lock:
            self._decided = decided
        self._fill(seen)

    def step(self, state: ClipState) -> tuple[str, ...]:
        """Give up what was decided of the clips in ``state``; their ids."""
        mine = [one for one in self._decided.evictions if one.state is state][:GIVEN_UP_AT_ONCE]
        if not mine:
            return ()
        given_up: list[str] = []
        sending = self._sending() if state is ClipState.SEALED else ()
        try:
            for one in mine:
                row = self._journal.clip(one.clip_id)
                if row is not None and row.state is state and one.clip_id not in sending:
                    self._give_up.drop(row, one.reason, one.why)
                    given_up.append(one.clip_id)
        except JournalError as error:
            self._events.emit("journal_failed", clip="", what=str(error))
        except LedgerError as error:
            self._events.emit("ledger_failed", clip="", what=str(error))
        self._forget(mine)
        return tuple(given_up)

    def _measure(self, now_ns: int) -> DiskLook:
        now = self._headroom
        is_doubtful = self._is_doubted or now.is_broken or now.is_slow or now.against > 0
        self._is_doubted = False
        write = is_doubtful or now_ns >= self._write_at_ns
        if write:
            self._write_at_ns = now_ns + WRITE_EVERY_NS
        seen = self._disk.look(write=write)
        before = self._headroom
        self._headroom = follow(before, seen, self._reserve.held, self._policy.limits)
        self._trouble = self._describe(seen)
        if before.level is not self._headroom.level:
            self._events.emit(
                "headroom",
                level=self._headroom.level.name.lower(),
                before=before.level.name.lower(),
                free_bytes=seen.free.size_bytes,
                free_files=seen.free.files,
                reserve_bytes=self._reserve.held.size_bytes,
                slow=self._headroom.is_slow,
                what=seen.fault,
            )
        return seen

    def _describe(self, seen: DiskLook) -> str:
        level = self._headroom.level
        if level < Level.SCARCE:
            return ""
        if level is Level.BROKEN:
            return f"disk: {seen.fault or 'is read-only, or was a moment ago'}"
        slow = ", and it is slow" if self._headroom.is_slow else ""
        return f"disk: room is {level.name.lower()}: {seen.free.size_bytes} bytes and {seen.free.files} files are free{slow}"

    def _decide(self, seen: DiskLook) -> Decision:
        if self._headroom.is_broken:
            return Decision((), ())
        staged = self._staging.weigh()
        sealed = (one for one in self._journal.levels() if one.state is ClipState.SEALED)
        held = {one.region_id: Amount(one.size_bytes, one.clips) for one in sealed}
        for (compartment, _), size_bytes in staged.items():
            region_id = compartment.region_id
            held[region_id] = held.get(region_id, NOTHING).plus(Amount(size_bytes, 1))
        disk_lacks = lacks(self._headroom, seen, self._reserve.held, self._policy.limits)
        exceeded = shortfalls(held, self._policy.quotas, disk_lacks)
        if not exceeded:
            return Decision((), ())
        return self._least(exceeded, {clip_id: size_bytes for (_, clip_id), size_bytes in staged.items()})

    def _least(self, exceeded: Sequence[Shortfall], staged: Mapping[str, int]) -> Decision:
        """Read as many of the least valuable clips as it takes, and of as few regions."""
        sending, limit = self._sending(), CLIPS_AT_FIRST
        concerned = {short.region_id for short in exceeded}
        region_ids = sorted(concerned) if "" not in concerned else ()
        while True:
            rows = self._journal.least(limit, region_ids=region_ids)
            decision = evict([_on_board(row, staged, sending) for row in rows], exceeded)
            if not decision.unmet or len(rows) < limit:
                return decision
            if limit >= CLIPS_AT_MOST:
                return Decision(decision.evictions, ())  # There are more that may go, at the next look
            limit *= 4

    def _fill(self, seen: DiskLook) -> None:
        """Fill the reserve with what is free beyond the spare; not while an event in progress is short of room."""
        free = seen.free
        while self._policy.spare.plus(self._reserve.part).beyond(free) == NOTHING and self._reserve.add():
            free = free.beyond(self._reserve.part)

    def _forget(self, done: Sequence[Eviction]) -> None:
        with self._lock:
            left = tuple(one for one in self._decided.evictions if one not in done)
            self._decided = Decision(left, self._decided.unmet)

    def _tell_fault(self, error: JournalError | SpoolError) -> None:
        """Once, and not at each look."""
        if str(error) != self._fault:
            self._fault = str(error)
            is_journal = isinstance(error, JournalError)
            self._events.emit("journal_failed" if is_journal else "disk_failed", clip="", what=self._fault)


def _on_board(row: ClipRow, staged: Mapping[str, int], sending: Collection[str]) -> OnBoard:
    size_bytes = row.size_bytes if row.state is ClipState.SEALED else staged.get(row.clip_id, 0)
    return OnBoard(
        row.clip_id,
        row.region_id,
        row.state,
        row.priority,
        row.worth.known,
        Amount(size_bytes, 1),
        is_sending=row.state is ClipState.SEALED and row.clip_id in sending,
        is_urgent=row.link.urgent,
    )
