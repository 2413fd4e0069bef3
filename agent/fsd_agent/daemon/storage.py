"""``[storage]`` of the configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsd_agent.pipeline.room import RoomPolicy
from fsd_agent.records.campaign import LIMITS
from fsd_agent.records.room import Amount
from fsd_agent.rules.spool.evict import Quotas
from fsd_agent.rules.spool.headroom import headroom_limits

Positive = Annotated[int, msgspec.Meta(gt=0)]
RegionId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]

RESERVE_PARTS = 16
"""The reserve is given up in as many parts: each frees an inode, too."""


class RegionQuota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one region's clips may take; what is left out is bounded by the quota of all."""

    quota_bytes: Positive | None = None
    quota_files: Positive | None = None


class StorageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the journal, staging and the spool live, and how much of the disk they may take; see docs/spool.md, "Room"."""

    dir: str
    quota_bytes: Positive = 20_000_000_000
    """Of all clips together, staged and sealed."""
    quota_files: Annotated[int, msgspec.Meta(gt=0, le=50_000)] = 50_000
    """More than that no start was measured with, and the ledger's checkpoints would not hold."""
    regions: dict[RegionId, RegionQuota] = {}
    reserve_bytes: Annotated[int, msgspec.Meta(ge=RESERVE_PARTS * 4096)] = 64_000_000
    """Kept for events in progress. One event stages what the ring holds at once (``ring_max_bytes``), and then its rest."""
    free_bytes: Positive = 64_000_000
    """To be free beside the reserve; with less, clips go."""
    free_files: Positive = 256
    slow_ms: Positive = 1_000
    """A disk is slow when small durable writes take longer than this."""
    scarce_priority: Annotated[int, msgspec.Meta(ge=-LIMITS.priority, le=LIMITS.priority + 1)] = 50
    """Firings of a lower priority are the first that are not taken when room is scarce or the disk is slow."""

    scrub_bytes_per_s: Positive = 4_000_000
    """At most this is read to look for damage."""

    def quotas(self) -> Quotas:
        """As the rule takes them."""
        return Quotas(
            Amount(self.quota_bytes, self.quota_files),
            {
                region_id: Amount(one.quota_bytes or self.quota_bytes, one.quota_files or self.quota_files)
                for region_id, one in self.regions.items()
            },
        )

    def policy(self) -> RoomPolicy:
        """As room is kept by it."""
        reserve = Amount(self.reserve_bytes, RESERVE_PARTS)
        free = Amount(self.free_bytes, self.free_files)
        return RoomPolicy(
            quotas=self.quotas(),
            limits=headroom_limits(reserve, free, slow_ns=self.slow_ms * 1_000_000),
            spare=free.share(1, 2),
            scarce_priority=self.scarce_priority,
        )
