"""Carries out what capture decides: windows of the ring go to staging, firings and clips to the journal.

Order, for the firings of a batch: stage each before-window and fsync it, then record all of them in the ledger, then
commit firings and clips to the journal: one sync each, however many. A firing exists from that commit on; staging
without a row was never accepted and is erased at the next start.

Full disk. Whatever finds no room is tried again with what the reserve gives up (``room.py``). When that has nothing
left, and on a disk that fails, a new firing that can't be staged is dropped with that reason; a clip whose window was
open is closed early and marked cut; what is on disk already stays. What the journal itself has no room for (a drop, a
closing) is kept in memory and offered again at each step; a closing that is never taken is made up for by recovery. The
same is true of drops that the ledger can't take; a firing that it can't record is not kept.

Consent. A clip whose purpose is not consented to any more is closed at the next step and takes nothing more; who finishes
clips gives it up. A compartment whose key can't be made drops the firings that want it, and no others.

Threads: one, the sensing loop's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from fsd_agent.pipeline.book import ClipBook
from fsd_agent.pipeline.dropped_firings import DroppedFirings
from fsd_agent.pipeline.no_room import FULL, NOT_TAKEN, KeepsRoom, insist, why
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.ports.ledger import Ledger, LedgerError
from fsd_agent.ports.spool import SpoolError, Staging, StagingWriter
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.ledger import Cause, Copy
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.capture.plan import Close, Extend, KeptFiring, Limits, Open, OpenClip, Window, plan, rest
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.wire.staged import encode_part

SYNC_EVERY_NS = 500_000_000
"""Event time between fsyncs of an open window: what a power cut can cost of an event under way."""


@dataclass(slots=True)
class _Staged:
    """An open clip and its file."""

    open: OpenClip
    writer: StagingWriter
    synced_ns: int


class Recorder:
    """Open clips of one agent. See the module."""

    def __init__(
        self,
        *,
        ring: Ring,
        staging: Staging,
        journal: Journal,
        ledger: Ledger,
        events: EventSink,
        new_id: Callable[[], str],
        limits: Limits | None = None,
        room: KeepsRoom,
        accepted: Callable[[], None] = lambda: None,
    ) -> None:
        """``room``: makes some for what finds none. ``accepted`` is called once firings are in the journal."""
        self._ring = ring
        self._staging = staging
        self._journal = journal
        self._book = ClipBook(ledger)
        self._dropped = DroppedFirings(journal, ledger, events)
        self._events = events
        self._new_id = new_id
        self._limits = limits or Limits()
        self._room = room
        self._accepted = accepted
        self._open: dict[str, _Staged] = {}
        self._uncaptured: dict[str, bool] = {}
        """Closed windows that the journal has not taken yet, and whether they were cut."""

    @property
    def unrecorded_lost(self) -> int:
        """Drops that found neither room in journal or ledger, nor in memory."""
        return self._dropped.lost

    def step(
        self,
        kept: Sequence[KeptFiring],
        dropped: Sequence[JudgedFiring],
        *,
        until_ns: int,
        region_id: str,
        given: frozenset[Purpose],
        wall_minus_mono_ns: int,
    ) -> None:
        """Everything before ``until_ns`` is in the ring: record new firings, stage what is new, close what is whole.

        ``given``: what is consented to; it must stay so until this returns.
        """
        self._dropped.add(dropped, region_id)
        for clip_id in [one for one, staged in self._open.items() if staged.open.row.purpose not in given]:
            self._close(clip_id, cut=True)
        self._journal_captured()
        decisions = plan(
            tuple(staged.open for staged in self._open.values()),
            kept,
            until_ns=until_ns,
            region_id=region_id,
            wall_minus_mono_ns=wall_minus_mono_ns,
            new_id=self._new_id,
            limits=self._limits,
        )
        closing = {decision.clip_id for decision in decisions if isinstance(decision, Close)}
        self._keep([decision for decision in decisions if not isinstance(decision, Close)])
        if kept or dropped:
            self._accepted()
        for clip_id in tuple(self._open):
            self._stage_rest(clip_id, until_ns)
        for clip_id in closing & self._open.keys():
            self._close(clip_id, cut=False)

    def close_all(self) -> None:
        """The source has ended: what is open is closed as it is, and marked cut."""
        for clip_id in tuple(self._open):
            self._close(clip_id, cut=True)
        self._dropped.add((), "")

    def _keep(self, decisions: Sequence[Open | Extend]) -> None:
        """Stage what new firings ask for, record it, and commit it; what fails on the way is dropped."""
        begun: dict[str, StagingWriter] = {}
        staged = [one for one in decisions if self._stage(one, begun)]
        if not staged:
            return
        firings = [judged for one in staged for judged in one.firings]
        try:
            insist(lambda: self._book.kept((one.row, one.firings) for one in staged), self._room)
        except LedgerError as error:
            self._forget(staged, begun, error)
            return
        try:
            insist(lambda: self._journal.accept(firings, [one.row for one in staged]), self._room)
        except NOT_TAKEN as error:
            self._take_back(staged, begun, error)
            return
        for one in staged:
            if isinstance(one, Open):
                until_ns = one.window.end_ns
                opened = OpenClip(one.row, until_ns)
                self._open[one.row.clip_id] = _Staged(opened, begun[one.row.clip_id], until_ns)
            else:
                open_ = self._open[one.row.clip_id]
                open_.open = OpenClip(one.row, open_.open.staged_until_ns)
            self._tell(one.firings, one.row)

    def _stage(self, decision: Open | Extend, begun: dict[str, StagingWriter]) -> bool:
        """Put on disk what new firings want of the time before them; False where that can't be done."""
        clip_id = decision.row.clip_id
        try:
            if isinstance(decision, Open):
                opening = decision
                begun[clip_id] = insist(lambda: self._begin(opening), self._room)
            else:
                for window in decision.backfill:
                    self._append(self._open[clip_id].writer, window)
                self._open[clip_id].writer.sync()
        except SpoolError as error:
            self._no_room(decision, error)
            if isinstance(decision, Extend):
                # Closed too: after a failed sync its writer takes nothing any more.
                self._close(clip_id, cut=True)
            return False
        return True

    def _begin(self, decision: Open) -> StagingWriter:
        """A new staged clip with its before-window, durable; where it raises, there is none."""
        writer = self._staging.open(decision.row.compartment, decision.row.clip_id)
        try:
            writer.append(self._part(decision.window))
            writer.sync()
        except SpoolError:
            self._unstage(decision.row, writer)
            raise
        return writer

    def _append(self, writer: StagingWriter, window: Window) -> None:
        part = self._part(window)
        insist(lambda: writer.append(part), self._room)

    def _forget(
        self, staged: Sequence[Open | Extend], begun: dict[str, StagingWriter], error: LedgerError
    ) -> None:
        """The ledger could not record them, so they are not kept."""
        for one in staged:
            if isinstance(one, Open):
                self._unstage(one.row, begun[one.row.clip_id])
            self._no_room(one, error)

    def _take_back(
        self, staged: Sequence[Open | Extend], begun: dict[str, StagingWriter], error: JournalError
    ) -> None:
        """They are recorded as kept, and the journal has no room for them."""
        for one in staged:
            if isinstance(one, Open):
                try:
                    self._book.dropped(one.row, why(error)[1])
                    self._book.erasing(one.row, Copy.STAGED, Cause.DROPPED)
                except LedgerError as failed:  # Then the file stays, and the next start accounts for it
                    self._events.emit("ledger_failed", clip=one.row.clip_id, what=str(failed))
                    begun[one.row.clip_id].close()
                else:
                    self._unstage(one.row, begun[one.row.clip_id])
            self._no_room(one, error)

    def _unstage(self, row: ClipRow, writer: StagingWriter) -> None:
        """A staged window that nothing was accepted for; what can't be erased now goes at the next start."""
        with contextlib.suppress(SpoolError):  # It is to be erased
            writer.close()
        try:
            self._staging.erase(row.compartment, row.clip_id)
        except SpoolError as error:
            self._events.emit("disk_failed", clip=row.clip_id, what=str(error))

    def _stage_rest(self, clip_id: str, until_ns: int) -> None:
        staged = self._open[clip_id]
        window = rest(staged.open, until_ns)
        if window is None:
            return
        try:
            self._append(staged.writer, window)
            if window.end_ns - staged.synced_ns >= SYNC_EVERY_NS:
                staged.writer.sync()
                staged.synced_ns = window.end_ns
        except SpoolError as error:
            self._fault(error, clip_id)
            self._close(clip_id, cut=True)
            return
        staged.open = OpenClip(staged.open.row, window.end_ns)

    def _close(self, clip_id: str, *, cut: bool) -> None:
        staged = self._open.pop(clip_id)
        try:
            staged.writer.close()
        except SpoolError as error:
            self._fault(error, clip_id)
            cut = True
        self._uncaptured[clip_id] = cut
        self._journal_captured()

    def _journal_captured(self) -> None:
        for clip_id, cut in tuple(self._uncaptured.items()):
            closing = partial(self._journal.captured, clip_id, cut=cut)
            try:
                insist(closing, self._room)
            except NOT_TAKEN as error:
                self._events.emit(why(error)[0], clip=clip_id, what=str(error))
                return
            del self._uncaptured[clip_id]
            self._events.emit("captured", clip=clip_id, cut=cut)

    def _fault(self, error: SpoolError, clip_id: str) -> None:
        self._events.emit(why(error)[0], clip=clip_id, what=str(error))
        if not isinstance(error, FULL):
            self._room.doubt()

    def _part(self, window: Window) -> bytes:
        return encode_part(
            self._ring.window(
                window.start_ns, window.end_ns, window.cameras, window.signals, lead_in=window.lead_in
            )
        )

    def _tell(self, firings: Sequence[JudgedFiring], row: ClipRow) -> None:
        for judged in firings:
            self._events.emit(
                "fired",
                campaign=judged.firing.campaign_id,
                firing=judged.firing_id,
                event_ns=judged.firing.t_ns,
                clip=row.clip_id,
            )

    def _no_room(self, decision: Open | Extend, error: SpoolError | JournalError | LedgerError) -> None:
        event, reason = why(error)
        self._events.emit(event, what=str(error))
        drops = tuple(replace(judged, clip_id=None, drop=reason) for judged in decision.firings)
        self._dropped.add(drops, decision.row.region_id)
