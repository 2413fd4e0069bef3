"""What a vehicle says of itself: the retained status message, and where an operator looks first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class CampaignStatus(NamedTuple):
    """One campaign's account since the journal began; counts are firings. A tuple, because there may be hundreds."""

    id: str
    fired: int
    staged: int
    """Its clip's window is open."""
    captured: int
    """Waiting for redaction and sealing."""
    sealed: int
    """Waiting for delivery."""
    delivered: int
    dropped: dict[str, int]
    """By :class:`~fsd_agent.records.reasons.DropReason`."""
    delivered_clips: int
    delivered_bytes: int

    @property
    def in_progress(self) -> int:
        """On board, at any stage."""
        return self.staged + self.captured + self.sealed


@dataclass(frozen=True, slots=True)
class SpoolLevel:
    """Clips of one region in one state that are on board."""

    clips: int
    bytes: int
    """Of their sealed files; what is not sealed yet has none."""
    oldest_wall_ns: int
    """When the first of their windows began, by the clock of its time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong lately, and how often in a row."""

    wall_ns: int
    """When it did last."""
    where: str
    """Name of the event that told of it (``docs/architecture.md``, "Events")."""
    what: str
    """Empty where it may be told on the vehicle alone."""
    times: int = 1


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
    spool: Mapping[str, SpoolLevel]
    """What is on board of this region, by state."""
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
    every_s: float = 0.0
    """The next status comes after this long, as long as there is a connection; 0 where that is not told."""
    sent_bytes: int = 0
    """Payload given to this region's brokers by this run, repeats included."""
    faults: tuple[Fault, ...] = ()
    """The newest, the newest last."""
    wire: Mapping[str, int] = field(default_factory=dict)
    """Versions of what the agent writes and reads, by name."""
    models: tuple[str, ...] = ()
    """Model packages in use, ``name@version``."""
    campaigns_left_out: int = 0
    """Of those that fired: for which there was no room; they fired less often than those in ``campaigns``."""
    unjudged: dict[str, dict[str, int]] = field(default_factory=dict)
    """Clips that this run kept because a verdict on them could not be had, by campaign and verdict
    (``pipeline.select.Asked``)."""
    kept: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of campaigns that keep no more than some seconds of a clip: this run's clips, by campaign and what became of them
    (``pipeline.keep.Outcome``)."""
    until_parked: bool = False
    """There are captured clips of this region, which are not looked at, painted and encoded before the car is parked
    (``pipeline.video_work``). Without one it is false, whether somebody drives or not."""
