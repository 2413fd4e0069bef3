"""Builds the status message from the journal and the loops.

A region is told of its own campaigns and clips alone, also where the vehicle belonged to another one before. A trouble that
names another region's folder, or a clip that is not this region's, is told to it as :data:`ELSEWHERE`.

Threads: one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from fsd_agent import __version__
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.video_work import VideoWork
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.journal import CampaignTotals, Journal, Level
from fsd_agent.records.clip import ClipState
from fsd_agent.records.delivery import BytesSent
from fsd_agent.records.region import Route
from fsd_agent.records.status import CampaignStatus, Fault, HoldSpan, ProcessUse, SpoolLevel, Status
from fsd_agent.wire.versions import WIRE_VERSIONS

ELSEWHERE = "a fault that is not about this region's clips: the vehicle's own status has it"
_CLIP_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


class Faults(Protocol):
    """What went wrong lately, as far as a region may know."""

    def of_region(self, region_id: str, region_of: Callable[[str], str | None]) -> tuple[Fault, ...]:
        """See ``pipeline.faults``."""
        ...


class Teller:
    """See the module."""

    def __init__(
        self,
        *,
        journal: Journal,
        control: Control,
        refused_policies: Callable[[], Mapping[str, str]],
        clock: Clock,
        lost: Callable[[], Mapping[str, int]],
        suspended: Callable[[], Mapping[str, str]],
        use: Callable[[], ProcessUse],
        trouble: Callable[[], str],
        head: Callable[[], bytes],
        holds: Callable[[Route], tuple[HoldSpan, ...]],
        certificate_until_ns: Callable[[str], int],
        faults: Faults,
        sent: Callable[[], tuple[BytesSent, ...]],
        models: tuple[str, ...],
        every_s: float,
        video: VideoWork,
        waits: Callable[[str], Mapping[str, int]] = lambda _region_id: {},
        unjudged: Callable[[str], Mapping[str, dict[str, int]]] = lambda _region_id: {},
        kept: Callable[[str], Mapping[str, dict[str, int]]] = lambda _region_id: {},
    ) -> None:
        """``waits`` says of a region how many of its clips may not be sent now, by reason.

        ``unjudged`` says of it how many were kept because a verdict could not be had, by campaign and verdict;
        ``kept`` how many were cut to their best seconds, or why not.
        """
        self._journal = journal
        self._control = control
        self._refused_policies = refused_policies
        self._clock = clock
        self._lost = lost
        self._suspended = suspended
        self._use = use
        self._trouble = trouble
        self._head = head
        self._holds = holds
        self._certificate_until_ns = certificate_until_ns
        self._faults = faults
        self._sent = sent
        self._models = models
        self._every_s = every_s
        self._video = video
        self._waits = waits
        self._unjudged = unjudged
        self._kept = kept

    def status(self, where: Route) -> Status:
        """This moment, for the region of ``where``. Raises ``JournalError``."""
        region_id = where.policy.region_id
        in_force, known = self._control.in_force(region_id), self._control.known(region_id)
        on_board = self._journal.levels()
        levels = [one for one in on_board if one.region_id == region_id]
        others = {one.region_id for one in on_board} - {region_id}
        head = self._head()  # First: where it fails, that is the trouble that is told
        return Status(
            vehicle=where.registration.vehicle,
            region=region_id,
            registration_serial=where.registration.serial,
            policy_version=where.policy.version,
            wall_ns=self._clock.wall_ns(),
            agent_version=__version__,
            campaign_set=in_force.version if in_force is not None else 0,
            campaigns=tuple(
                _campaign(one)
                for one in self._journal.totals()
                if one.region_id == region_id and one.campaign_id in known
            ),
            suspended=dict(self._suspended()),
            refused_push=self._control.refused(region_id),
            refused_policy=self._refused_policies().get(region_id, ""),
            spool=spool_levels(levels),
            lost=dict(self._lost()) | {"firings_never_told": self._journal.never_told(region_id)},
            use=self._use(),
            trouble=self._told(self._trouble(), region_id, others),
            ledger_head=head,
            holds=self._holds(where),
            certificate_until_wall_ns=self._certificate_until_ns(region_id),
            every_s=self._every_s,
            sent_bytes=sum(one.bytes for one in self._sent() if one.region_id == region_id),
            faults=self._faults.of_region(region_id, self._region_of),
            wire=dict(WIRE_VERSIONS),
            models=self._models,
            waits=dict(self._waits(region_id)),
            unjudged=dict(self._unjudged(region_id)),
            kept=dict(self._kept(region_id)),
            until_parked=self._until_parked(levels),
        )

    def _until_parked(self, levels: Iterable[Level]) -> bool:
        """Of a region's own clips alone: where none waits for it, whether somebody drives is not the region's to know."""
        captured = any(one.state is ClipState.CAPTURED and one.clips for one in levels)
        return captured and not self._video.may()

    def _told(self, trouble: str, region_id: str, others: Collection[str]) -> str:
        """The trouble as this region may know it; ``others`` have clips on board."""
        of_others = any(f"/{other}/" in trouble for other in others)
        if of_others or any(self._region_of(clip_id) != region_id for clip_id in _CLIP_ID.findall(trouble)):
            return ELSEWHERE
        return trouble

    def _region_of(self, clip_id: str) -> str | None:
        row = self._journal.clip(clip_id)
        return None if row is None else row.region_id


def spool_levels(levels: Iterable[Level]) -> dict[str, SpoolLevel]:
    """One region's levels by state, as they are told."""
    return {str(one.state): SpoolLevel(one.clips, one.size_bytes, one.oldest_wall_ns) for one in levels}


def _campaign(totals: CampaignTotals) -> CampaignStatus:
    return CampaignStatus(
        id=totals.campaign_id,
        fired=totals.fired,
        staged=totals.staged,
        captured=totals.captured,
        sealed=totals.sealed,
        delivered=totals.delivered,
        dropped={str(reason): count for reason, count in totals.dropped},
        delivered_clips=totals.delivered_clips,
        delivered_bytes=totals.delivered_bytes,
    )
