"""A journal in memory that keeps every promise of ``ports.journal``; of a process that ends nothing is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random

from fsd_agent.ports.journal import (
    CampaignTotals,
    IllegalMoveError,
    JournalError,
    Level,
    StorageFailedError,
    StorageFullError,
)
from fsd_agent.records.clip import ClipPlace, ClipRow, ClipState, SealedClip
from fsd_agent.records.clip_ids import pack_ids
from fsd_agent.records.firing import JudgedFiring, UntoldFiring
from fsd_agent.records.link_rule import EVERYTHING, Admits, LinkRule
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.worth import Worth
from fsd_agent.rules.spool.evict import EVICTABLE
from fsd_agent.rules.spool.lifecycle import LIVE, refuse_move, widen
from fsd_agent.testing.journal_firings import MemoryFirings


class MemoryJournal:
    """See :class:`fsd_agent.ports.journal.Journal`."""

    def __init__(self) -> None:
        self.full = False
        """Set to make every change find the disk full."""
        self.read_only = False
        """Set to make every change fail, while everything can be read."""
        self.broken = False
        """Set to make every call fail, as on a disk that can't be read."""
        self.receipts: dict[str, bytes] = {}
        self._clips: dict[str, ClipRow] = {}
        self._afloat: dict[str, ClipRow] = {}
        """Rows as they were before moves that a power cut may take back."""
        self._firings = MemoryFirings()
        self.state: dict[str, bytes] = {}
        self.state_writes: list[str] = []
        """Its keys as they were written, each time anew."""
        self._lock = threading.RLock()
        self._closed = False

    def accept(self, firings: Sequence[JudgedFiring], clips: Sequence[ClipRow]) -> None:
        """See the port."""
        with self._lock:
            self._writable()
            after = dict(self._clips)
            for clip in clips:
                _put_staged(after, clip)
            self._firings.check(firings, after)
            self._clips = after
            self._firings.add(firings, after)

    def captured(self, clip_id: str, *, cut: bool) -> None:
        """See the port."""
        with self._lock:
            row = self._movable(clip_id, ClipState.CAPTURED)
            self._clips[clip_id] = replace(row, state=ClipState.CAPTURED, cut=cut)

    def valued(self, worths: Mapping[str, Worth]) -> None:
        """See the port."""
        with self._lock:
            self._writable()
            for clip_id, worth in worths.items():
                row = self._clips.get(clip_id)
                if row is not None and row.state is ClipState.CAPTURED:
                    self._clips[clip_id] = replace(row, worth=worth)

    def sealed(self, sealed: SealedClip) -> None:
        """See the port."""
        with self._lock:
            row = self._movable(sealed.clip_id, ClipState.SEALED)
            if row.region_id != sealed.region_id:
                raise JournalError(
                    f"clip {sealed.clip_id}: its file is sealed to another region, {sealed.region_id}"
                )
            self._clips[sealed.clip_id] = replace(
                row, state=ClipState.SEALED, size_bytes=sealed.size_bytes, sha256=sealed.sha256
            )
            self._afloat[sealed.clip_id] = row

    def power_cut(self, chance: Random) -> None:
        """Of the moves to SEALED since the last other change, the newest may be taken back, any number of them."""
        with self._lock:
            afloat = list(self._afloat.items())
            for clip_id, row in afloat[chance.randint(0, len(afloat)) :]:
                self._clips[clip_id] = row
            self._afloat.clear()

    def delivered(self, clip_id: str, *, receipt: bytes) -> None:
        """See the port."""
        with self._lock:
            row = self._movable(clip_id, ClipState.DELIVERED)
            self._clips[clip_id] = replace(row, state=ClipState.DELIVERED)
            self.receipts[clip_id] = receipt

    def dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        """See the port."""
        with self._lock:
            row = self._movable(clip_id, ClipState.DROPPED)
            self._clips[clip_id] = replace(row, state=ClipState.DROPPED, drop=reason, drop_detail=detail)

    def clips(
        self, states: Collection[ClipState], *, limit: int | None = None, admits: Admits = EVERYTHING
    ) -> tuple[ClipRow, ...]:
        """See the port."""
        with self._lock:
            self._open()
            found = [row for row in self._clips.values() if row.state in states and admits.admits(row.link)]
            return tuple(sorted(found, key=_best_first)[:limit])

    def waiting(self, region_id: str) -> Mapping[LinkRule, int]:
        """See the port."""
        rows = self.clips({ClipState.SEALED})
        return Counter(replace(row.link, deadline_ns=None) for row in rows if row.region_id == region_id)

    def least(self, limit: int, *, region_ids: Collection[str] = ()) -> tuple[ClipRow, ...]:
        """See the port."""
        with self._lock:
            self._open()
            found = [
                row
                for row in self._clips.values()
                if row.state in EVICTABLE and (not region_ids or row.region_id in region_ids)
            ]
            return tuple(sorted(found, key=_least_first)[:limit])

    def unvalued(self, limit: int, *, purposes: Collection[Purpose]) -> tuple[ClipRow, ...]:
        """See the port."""
        with self._lock:
            self._open()
            waiting = [row for row in self._clips.values() if row.state is ClipState.CAPTURED]
            return tuple(row for row in waiting if row.worth.known is None and row.purpose in purposes)[
                :limit
            ]

    def following(self, state: ClipState, clip_id: str, *, limit: int) -> tuple[ClipRow, ...]:
        """See the port."""
        with self._lock:
            self._open()
            found = [row for row in self._clips.values() if row.state is state and row.clip_id > clip_id]
            return tuple(sorted(found, key=lambda row: row.clip_id)[:limit])

    def each(self, states: Collection[ClipState]) -> Iterator[ClipPlace]:
        """See the port."""
        for state in (one for one in ClipState if one in states):
            for row in self.clips({state}):
                yield ClipPlace(row.clip_id, row.region_id, row.purpose, row.state, row.link.deadline_ns)

    def sealed_ids(self) -> Mapping[Compartment, bytes]:
        """See the port."""
        found: dict[Compartment, bytes] = {}
        for row in self.clips({ClipState.SEALED}):
            found[row.compartment] = found.get(row.compartment, b"") + pack_ids([row.clip_id])
        return found

    def clip(self, clip_id: str) -> ClipRow | None:
        """See the port."""
        with self._lock:
            self._open()
            return self._clips.get(clip_id)

    def levels(self) -> tuple[Level, ...]:
        """See the port."""
        with self._lock:
            self._open()
            found: dict[tuple[str, ClipState], list[ClipRow]] = {}
            for row in self._clips.values():
                if row.state in LIVE:
                    found.setdefault((row.region_id, row.state), []).append(row)
            return tuple(
                Level(
                    *place,
                    len(rows),
                    sum(row.size_bytes for row in rows),
                    min(row.start_ns + row.wall_minus_mono_ns for row in rows),
                )
                for place, rows in sorted(found.items())
            )

    def firings_of(self, clip_id: str) -> tuple[JudgedFiring, ...]:
        """See the port."""
        with self._lock:
            self._open()
            return self._firings.of_clip(clip_id)

    def usage(self, region_id: str, campaign_id: str, *, since_wall_ns: int) -> tuple[int, int]:
        """See the port."""
        with self._lock:
            self._open()
            return self._firings.usage(region_id, campaign_id, since_wall_ns, self._clips)

    def totals(self) -> tuple[CampaignTotals, ...]:
        """See the port."""
        with self._lock:
            self._open()
            return self._firings.totals(self._clips)

    def untold(self, region_id: str, *, limit: int) -> tuple[UntoldFiring, ...]:
        """See the port."""
        with self._lock:
            self._open()
            return self._firings.untold(region_id, limit)

    def told(self, firing_ids: Collection[str]) -> None:
        """See the port."""
        with self._lock:
            self._writable()
            self._firings.told(firing_ids)

    def untell(self, *, purposes: Collection[Purpose] = (), region_ids: Collection[str] = ()) -> None:
        """See the port; room is kept for it, so it works on a full disk."""
        with self._lock:
            self._open()
            if self.read_only:
                raise StorageFailedError("memory journal: read-only")
            self._firings.untell(purposes, region_ids)

    def never_told(self, region_id: str) -> int:
        """See the port."""
        with self._lock:
            self._open()
            return self._firings.never_told(region_id)

    def get_state(self, key: str) -> bytes | None:
        """See the port."""
        with self._lock:
            self._open()
            return self.state.get(key)

    def set_state(self, key: str, value: bytes) -> None:
        """See the port."""
        with self._lock:
            self._writable()
            self.state[key] = value
            self.state_writes.append(key)

    def close(self) -> None:
        """See the port."""
        self._closed = True

    def _movable(self, clip_id: str, after: ClipState) -> ClipRow:
        self._writable(durable=after is not ClipState.SEALED)
        row = self._clips.get(clip_id)
        refused = refuse_move(clip_id, None if row is None else row.state, after)
        if row is None or refused is not None:
            raise IllegalMoveError(f"memory journal: {refused}")
        return row

    def _open(self) -> None:
        if self._closed:
            raise JournalError("memory journal: closed")
        if self.broken:
            raise JournalError("memory journal: can't be read")

    def _writable(self, *, durable: bool = True) -> None:
        """A change may be made, after which, where it is ``durable``, nothing before it can be taken back."""
        self._open()
        if self.full:
            raise StorageFullError("memory journal: no space left")
        if self.read_only:
            raise StorageFailedError("memory journal: read-only")
        if durable:
            self._afloat.clear()


def _best_first(row: ClipRow) -> tuple[bool, int, float]:
    return not row.link.urgent, -row.priority, -row.worth.value


def _least_first(row: ClipRow) -> tuple[int, bool, bool, float]:
    return row.priority, row.link.urgent, row.worth.known is None, row.worth.value


def _put_staged(after: dict[str, ClipRow], clip: ClipRow) -> None:
    """Insert or widen one clip."""
    known = after.get(clip.clip_id)
    if clip.state is not ClipState.STAGED or (known is not None and known.state is not ClipState.STAGED):
        state = clip.state if known is None else known.state
        raise IllegalMoveError(
            f"memory journal: clip {clip.clip_id}: is {state}, only staged clips are accepted"
        )
    try:
        after[clip.clip_id] = clip if known is None else widen(known, clip)
    except ValueError as error:
        raise JournalError(f"memory journal: {error}") from error
