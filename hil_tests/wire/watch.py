"""The oracle: every packet that left the vehicle and every packet that reached a region, against what was allowed.

A connection to a region may carry secret bytes (:mod:`.flows`) only if, at its first packet and at the packet with
those bytes, the vehicle belonged to that region, and what answered there was that region's own. With the egress list
on, no connection may be opened, and no other packet sent, to anything that is not on the list.

What a connection was opened as decides for its later packets: a socket that its owner has closed still sends what was
in it, and nobody's list can tell whose it was.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hil_tests.wire.flows import Packet, Stream

OFF, ON, REWRITTEN = TABLES = (
    "egress list off",
    "egress list on",
    "egress list on, sent to the vehicle's own region and led elsewhere by the network behind it",
)
Key = tuple[str, int, str, int]


@dataclass(frozen=True, slots=True)
class Phase:
    """What is allowed while one thing is done."""

    row: str
    """How the matrix calls it: the region of the vehicle, or that it holds."""
    may: frozenset[str]
    """Regions that may learn something."""
    lingers: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Regions that connections which are open already may still say good-bye to."""
    ports: frozenset[int]
    """Where those regions' own brokers are."""
    listed: frozenset[tuple[str, int]] | None
    """Addresses and ports on the egress list; None where it is off."""


@dataclass(slots=True)
class Cell:
    """What reached one region from vehicles of one row."""

    packets: int = 0
    bytes: int = 0
    connections: int = 0
    secret_bytes: int = 0

    def add(self, other: Cell) -> None:
        """Sum up."""
        self.packets += other.packets
        self.bytes += other.bytes
        self.connections += other.connections
        self.secret_bytes += other.secret_bytes


@dataclass(slots=True)
class _Connection:
    opened: Phase
    region: str
    stream: Stream


@dataclass(slots=True)
class Memory:
    """How every connection was opened: it outlives a watch, as the kernel's last word on one may."""

    arrived: dict[Key, _Connection] = field(default_factory=dict)
    left: dict[Key, Phase] = field(default_factory=dict)


@dataclass(slots=True)
class Watch:
    """Takes packets in, keeps the matrix and what was wrong."""

    car: str
    """Its address."""
    memory: Memory = field(default_factory=Memory)
    matrix: defaultdict[tuple[str, str, str], Cell] = field(default_factory=lambda: defaultdict(Cell))
    """By table (:data:`TABLES`), row and region."""
    wrong: list[str] = field(default_factory=list)
    packets: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    """From the vehicle, by region: compared with the kernel's own counters."""

    def arrived(self, region: str, packet: Packet, phase: Phase) -> None:
        """A packet on a region's own interface."""
        if packet.source != self.car:
            return
        self.packets[region] += 1
        key = (packet.source, packet.source_port, packet.target, packet.target_port)
        if packet.opens:
            self.memory.arrived[key] = _Connection(phase, region, Stream((packet.sequence + 1) & 0xFFFFFFFF))
        connection = self.memory.arrived.get(key)
        if connection is None:
            # The middle of something that was opened elsewhere: not a ClientHello, so every byte of it is secret.
            connection = self.memory.arrived[key] = _Connection(phase, region, Stream(packet.sequence))
        cell = self.matrix[_table(connection.opened, packet), connection.opened.row, region]
        cell.packets += 1
        cell.bytes += packet.length
        cell.connections += packet.opens
        secret = connection.stream.take(packet.sequence, packet.payload)
        cell.secret_bytes += secret
        if secret:
            self._judge(connection, packet.target_port, secret, phase)

    def _judge(self, connection: _Connection, port: int, secret: int, phase: Phase) -> None:
        opened, region = connection.opened, connection.region
        if region not in opened.may or region not in phase.may | phase.lingers:
            owner = opened if region not in opened.may else phase
            self.wrong.append(
                f"{secret} secret bytes reached {region} port {port} from a vehicle of {owner.row}"
            )
        elif port not in opened.ports:
            self.wrong.append(f"{secret} secret bytes reached {region} port {port}, which is not its broker")

    def left(self, packet: Packet, phase: Phase) -> None:
        """A packet as it left the vehicle."""
        if packet.source != self.car:
            return
        key = (packet.source, packet.source_port, packet.target, packet.target_port)
        if packet.opens:
            self.memory.left[key] = phase
        opened = self.memory.left.get(key, phase)
        if opened.listed is None:
            return
        known = packet.protocol == 6 and (packet.opens or key in self.memory.left)
        if not known or (packet.target, packet.target_port) not in opened.listed:
            self.wrong.append(
                f"a packet left for {packet.target} port {packet.target_port} protocol {packet.protocol},"
                " which is not on the egress list"
            )

    def unjudged(self) -> int:
        """Bytes of records that never became whole, on connections that may carry nothing."""
        return sum(
            one.stream.waiting for one in self.memory.arrived.values() if one.region not in one.opened.may
        )


def _table(opened: Phase, packet: Packet) -> str:
    """What left the car with the list on was on the list (:meth:`Watch.left`); what arrives off it was rewritten."""
    if opened.listed is None:
        return OFF
    return ON if (packet.target, packet.target_port) in opened.listed else REWRITTEN
