"""Everything that the delivering loop has for one route; made anew when the route changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fsd_agent.pipeline.sealed_files import SealedFiles
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.spool import SpoolStore
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.link_rule import Admits
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Route
from fsd_agent.rules.uplink.schedule import Schedule
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.wire.transfer import Topics

CLIPS_AT_ONCE = 256
"""Sealed clips held in memory, beside those that get nowhere; the journal gives the best ones first."""


@dataclass(frozen=True, slots=True)
class Lane:
    """See the module."""

    route: Route
    topics: Topics
    schedule: Schedule
    files: SealedFiles

    @classmethod
    def open(cls, route: Route, spool: SpoolStore, limits: UplinkLimits, first_ask: int) -> Self:
        """A lane that knows of no clip yet."""
        topics = Topics(route.policy.region_id, route.registration.vehicle)
        return cls(
            route,
            topics,
            Schedule(route, limits, first_ask),
            SealedFiles(spool.region(topics.region), topics),
        )

    def refresh(self, journal: Journal, in_force: frozenset[Purpose], admits: Admits) -> None:
        """Take over the journal's sealed clips of this region, of these purposes, that may go. Raises ``JournalError``.

        What was asked about may not go any more, and is kept: its receipt may be on the way.
        """
        wanted = CLIPS_AT_ONCE + self.schedule.failing
        rows = _sealed(journal, self.topics.region, in_force, admits, wanted)
        for clip_id in self.schedule.asked - {row.clip_id for row in rows}:
            row = journal.clip(clip_id)
            if row is not None and row.state is ClipState.SEALED and row.purpose in in_force:
                rows.append(row)
        self.schedule.update(rows)


def _sealed(
    journal: Journal, region_id: str, in_force: frozenset[Purpose], admits: Admits, wanted: int
) -> list[ClipRow]:
    """The best clips of this region and of these purposes; looks deeper while others are in the way."""
    limit = wanted
    while True:
        rows = journal.clips({ClipState.SEALED}, limit=limit, admits=admits)
        mine = [row for row in rows if row.region_id == region_id and row.purpose in in_force]
        if len(rows) < limit or len(mine) >= wanted:
            return mine[:wanted]
        limit *= 4
