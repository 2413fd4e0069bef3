"""What the agent writes down of itself on the vehicle, for whoever stands beside it: also where no region can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

from fsd_agent.records.status import Fault, HoldSpan, ProcessUse, SpoolLevel


@dataclass(frozen=True, slots=True)
class Belongs:
    """Where the vehicle belongs, or why it holds: then ``region`` is empty."""

    region: str
    vehicle: str
    jurisdiction: str
    serial: int
    policy_version: int
    hold_reason: str
    hold_detail: str


@dataclass(frozen=True, slots=True)
class Uplink:
    """The connection; of this run but for the time."""

    region: str
    """Where it sends; empty on hold."""
    connected: bool
    last_connected_wall_ns: int
    """When it was last seen up, also by an earlier run; 0 for never."""
    failures: int
    refused: int
    """Of those: the peer was not this region's broker, or refused this vehicle."""
    delivered_clips: int
    sent_bytes: int = 0
    """Payload given to brokers, repeats included."""
    waits: dict[str, int] = field(default_factory=dict)
    """Sealed clips that may not be sent now, by :class:`~fsd_agent.records.reasons.Waits`."""


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """One moment of one agent."""

    wall_ns: int
    mono_ns: int
    """Monotonic, of the computer: with ``boot_id`` it tells the age whatever the wall clock did."""
    boot_id: str
    every_s: float
    """The next one comes after this long."""
    ended: str
    """How the agent ended; empty while it runs."""
    agent_version: str
    belongs: Belongs
    policies: dict[str, int]
    """Versions in force, by region."""
    refused_policies: dict[str, str]
    """Why what is laid down for a region is not in force."""
    uplink: Uplink
    holds: tuple[HoldSpan, ...]
    ledger_head: bytes
    """As in the status message; empty where the ledger can't be written to."""
    trouble: str
    """The newest fault that a person should look at."""
    use: ProcessUse
    spool: dict[str, dict[str, SpoolLevel]] = field(default_factory=dict)
    """What is on board, by region and state; empty also where the journal can't be read."""
    fired: int = 0
    """Firings since the journal began, of all campaigns."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Of those: dropped, by reason."""
    faults: tuple[Fault, ...] = ()
    """The newest, the newest last."""
    models: tuple[str, ...] = ()
    """Model packages in use, ``name@version``."""
    until_parked: bool = False
    """Captured clips are not looked at, painted and encoded before the car is parked (``pipeline.video_work``)."""
    valued: dict[str, int] = field(default_factory=dict)
    """Clips valued by this run, by :class:`~fsd_agent.records.worth.Valued`."""
