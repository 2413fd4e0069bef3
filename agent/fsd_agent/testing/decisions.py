"""The records of a clip's life, as a vehicle would write them, with real receipts."""

from __future__ import annotations

import hashlib

from fsd_agent.records.clip import Receipt
from fsd_agent.records.ledger import (
    Cause,
    ConsentChanged,
    Copy,
    Dropped,
    Erased,
    Fact,
    Fired,
    FiringDropped,
    FiringSent,
    Receipted,
    Redacted,
    Registered,
    Sealed,
    Sent,
)
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.testing.regions import SampleRegion
from fsd_agent.wire.receipt import encode_receipt

STORED_WALL_NS = 1_800_000_000_000_000_000


def clip_id_of(number: int) -> str:
    """A clip id."""
    return f"{number:032x}"


def sealed_hash(clip_id: str) -> bytes:
    """SHA-256 of the sealed file that the clip of this id is said to have."""
    return hashlib.sha256(f"sealed {clip_id}".encode()).digest()


class Decisions:
    """Facts about clips of one region and one vehicle."""

    def __init__(self, region: SampleRegion, vehicle: str = "car-1") -> None:
        self.region = region
        self.vehicle = vehicle

    @property
    def region_id(self) -> str:
        """Of the region."""
        return self.region.policy.region_id

    def registered(self) -> Registered:
        """The vehicle belongs to the region."""
        return Registered(self.vehicle, self.region.policy.jurisdictions[0], 1, self.region_id, 1)

    def consented(self, purpose: Purpose = Purpose.SAFETY, *, given: bool = True) -> ConsentChanged:
        """The user's word; without it nothing may be collected."""
        return ConsentChanged(purpose, given)

    def fired(self, clip_id: str, firing: int = 0) -> Fired:
        """A firing that the clip is kept for."""
        return Fired(clip_id, self.region_id, Purpose.SAFETY, f"f-{clip_id[-6:]}-{firing}", "crossing", 3)

    def firing_dropped(self, firing: int = 0) -> FiringDropped:
        """A firing that nothing is kept for."""
        return FiringDropped(self.region_id, f"f-{firing}", "crossing", 3, DropReason.BUDGET_CLIPS)

    def firing_sent(self, firing: int = 0) -> FiringSent:
        """The region is told of a firing, over the connection that :meth:`sent` is about."""
        to = self.sent(clip_id_of(0))
        return FiringSent(
            self.region_id,
            Purpose.SAFETY,
            f"f-{firing}",
            "crossing",
            3,
            to.host,
            to.port,
            to.identity_uri,
            to.certificate_sha256,
        )

    def redacted(self, clip_id: str) -> Redacted:
        """Heads and plates are painted."""
        rules = ("faces=head_zone", "plates=plate_band")
        return Redacted(clip_id, self.region_id, rules, ("nanodet_m_416@1",), 240, 17, "coarse:0.05")

    def sealed(self, clip_id: str) -> Sealed:
        """Encrypted to the region."""
        key_id = self.region.policy.sealing_key_id
        return Sealed(clip_id, self.region_id, self.vehicle, 1, 1, key_id, sealed_hash(clip_id), 1000)

    def sent(self, clip_id: str) -> Sent:
        """To the region's endpoint."""
        endpoint = self.region.policy.endpoints[0]
        fingerprint = hashlib.sha256(f"certificate of {self.region_id}".encode()).digest()
        uri = self.region.policy.identity_uri
        return Sent(clip_id, self.region_id, endpoint.host, endpoint.port, uri, fingerprint)

    def receipted(self, clip_id: str, *, signed_for: str = "") -> Receipted:
        """With the region's signature, on request for another clip."""
        about = signed_for or clip_id
        receipt = Receipt(about, self.region_id, self.vehicle, sealed_hash(about), STORED_WALL_NS)
        return Receipted(clip_id, self.region_id, encode_receipt(receipt, self.region.receipt_key))

    def dropped(self, clip_id: str, reason: DropReason = DropReason.REDACTION_FAILED) -> Dropped:
        """Given up."""
        return Dropped(clip_id, self.region_id, reason)

    def erased(self, clip_id: str, copy: Copy, cause: Cause) -> Erased:
        """One copy."""
        return Erased(clip_id, self.region_id, copy, cause)

    def life(self, clip_id: str) -> tuple[Fact, ...]:
        """From the firing to the erasure after the receipt, nine records."""
        return (
            self.fired(clip_id),
            self.fired(clip_id, 1),
            self.redacted(clip_id),
            self.sealed(clip_id),
            self.erased(clip_id, Copy.STAGED, Cause.SEALED),
            self.sent(clip_id),
            self.sent(clip_id),
            self.receipted(clip_id),
            self.erased(clip_id, Copy.SEALED, Cause.RECEIPTED),
        )
