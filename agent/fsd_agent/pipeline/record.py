"""Carries out what capture decides: windows of the ring go to staging, firings and clips to the journal.

Order, for every firing: stage the before-window, fsync it, then commit firing and clip to the journal. A firing
exists from that commit on; staging without a row was never accepted and is erased at the next start.

Full disk. A new firing that can't be staged is dropped with that reason; a clip whose window was open is closed
early and marked cut; what is on disk already stays. What the journal itself has no room for (a drop, a closing) is
kept in memory and offered again at each step; a closing that is never taken is made up for by recovery.

Threads: one, the sensing loop's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, StorageFullError
from fsd_agent.ports.spool import SpoolFullError, Staging, StagingWriter
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.capture.plan import Close, Extend, KeptFiring, Limits, Open, OpenClip, Window, plan, rest
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.wire.staged import encode_part

SYNC_EVERY_NS = 500_000_000
"""Event time between fsyncs of an open window: what a power cut can cost of an event under way."""

MAX_UNRECORDED = 10_000
"""Drops held in memory while the journal's disk is full; further ones are only counted."""


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
        events: EventSink,
        new_id: Callable[[], str],
        limits: Limits | None = None,
    ) -> None:
        self._ring = ring
        self._staging = staging
        self._journal = journal
        self._events = events
        self._new_id = new_id
        self._limits = limits or Limits()
        self._open: dict[str, _Staged] = {}
        self._unrecorded: list[JudgedFiring] = []
        self._uncaptured: dict[str, bool] = {}
        """Closed windows that the journal has not taken yet, and whether they were cut."""
        self.unrecorded_lost = 0
        """Drops that found neither room in the journal nor in memory."""

    def step(
        self,
        kept: Sequence[KeptFiring],
        dropped: Sequence[JudgedFiring],
        *,
        until_ns: int,
        region_id: str,
        wall_minus_mono_ns: int,
    ) -> None:
        """Everything before ``until_ns`` is in the ring: record new firings, stage what is new, close what is whole."""
        self._drop_firings(dropped)
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
        for decision in decisions:
            if isinstance(decision, Open):
                self._begin(decision)
            elif isinstance(decision, Extend):
                self._widen(decision)
        for clip_id in tuple(self._open):
            self._stage_rest(clip_id, until_ns)
        for clip_id in closing & self._open.keys():
            self._close(clip_id, cut=False)

    def close_all(self) -> None:
        """The source has ended: what is open is closed as it is, and marked cut."""
        for clip_id in tuple(self._open):
            self._close(clip_id, cut=True)
        self._drop_firings(())

    def _begin(self, decision: Open) -> None:
        row = decision.row
        try:
            writer = self._staging.open(row.clip_id)
            try:
                writer.append(self._part(decision.window))
                writer.sync()
                self._journal.accept(decision.firings, (row,))
            except (SpoolFullError, StorageFullError):
                writer.close()
                self._staging.erase(row.clip_id)
                raise
        except (SpoolFullError, StorageFullError) as error:
            self._disk_full(decision.firings, error)
            return
        until_ns = decision.window.end_ns
        self._open[row.clip_id] = _Staged(OpenClip(row, until_ns), writer, until_ns)
        self._tell(decision.firings, row)

    def _widen(self, decision: Extend) -> None:
        row = decision.row
        staged = self._open[row.clip_id]
        try:
            for window in decision.backfill:
                staged.writer.append(self._part(window))
            staged.writer.sync()
            self._journal.accept(decision.firings, (row,))
        except StorageFullError as error:
            self._disk_full(decision.firings, error)
            return
        except SpoolFullError as error:
            # Closed too: after a failed sync its writer takes nothing any more.
            self._disk_full(decision.firings, error)
            self._close(row.clip_id, cut=True)
            return
        staged.open = OpenClip(row, staged.open.staged_until_ns)
        self._tell(decision.firings, row)

    def _stage_rest(self, clip_id: str, until_ns: int) -> None:
        staged = self._open[clip_id]
        window = rest(staged.open, until_ns)
        if window is None:
            return
        try:
            staged.writer.append(self._part(window))
            if window.end_ns - staged.synced_ns >= SYNC_EVERY_NS:
                staged.writer.sync()
                staged.synced_ns = window.end_ns
        except SpoolFullError as error:
            self._events.emit("disk_full", clip=clip_id, what=str(error))
            self._close(clip_id, cut=True)
            return
        staged.open = OpenClip(staged.open.row, window.end_ns)

    def _close(self, clip_id: str, *, cut: bool) -> None:
        staged = self._open.pop(clip_id)
        try:
            staged.writer.close()
        except SpoolFullError as error:
            self._events.emit("disk_full", clip=clip_id, what=str(error))
            cut = True
        self._uncaptured[clip_id] = cut
        self._journal_captured()

    def _journal_captured(self) -> None:
        for clip_id, cut in tuple(self._uncaptured.items()):
            try:
                self._journal.captured(clip_id, cut=cut)
            except StorageFullError as error:
                self._events.emit("disk_full", clip=clip_id, what=str(error))
                return
            del self._uncaptured[clip_id]
            self._events.emit("captured", clip=clip_id, cut=cut)

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

    def _disk_full(self, firings: Sequence[JudgedFiring], error: Exception) -> None:
        self._events.emit("disk_full", what=str(error))
        self._drop_firings(tuple(_as_drop(judged) for judged in firings))

    def _drop_firings(self, dropped: Sequence[JudgedFiring]) -> None:
        for judged in dropped:
            self._events.emit(
                "fired",
                campaign=judged.firing.campaign_id,
                firing=judged.firing_id,
                event_ns=judged.firing.t_ns,
                dropped=str(judged.drop),
            )
        waiting = [*self._unrecorded, *dropped]
        if not waiting:
            return
        try:
            self._journal.accept(waiting, ())
        except StorageFullError:
            self.unrecorded_lost += max(0, len(waiting) - MAX_UNRECORDED)
            self._unrecorded = waiting[:MAX_UNRECORDED]
        else:
            self._unrecorded = []


def _as_drop(judged: JudgedFiring) -> JudgedFiring:
    return replace(judged, clip_id=None, drop=DropReason.DISK_FULL)
