"""Which sealed clips give way to a new one: the least valuable, and never one that is being sent.

A new clip of ``need_bytes`` fits when its region's clips stay within ``quota_bytes`` and the volume keeps
``reserve_bytes`` free: the reserve belongs to staging and the journal, so that a full spool can't lose an event
in progress. The newest is never refused for the sake of older ones: lowest priority goes first, and within a
priority the oldest. Only clips of the same region are weighed for its quota, and only they are evicted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fsd_agent.records.clip import ClipRow, ClipState


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """What the spool may take."""

    quota_bytes: int
    """Of one region's sealed clips together."""
    reserve_bytes: int
    """Kept free on the volume for staging and the journal."""


@dataclass(frozen=True, slots=True)
class Eviction:
    """What to drop (reason EVICTED) and erase before the put, in this order."""

    clips: tuple[ClipRow, ...]
    fits: bool
    """False when it does not fit even then; nothing is evicted in vain, so ``clips`` is empty."""
    why: str
    """One line; the detail of each drop, or why it does not fit."""


def evict(
    sealed: Iterable[ClipRow],
    *,
    need_bytes: int,
    free_bytes: int,
    limits: SpoolLimits,
    sending: frozenset[str],
) -> Eviction:
    """Make room for ``need_bytes``.

    ``sealed``: this region's clips in SEALED, by priority (highest first), then oldest first, as the journal
    gives them. ``free_bytes``: what the volume can take now. ``sending``: clip ids with a transfer under way.
    """
    rows = [row for row in sealed if row.state is ClipState.SEALED]
    over_quota = sum(row.size_bytes for row in rows) + need_bytes - limits.quota_bytes
    over_volume = need_bytes + limits.reserve_bytes - free_bytes
    to_free = max(over_quota, over_volume)
    limit = "quota" if over_quota >= over_volume else "reserve"
    if to_free <= 0:
        return Eviction((), fits=True, why="there is room")
    if need_bytes > limits.quota_bytes:
        why = f"{need_bytes} bytes are more than the whole quota of {limits.quota_bytes}"
        return Eviction((), fits=False, why=why)
    going: list[ClipRow] = []
    freed = 0
    for row in sorted(rows, key=lambda row: row.priority):  # stable: oldest first within a priority
        if freed >= to_free:
            break
        if row.clip_id not in sending:
            going.append(row)
            freed += row.size_bytes
    if freed < to_free:
        why = f"{to_free} bytes over the {limit}, only {freed} could be freed; the rest is being sent"
        return Eviction((), fits=False, why=why)
    return Eviction(tuple(going), fits=True, why=f"made room: {to_free} bytes over the {limit}")
