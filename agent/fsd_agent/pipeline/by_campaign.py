"""What the campaigns of a clip ask for together, and what became of their clips, counted for the status.

Threads: any.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from enum import StrEnum
from typing import Final

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.clip import Clip
from fsd_agent.records.selection_rule import KEEPS_ALL, SelectionRule, mildest

TOLD_MOST: Final = 50
"""Campaigns of a region that are told of, those that were counted most: a status is bounded."""


def campaigns_of(clip: Clip) -> frozenset[str]:
    """Ids of those whose firings made it."""
    return frozenset(judged.firing.campaign_id for judged in clip.firings)


def selection_of(clip: Clip, in_force: CampaignSet | None) -> tuple[SelectionRule, bool]:
    """The rule of all its campaigns together, and whether all of them are in force: one that is not lets nothing go."""
    rules = {one.id: one.selection for one in in_force.campaigns} if in_force is not None else {}
    asked = campaigns_of(clip)
    return mildest(rules.get(one, KEEPS_ALL) for one in asked), asked <= rules.keys()


class CountsByCampaign:
    """Clips by region, campaign and what became of them; each clip once, however often it is tried."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, Counter[str]]] = {}
        """By region and campaign."""
        self._counted: deque[tuple[str, StrEnum]] = deque(maxlen=64)
        """What was counted last: a clip that is tried again is not counted again."""

    def count(self, clip: Clip, what: StrEnum) -> None:
        """Once for each campaign of the clip."""
        with self._lock:
            if (clip.row.clip_id, what) in self._counted:
                return
            self._counted.append((clip.row.clip_id, what))
            campaigns = self._counts.setdefault(clip.row.region_id, {})
            for campaign in campaigns_of(clip):
                campaigns.setdefault(campaign, Counter())[str(what)] += 1

    def of_region(self, region_id: str) -> dict[str, dict[str, int]]:
        """By campaign, the most counted ones."""
        with self._lock:
            found = sorted(self._counts.get(region_id, {}).items(), key=lambda one: (-one[1].total(), one[0]))
            return {campaign: dict(counts) for campaign, counts in found[:TOLD_MOST]}
