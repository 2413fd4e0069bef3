"""The firings of a journal in memory: which there are, which a region has not been told of, and what became of each.

Rows of clips are the caller's, and given to each question about them. Threads: one at a time; the caller serialises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fsd_agent.ports.journal import MAX_UNTOLD, CampaignTotals, IllegalMoveError, JournalError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import JudgedFiring, UntoldFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.spool.lifecycle import LIVE


class MemoryFirings:
    """Those of :class:`~fsd_agent.testing.journal.MemoryJournal`; each question is as in ``ports.journal``."""

    def __init__(self) -> None:
        self._firings: dict[str, JudgedFiring] = {}
        self._region_of: dict[str, str] = {}
        """By firing."""
        self._untold: dict[str, UntoldFiring] = {}
        self._never_told: Counter[str] = Counter()

    def check(self, firings: Sequence[JudgedFiring], clips: Mapping[str, ClipRow]) -> None:
        """Each is new, has exactly one of clip and drop, and its clip is there with its window open. Raises :class:`JournalError`."""
        new = set[str]()
        for judged in firings:
            _check(judged, clips)
            if judged.firing_id in self._firings or judged.firing_id in new:
                raise JournalError(f"firing {judged.firing_id}: already journalled")
            new.add(judged.firing_id)

    def add(self, firings: Sequence[JudgedFiring], clips: Mapping[str, ClipRow]) -> None:
        """What :meth:`check` passed."""
        for judged in firings:
            region_id = judged.region_id if judged.clip_id is None else clips[judged.clip_id].region_id
            kept = replace(judged, region_id="", telling=None)
            self._firings[judged.firing_id] = kept
            self._region_of[judged.firing_id] = region_id
            if judged.telling is not None:
                self._untold[judged.firing_id] = UntoldFiring(kept, region_id, judged.telling)
        while len(self._untold) > MAX_UNTOLD:
            gone = self._untold.pop(next(iter(self._untold)))
            self._never_told[gone.region_id] += 1

    def of_clip(self, clip_id: str) -> tuple[JudgedFiring, ...]:
        """In the order of their times."""
        found = [judged for judged in self._firings.values() if judged.clip_id == clip_id]
        return tuple(sorted(found, key=lambda judged: judged.firing.t_ns))

    def usage(
        self, region_id: str, campaign_id: str, since_wall_ns: int, clips: Mapping[str, ClipRow]
    ) -> tuple[int, int]:
        """Firings that were kept, and bytes of their clips."""
        kept = [
            judged.clip_id
            for judged in self._of(region_id, campaign_id)
            if judged.clip_id is not None and judged.wall_ns >= since_wall_ns
        ]
        return len(kept), sum(clips[clip_id].size_bytes for clip_id in set(kept))

    def totals(self, clips: Mapping[str, ClipRow]) -> tuple[CampaignTotals, ...]:
        """Of each region and campaign that has fired."""
        ids = {
            (self._region_of[judged.firing_id], judged.firing.campaign_id)
            for judged in self._firings.values()
        }
        return tuple(self._total(*of, clips) for of in sorted(ids))

    def untold(self, region_id: str, limit: int) -> tuple[UntoldFiring, ...]:
        """The oldest first."""
        return tuple(one for one in self._untold.values() if one.region_id == region_id)[:limit]

    def told(self, firing_ids: Collection[str]) -> None:
        """These are no longer untold."""
        for firing_id in firing_ids:
            self._untold.pop(firing_id, None)

    def untell(self, purposes: Collection[Purpose], region_ids: Collection[str]) -> None:
        """Nobody is to be told of these."""
        for firing_id, one in tuple(self._untold.items()):
            if one.telling.purpose in purposes or one.region_id in region_ids:
                del self._untold[firing_id]

    def never_told(self, region_id: str) -> int:
        """For which there was no room."""
        return self._never_told[region_id]

    def _of(self, region_id: str, campaign_id: str) -> list[JudgedFiring]:
        return [
            judged
            for judged in self._firings.values()
            if judged.firing.campaign_id == campaign_id and self._region_of[judged.firing_id] == region_id
        ]

    def _total(self, region_id: str, campaign_id: str, clips: Mapping[str, ClipRow]) -> CampaignTotals:
        """Counted anew from the rows each time: the adapter's running counts are checked against this."""
        in_progress = staged = captured = delivered = 0
        dropped: Counter[DropReason] = Counter()
        arrived: set[str] = set()
        firings = self._of(region_id, campaign_id)
        for judged in firings:
            row = clips[judged.clip_id] if judged.clip_id is not None else None
            reason = judged.drop if row is None else row.drop
            if reason is not None:
                dropped[reason] += 1
            elif row is not None and row.state in LIVE:
                in_progress += 1
                staged += row.state is ClipState.STAGED
                captured += row.state is ClipState.CAPTURED
            elif row is not None:
                delivered += 1
                arrived.add(row.clip_id)
        return CampaignTotals(
            region_id=region_id,
            campaign_id=campaign_id,
            fired=len(firings),
            in_progress=in_progress,
            staged=staged,
            captured=captured,
            delivered=delivered,
            dropped=tuple(sorted(dropped.items())),
            delivered_clips=len(arrived),
            delivered_bytes=sum(clips[clip_id].size_bytes for clip_id in arrived),
        )


def _check(judged: JudgedFiring, clips: Mapping[str, ClipRow]) -> None:
    if (judged.clip_id is None) == (judged.drop is None):
        raise JournalError(f"firing {judged.firing_id}: needs exactly one of clip_id and drop")
    if judged.clip_id is None:
        return
    row = clips.get(judged.clip_id)
    if row is None or row.state is not ClipState.STAGED:
        state = "unknown" if row is None else row.state
        raise IllegalMoveError(f"firing {judged.firing_id}: its clip {judged.clip_id} is {state}, not staged")
