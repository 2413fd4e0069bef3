"""What a vehicle says of itself: the retained status message, and where an operator looks first."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """One campaign's account since the journal began; counts are firings."""

    id: str
    fired: int
    in_progress: int
    delivered: int
    dropped: dict[str, int]
    """By :class:`~fsd_agent.records.reasons.DropReason`."""
    delivered_clips: int
    delivered_bytes: int


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What the agent takes of the driving computer."""

    cpu_s: float
    """CPU time since it started, all threads."""
    resident_bytes: int
    threads: int


@dataclass(frozen=True, slots=True)
class HoldSpan:
    """A time in which the vehicle belonged nowhere, for one reason; see ``rules.residency.holds``."""

    reason: str
    """A :class:`~fsd_agent.records.region.HoldReason`."""
    since_wall_ns: int
    until_wall_ns: int
    """0 while it lasts."""
    held_ns: int
    """Time that the agent ran and held."""


@dataclass(frozen=True, slots=True)
class Status:
    """One moment of one vehicle."""

    vehicle: str
    region: str
    registration_serial: int
    policy_version: int
    wall_ns: int
    agent_version: str
    campaign_set: int
    """Version in force; 0 for none."""
    campaigns: tuple[CampaignStatus, ...]
    suspended: dict[str, str]
    """Campaigns that can't be evaluated, with the reason."""
    refused_push: str
    """Why the newest push was refused; empty when it was not."""
    refused_policy: str
    """Why the region's policy that was laid down is not in force; empty when it is."""
    clips: dict[str, int]
    """Clips by state."""
    lost: dict[str, int]
    """Input dropped by bounded queues and damaged sources, by name."""
    use: ProcessUse
    trouble: str
    """The newest fault that a person should look at; empty when there is none."""
    ledger_head: bytes = b""
    """Size and Merkle root of the ledger, signed by the device (``wire.ledger.decode_head``); empty where it can't be
    written to."""
    holds: tuple[HoldSpan, ...] = ()
    """The newest times on hold, the newest last: what could be told to nobody while it lasted."""
    certificate_until_wall_ns: int = 0
    """Until when the vehicle's certificate for this region is valid; 0 where that can't be told."""
    waits: dict[str, int] = field(default_factory=dict)
    """Sealed clips that may not be sent now, by :class:`~fsd_agent.records.reasons.Waits`."""
