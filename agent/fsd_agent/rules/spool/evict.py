"""What goes to make room: the least valuable clips, in one order, each with its reason.

The order. The lowest priority first, of those what is not urgent, of those the lowest value, of those the oldest. A clip that was
not valued yet comes after those that were: it waits for that, and may be the best. It is the same for every bound:

| exceeded | whose clips go | reason |
| --- | --- | --- |
| a region's clips take more than its quota | that region's | ``quota_region`` |
| all clips together take more than the quota of all | any | ``quota_spool`` |
| the disk has less room than an event in progress may need | any | ``disk_needed`` |

The bounds are asked in this order, and what one of them made go counts for the next. A clip goes only where that brings
a bound nearer to being kept, in bytes or in files, and no more go than it takes.

What never goes: a clip whose event is still in progress, one that is being sent, and one that has come to its end. So the
newest is never refused: it is taken first, and what goes for it is older or worth less. Later it may itself be the least.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fsd_agent.records.clip import ClipState
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.room import NOTHING, Amount

EVICTABLE: frozenset[ClipState] = frozenset({ClipState.CAPTURED, ClipState.SEALED})


@dataclass(frozen=True, slots=True)
class OnBoard:
    """One clip, as far as its worth and its weight go."""

    clip_id: str
    region_id: str
    state: ClipState
    priority: int
    value: float | None
    """Among clips of one priority, 0 to 1; larger is worth more. None: not valued yet."""
    takes: Amount
    """What is free once it is gone."""
    is_sending: bool
    is_urgent: bool
    """Its campaigns want it sent before others; of one priority it goes after those."""

    @property
    def place(self) -> tuple[int, bool, float]:
        """Sorts clips: what goes first has the smallest; of equal ones the oldest goes first."""
        return self.priority, self.is_urgent, math.inf if self.value is None else self.value

    def describe(self) -> str:
        """Why it was this one's turn, for people."""
        valued = "not valued yet" if self.value is None else f"value {self.value:.3f}"
        return f"{'urgent, ' if self.is_urgent else ''}priority {self.priority}, {valued}"


@dataclass(frozen=True, slots=True)
class Quotas:
    """What clips may take."""

    everything: Amount
    regions: Mapping[str, Amount] = field(default_factory=dict)
    """A region that is not named may have everything."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One exceeded bound."""

    reason: DropReason
    region_id: str
    """Whose clips go; empty for any."""
    over: Amount

    def describe(self) -> str:
        """One line for people."""
        much = f"{self.over.size_bytes} bytes and {self.over.files} files"
        if self.reason is DropReason.QUOTA_REGION:
            return f"region {self.region_id} has {much} more than its quota"
        if self.reason is DropReason.QUOTA_SPOOL:
            return f"all regions have {much} more than their quota together"
        return f"the disk lacks {much} of what an event in progress may need"


@dataclass(frozen=True, slots=True)
class Eviction:
    """Give this clip up."""

    clip_id: str
    state: ClipState
    reason: DropReason
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What goes, in this order."""

    evictions: tuple[Eviction, ...]
    unmet: tuple[Shortfall, ...]
    """What is still exceeded once all of it is gone: there was nothing else that may go."""


def shortfalls(held: Mapping[str, Amount], quotas: Quotas, disk_lacks: Amount) -> tuple[Shortfall, ...]:
    """Bounds that are exceeded, in the order in which they are asked.

    ``held``: what each region's clips take on the disk, whatever their state. ``disk_lacks``: as
    :func:`.headroom.lacks` says.
    """
    found = [
        Shortfall(DropReason.QUOTA_REGION, region_id, held[region_id].beyond(quotas.regions[region_id]))
        for region_id in sorted(held)
        if region_id in quotas.regions
    ]
    total = NOTHING
    for one in held.values():
        total = total.plus(one)
    found.append(Shortfall(DropReason.QUOTA_SPOOL, "", total.beyond(quotas.everything)))
    found.append(Shortfall(DropReason.DISK_NEEDED, "", disk_lacks))
    return tuple(one for one in found if one.over != NOTHING)


def evict(clips: Sequence[OnBoard], exceeded: Sequence[Shortfall]) -> Decision:
    """Decide what goes; see the module.

    ``clips``: oldest first among those that are equal else. They need not be all clips, but then they must be
    those that come first in the order; where the decision has something ``unmet``, more of them are to be asked for.
    """
    order = sorted(
        (clip for clip in clips if clip.state in EVICTABLE and not clip.is_sending),
        key=lambda clip: clip.place,
    )
    gone: dict[str, Eviction] = {}
    unmet: list[Shortfall] = []
    for short in exceeded:
        candidates = [clip for clip in order if short.region_id in {"", clip.region_id}]
        left = short.over
        for clip in candidates:
            if clip.clip_id in gone:
                left = left.beyond(clip.takes)
        for clip in candidates:
            less = left.beyond(clip.takes)
            if clip.clip_id not in gone and less != left:
                why = f"{short.describe()}; its turn: {clip.describe()}"
                gone[clip.clip_id] = Eviction(clip.clip_id, clip.state, short.reason, why)
                left = less
        if left != NOTHING:
            unmet.append(Shortfall(short.reason, short.region_id, left))
    return Decision(tuple(gone.values()), tuple(unmet))
