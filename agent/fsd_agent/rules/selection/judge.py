"""Is a firing worth a clip? The cheap verdicts, made before anything is captured.

In this order: the firing may be sampled out; then the campaign's clips of the UTC day may be used up; then its
bytes. Sampling comes first so that a sampled campaign draws evenly from the whole day.

Sampling hashes what identifies the firing, so that the same drive gives the same clips on any computer: kept when
the first eight bytes of SHA-256("fsd-sample-1" 0x00 campaign id 0x00 wall time in ns, decimal), as a big-endian
number over 2**64, lie below the ratio.
"""

from __future__ import annotations

import hashlib
from typing import Final

from fsd_agent.records.campaign import Campaign
from fsd_agent.records.firing import Firing
from fsd_agent.records.reasons import DropReason

DAY_NS: Final = 86_400 * 1_000_000_000


def judge(firing: Firing, campaign: Campaign, *, wall_ns: int, usage: tuple[int, int]) -> DropReason | None:
    """Why the firing is dropped, or None when it is kept.

    ``wall_ns`` is Unix time of the firing; ``usage`` is what its campaign has used of that UTC day: firings kept,
    and bytes of their clips.
    """
    if campaign.sample_ratio < 1 and sample_draw(firing.campaign_id, wall_ns) >= campaign.sample_ratio:
        return DropReason.SAMPLED_OUT
    clips, used_bytes = usage
    budget = campaign.budget
    if budget.clips_per_day is not None and clips >= budget.clips_per_day:
        return DropReason.BUDGET_CLIPS
    if budget.bytes_per_day is not None and used_bytes >= budget.bytes_per_day:
        return DropReason.BUDGET_BYTES
    return None


def sample_draw(campaign_id: str, wall_ns: int) -> float:
    """A number in [0, 1) that only this firing gets."""
    text = f"fsd-sample-1\0{campaign_id}\0{wall_ns}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def day_start_wall_ns(wall_ns: int) -> int:
    """Unix time at which the UTC day of ``wall_ns`` began."""
    return wall_ns // DAY_NS * DAY_NS
