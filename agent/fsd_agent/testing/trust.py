"""What a vehicle trusts, in memory; everything may be changed while the agent runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from fsd_agent.ports.trust_store import LaidPolicy, TrustError
from fsd_agent.testing.regions import AUTHORITY_KEY, SampleRegion
from fsd_agent.wire.envelope import public_key_of


class MemoryTrust:
    """Implements :class:`fsd_agent.ports.trust_store.TrustStore`."""

    def __init__(self) -> None:
        self.keys: tuple[bytes, ...] = (public_key_of(AUTHORITY_KEY),)
        """Of registration authorities; none is as good as a file that is missing."""
        self.pinned: dict[str, bytes | TrustError] = {}
        self.laid: dict[str, LaidPolicy | TrustError] = {}

    @classmethod
    def of(cls, *regions: SampleRegion) -> Self:
        """Enrolled with these regions."""
        made = cls()
        for region in regions:
            made.enrol(region)
        return made

    def enrol(self, region: SampleRegion) -> None:
        """Pin the region's root, and lay down its policy as it is now."""
        region_id = region.policy.region_id
        self.pinned[region_id] = public_key_of(region.root_key)
        self.lay(region_id, region.signed())

    def lay(self, region_id: str, signed: bytes) -> None:
        """Lay down anything as a region's policy."""
        self.laid[region_id] = LaidPolicy(f"policies/{region_id}.signed", signed)

    def authorities(self) -> tuple[bytes, ...]:
        """See the port."""
        if not self.keys:
            raise TrustError("trust/registration.pub: can't be read: No such file or directory")
        return self.keys

    def roots(self) -> Mapping[str, bytes | TrustError]:
        """See the port."""
        return dict(self.pinned)

    def policies(self) -> Mapping[str, LaidPolicy | TrustError]:
        """See the port."""
        return dict(self.laid)
