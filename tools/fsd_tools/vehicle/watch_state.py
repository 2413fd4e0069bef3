"""What a watch knows of each vehicle: its newest status, how old that is, and how fast things went lately.

Age. A status that arrived while we watch is as old as the time since, on our own clock. One that the broker had kept is as
old as its own time says, by both wall clocks. A vehicle is silent when it has missed three of its turns, and some.
There is no last will: a message that the broker publishes when a connection breaks would take the place of what the
vehicle has said last, and a vehicle in a tunnel or a garage is not gone.

Rates are over the last minute that we have seen, so there are none before the second status. Counters that begin anew, as
after a restart of the agent, begin a new minute.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from fsd_agent.records.status import Fault, SpoolLevel, Status
from fsd_agent.wire.ledger import LedgerFormatError, decode_head
from fsd_tools.vehicle.local_status import FRESH_MORE_S, FRESH_TIMES

RATE_OVER_S = 60.0
NO_TURN_S = 60.0
"""How long a vehicle may be quiet whose status does not say when the next one comes."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is shown of one status: a region's vehicle, or the vehicle's own file."""

    vehicle: str
    region: str
    """Where it belongs; of its own file also ``hold: <reason>``."""
    wall_ns: int
    every_s: float
    link: str
    """What it says of its connection; empty where having arrived says enough."""
    spool: Mapping[str, SpoolLevel]
    """By state; of the own file all regions together."""
    fired: int
    dropped: Mapping[str, int]
    """Firings, by reason."""
    sent_bytes: int
    ledger_head: bytes
    trouble: str
    faults: tuple[Fault, ...]

    @property
    def records(self) -> int | None:
        """Of the ledger; None where it can't be written to or its head can't be read."""
        if not self.ledger_head:
            return None
        try:
            return decode_head(self.ledger_head).value.size
        except LedgerFormatError:
            return None


def told_by(status: Status) -> Told:
    """A region's view of one vehicle."""
    dropped: Counter[str] = Counter()
    for campaign in status.campaigns:
        dropped.update(campaign.dropped)
    return Told(
        vehicle=status.vehicle,
        region=status.region,
        wall_ns=status.wall_ns,
        every_s=status.every_s,
        link="",
        spool=status.spool,
        fired=sum(one.fired for one in status.campaigns),
        dropped=dropped,
        sent_bytes=status.sent_bytes,
        ledger_head=status.ledger_head,
        trouble=status.trouble or status.refused_push or status.refused_policy,
        faults=status.faults,
    )


@dataclass(slots=True)
class Watched:
    """One vehicle; see the module. Times are seconds on our monotonic clock, but for the vehicle's own wall time."""

    told: Told
    arrived_s: float | None
    """When it arrived while we watched; None for what was there before."""
    _minute: deque[tuple[float, int]] = field(default_factory=deque)
    """(when, bytes sent so far)."""

    def take(self, told: Told, now_s: float) -> None:
        """A newer status arrived."""
        self.told, self.arrived_s = told, now_s
        if self._minute and told.sent_bytes < self._minute[-1][1]:
            self._minute.clear()
        self._minute.append((now_s, told.sent_bytes))
        while len(self._minute) > 2 and self._minute[1][0] <= now_s - RATE_OVER_S:
            self._minute.popleft()

    def age_s(self, now_s: float, now_wall_ns: int) -> float:
        """Of the newest status."""
        if self.arrived_s is not None:
            return now_s - self.arrived_s
        return max(0, now_wall_ns - self.told.wall_ns) / 1e9

    def is_silent(self, now_s: float, now_wall_ns: int) -> bool:
        """Whether it should have said something since."""
        turn_s = self.told.every_s * FRESH_TIMES + FRESH_MORE_S if self.told.every_s else NO_TURN_S
        return self.age_s(now_s, now_wall_ns) > turn_s

    def rate(self, now_s: float) -> float | None:
        """Bytes a second to the broker over the last minute; None before there are two statuses to compare."""
        if len(self._minute) < 2:
            return None
        (begin_s, begin), (end_s, end) = self._minute[0], self._minute[-1]
        if now_s - end_s >= RATE_OVER_S:
            return 0.0
        return (end - begin) / max(end_s - begin_s, 1e-9)


class Watch:
    """Every vehicle that was heard of, by name."""

    def __init__(self) -> None:
        self.vehicles: dict[str, Watched] = {}

    def take(self, told: Told, now_s: float, *, retained: bool) -> Watched:
        """A status came. One that was retained is what the vehicle said before we watched."""
        watched = self.vehicles.get(told.vehicle)
        if watched is None:
            watched = self.vehicles[told.vehicle] = Watched(told, None)
        if not retained:
            watched.take(told, now_s)
        elif watched.arrived_s is None or told.wall_ns > watched.told.wall_ns:
            watched.told, watched.arrived_s = told, None
        return watched
