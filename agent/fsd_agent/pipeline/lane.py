"""Everything that the delivering loop has for one route; made anew when the route changes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Self

from fsd_agent.pipeline.sealed_files import FileAsyncFiles, SealedFiles
from fsd_agent.pipeline.sent import SentBook
from fsd_agent.ports.broker import Message
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.journal import Journal, StateStore
from fsd_agent.ports.spool import SpoolStore
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.link_rule import Admits
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Route, TransferProfile
from fsd_agent.rules.uplink.schedule import Schedule
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.wire.file_async import decode_result, response_topic
from fsd_agent.wire.transfer import Topics, TransferError, UpKind

CLIPS_AT_ONCE = 256
"""Sealed clips held in memory, beside those that get nowhere; the journal gives the best ones first."""


@dataclass(frozen=True, slots=True)
class Lane:
    """See the module."""

    route: Route
    topics: Topics
    schedule: Schedule
    files: SealedFiles
    sent: SentBook | None
    """The segment journal, where clips go by the file convention."""

    @classmethod
    def open(
        cls,
        route: Route,
        spool: SpoolStore,
        limits: UplinkLimits,
        first_ask: int,
        *,
        state: StateStore,
        clock: Clock,
        beside: Executor,
        done: Callable[[], None],
    ) -> Self:
        """A lane that knows of no clip yet; the last two are those of :class:`.sealed_files.SealedFiles`."""
        topics = Topics(route.policy.region_id, route.registration.vehicle)
        region = spool.region(topics.region)
        if route.policy.transfer is TransferProfile.VEHICLE_TOPICS:
            files = SealedFiles(region, topics, beside, done, limits.segment_bytes)
            return cls(route, topics, Schedule(route, limits, first_ask), files, None)
        sent = SentBook(state, topics.region, clock, limits)
        schedule = Schedule(route, limits, first_ask, sent.begin)
        return cls(
            route,
            topics,
            schedule,
            FileAsyncFiles(region, topics, beside, done, limits.segment_bytes),
            sent,
        )

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """What the vehicle listens to."""
        own = self.topics.subscriptions
        return own if self.sent is None else (*own, response_topic(self.topics.vehicle))

    def keep_sent(self, *, at_once: bool = False) -> None:
        """Write the segment journal, if it is time to. Raises ``JournalError``."""
        if self.sent is not None:
            self.sent.keep(self.schedule.known, at_once=at_once)

    def heard_result(self, message: Message, now_ns: int, random: float) -> bool:
        """Take what a server of the file convention says of a command; False when the message is none of that."""
        if self.sent is None or message.topic != response_topic(self.topics.vehicle):
            return False
        try:
            command, result = decode_result(message.payload)
        except TransferError:
            self.schedule.counts.bad_answers += 1
            return True
        failed = result.reason_code != 0
        whole = not failed and command.kind is UpKind.FIN
        self.schedule.result(command.clip_id, failed=failed, whole=whole, now_ns=now_ns, random=random)
        return True

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
