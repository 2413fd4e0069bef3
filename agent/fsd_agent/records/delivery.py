"""What the delivering loop did, as one frozen picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BytesSent:
    """Payload given to one broker connection's socket, counted at publish, repeats included."""

    region_id: str
    host: str
    port: int
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DeliveryStats:
    """Since the loop was made."""

    region_id: str
    """Where it sends; empty on hold."""
    connected: bool
    waiting_clips: int
    """Sealed clips of this region that have no receipt yet and may be sent now."""
    in_flight: int
    """Publishes the broker has not acknowledged."""
    sent: tuple[BytesSent, ...]
    acknowledged: int
    connections: int
    connection_failures: int
    """Attempts that failed and connections that were lost."""
    brokers_refused: int
    """Of those: the peer was not this region's broker, or refused this vehicle."""
    publishes_refused: int
    """By the broker's rules."""
    delivered_clips: int
    delivered_bytes: int
    refused_clips: int
    damaged_clips: int
    bad_receipts: int
    """Receipts and refusals that were not for their clip, or not signed by the region. They changed nothing."""
    bad_answers: int
    stale_answers: int
    unknown_clips: int
    """Answers about clips that do not (or no longer) wait here."""
    answer_timeouts: int
    outbox_dropped: int
    trouble: str
    """The newest fault, empty before the first."""
    waits: Mapping[str, int] = field(default_factory=dict)
    """Sealed clips of this region that may not be sent now, by :class:`~fsd_agent.records.reasons.Waits`."""
