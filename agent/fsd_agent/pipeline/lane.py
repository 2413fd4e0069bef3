"""Everything that the delivering loop has for one route; made anew when the route changes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Self

from fsd_agent.pipeline.sealed_files import SealedFiles
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.spool import SpoolStore
from fsd_agent.records.clip import ClipRow, ClipState
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
    def open(
        cls,
        route: Route,
        spool: SpoolStore,
        limits: UplinkLimits,
        first_ask: int,
        *,
        beside: Executor,
        done: Callable[[], None],
    ) -> Self:
        """A lane that knows of no clip yet; ``beside`` and ``done`` are those of :class:`.sealed_files.SealedFiles`."""
        topics = Topics(route.policy.region_id, route.registration.vehicle)
        return cls(
            route,
            topics,
            Schedule(route, limits, first_ask),
            SealedFiles(spool.region(topics.region), topics, beside, done),
        )

    def refresh(self, journal: Journal, in_force: frozenset[Purpose]) -> None:
        """Take over the journal's sealed clips of this region and of these purposes. Raises ``JournalError``."""
        wanted = CLIPS_AT_ONCE + self.schedule.failing
        self.schedule.update(_sealed(journal, self.topics.region, in_force, wanted))


def _sealed(journal: Journal, region_id: str, in_force: frozenset[Purpose], wanted: int) -> list[ClipRow]:
    """The best clips of this region and of these purposes; looks deeper while others are in the way."""
    limit = wanted
    while True:
        rows = journal.clips({ClipState.SEALED}, limit=limit)
        mine = [row for row in rows if row.region_id == region_id and row.purpose in in_force]
        if len(rows) < limit or len(mine) >= wanted:
            return mine[:wanted]
        limit *= 4
