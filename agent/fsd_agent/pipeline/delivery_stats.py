"""The delivering loop's numbers, as its parts have them at the end of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from fsd_agent.pipeline.endings import Endings
from fsd_agent.pipeline.lane import Lane
from fsd_agent.pipeline.link import Link
from fsd_agent.records.delivery import DeliveryStats
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.uplink.counts import UplinkCounts

T = TypeVar("T")


def delivery_stats(
    lane: Lane | None,
    link: Link[T],
    counts: UplinkCounts,
    *,
    publishes_refused: int,
    endings: Endings,
    outbox_dropped: int,
    trouble: str,
    waits: Mapping[str, int],
) -> DeliveryStats:
    """``counts`` are those of this route and of all before it; ``lane`` is None on hold."""
    dropped = endings.dropped_clips
    return DeliveryStats(
        region_id=lane.topics.region if lane is not None else "",
        connected=link.connected,
        waiting_clips=len(lane.schedule) if lane is not None else 0,
        in_flight=link.in_flight,
        sent=link.sent,
        acknowledged=link.acknowledged,
        connections=link.connections,
        connection_failures=link.failures,
        brokers_refused=link.refused,
        publishes_refused=publishes_refused,
        delivered_clips=endings.delivered_clips,
        delivered_bytes=endings.delivered_bytes,
        refused_clips=dropped.get(DropReason.REFUSED_BY_REGION, 0),
        damaged_clips=dropped.get(DropReason.SPOOL_DAMAGED, 0),
        bad_receipts=counts.bad_receipts,
        bad_answers=counts.bad_answers,
        stale_answers=counts.stale_answers,
        unknown_clips=counts.unknown_clips,
        answer_timeouts=counts.timeouts,
        outbox_dropped=outbox_dropped,
        trouble=trouble,
        waits=waits,
    )
