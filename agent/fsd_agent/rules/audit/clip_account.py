"""One clip's account, as it is filled from a ledger, and what is known of the regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from fsd_agent.records.clip import ExpiredClip
from fsd_agent.records.ledger import Cause, Copy, Dropped, LiveClip, Receipted, Redacted, Sealed, Sent
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason


@dataclass(frozen=True, slots=True)
class AtRegion:
    """A clip that a region holds."""

    vehicle: str
    sha256: bytes
    source: str
    """The region's file that says so."""


@dataclass(frozen=True, slots=True)
class GoneAtRegion:
    """A region's word that it has removed a clip because its retention was over; not verified."""

    signed: bytes
    held: AtRegion


@dataclass(frozen=True, slots=True)
class RegionView:
    """What is known of one region, from its policy and its store."""

    region_id: str
    identity_uri: str
    receipt_public_keys: tuple[bytes, ...]
    clips: Mapping[str, AtRegion]
    """The clips of this vehicle, by id."""
    expired: Mapping[str, GoneAtRegion] = field(default_factory=dict)
    """Clips of this vehicle that it says are over, by id."""


class Where(StrEnum):
    """Where a clip is, by the ledger."""

    ON_VEHICLE = "on the vehicle"
    ON_THE_WAY = "on the vehicle, sent"
    RECEIPTED = "at the region, copy not yet erased"
    DELIVERED = "at the region"
    EXPIRED = "was at the region until its retention was over"
    GIVEN_UP = "given up, not yet erased"
    NOWHERE = "erased"


@dataclass(slots=True)
class ClipAccount:
    """What became of one clip."""

    clip_id: str
    region_id: str
    since: int
    purpose: Purpose | None = None
    """Of its first firing; None where no firing began it."""
    firings: int = 0
    before: LiveClip | None = None
    """What the checkpoint of removed records says of it."""
    redacted: Redacted | None = None
    sealed: Sealed | None = None
    sent: list[Sent] = field(default_factory=list)
    receipted: Receipted | None = None
    receipt_checked: bool = False
    """Whether the receipt was verified with the region's key, and holds."""
    stored_wall_ns: int | None = None
    """As that receipt says."""
    expired: ExpiredClip | None = None
    """The region's word that it removed the clip, once that was verified and holds."""
    dropped: Dropped | None = None
    erased: dict[Copy, Cause] = field(default_factory=dict)
    copies: set[Copy] = field(default_factory=set)
    """On the vehicle."""

    @classmethod
    def going_on(cls, clip: LiveClip) -> Self:
        """A clip that began in records that were removed."""
        copies = {copy for copy, there in ((Copy.STAGED, clip.staged), (Copy.SEALED, clip.sealed)) if there}
        return cls(clip.clip_id, clip.region_id, clip.since, clip.purpose, before=clip, copies=copies)

    @property
    def where(self) -> Where:
        """See :class:`Where`."""
        if self.expired is not None and not self.copies:
            return Where.EXPIRED
        if self.got_receipt:
            return Where.RECEIPTED if self.copies else Where.DELIVERED
        if self.was_dropped:
            return Where.GIVEN_UP if self.copies else Where.NOWHERE
        if self.copies:
            return Where.ON_THE_WAY if self.was_sent else Where.ON_VEHICLE
        return Where.NOWHERE

    @property
    def got_receipt(self) -> bool:
        """A receipt is recorded, also before what is left of the ledger."""
        return self.receipted is not None or (self.before is not None and self.before.receipted)

    @property
    def was_sent(self) -> bool:
        """At least one connection was given it."""
        return bool(self.sent) or (self.before is not None and self.before.sent)

    @property
    def was_dropped(self) -> bool:
        """It was given up."""
        return self.dropped is not None or (self.before is not None and bool(self.before.dropped))

    @property
    def was_withdrawn(self) -> bool:
        """It was given up because its purpose was not consented to any more."""
        reason = (
            self.dropped.reason if self.dropped is not None else self.before.dropped if self.before else ""
        )
        return reason == DropReason.CONSENT_WITHDRAWN

    @property
    def was_redacted(self) -> bool:
        """Before it was sealed."""
        return self.redacted is not None or (self.before is not None and self.before.redacted)

    @property
    def file(self) -> tuple[str, bytes] | None:
        """(vehicle, SHA-256) of the sealed file; None before sealing."""
        if self.sealed is not None:
            return self.sealed.vehicle, self.sealed.sha256
        if self.before is not None and self.before.sha256:
            return self.before.vehicle, self.before.sha256
        return None
