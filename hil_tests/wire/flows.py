"""What a capture says a client sent: frames in, TCP flows and their TLS records out. Pure.

Nothing here believes the client or the server: only bytes that were on the wire count. In TLS 1.3 (RFC 8446) a client
that refuses its peer has sent a ClientHello, perhaps a ChangeCipherSpec (middlebox compatibility) and one alert. Its
certificate, its Finished and everything of MQTT are protected records (type 23), and each is larger than a protected
alert, which has exactly 19 bytes: level, description, inner type, tag. So:

    harmless   records in the clear that hold a ClientHello, a ChangeCipherSpec or an alert, and one protected record
               of 19 bytes
    secret     every other record, and every byte after it; also everything of a connection that doesn't speak TLS

A secret byte may be a vehicle's certificate (in the clear up to TLS 1.2) or data. Which of the two it was can't be
seen, and doesn't matter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
PROTECTED_ALERT_BYTES = 19
HEADER_BYTES = 5
CLIENT_HELLO = 1
_ETHERTYPE_IPV4 = 0x0800
_ETHERTYPE_ARP = 0x0806
_TCP = 6
_SYN, _ACK = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Packet:
    """One IPv4 packet; ports, flags, sequence number and payload are TCP's, and empty for other protocols."""

    source: str
    target: str
    protocol: int
    length: int
    """Of the whole IP packet, as counters count it."""
    source_port: int = 0
    target_port: int = 0
    flags: int = 0
    sequence: int = 0
    payload: bytes = b""

    @property
    def opens(self) -> bool:
        """The first packet of a TCP connection."""
        return self.protocol == _TCP and self.flags & (_SYN | _ACK) == _SYN


def parse(frame: bytes) -> Packet | None:
    """An Ethernet frame; None for ARP. Raises ``ValueError`` for what nobody should send here."""
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == _ETHERTYPE_ARP:
        return None
    if kind != _ETHERTYPE_IPV4:
        raise ValueError(f"a frame of type {kind:#06x}")
    ip = memoryview(frame)[14:]
    header = (ip[0] & 15) * 4
    length, protocol = int.from_bytes(ip[2:4]), ip[9]
    source, target = str(IPv4Address(bytes(ip[12:16]))), str(IPv4Address(bytes(ip[16:20])))
    if protocol != _TCP:
        return Packet(source, target, protocol, length)
    tcp = ip[header:length]
    source_port, target_port, sequence = struct.unpack_from("!HHI", tcp, 0)
    payload = bytes(tcp[(tcp[12] >> 4) * 4 :])
    return Packet(source, target, protocol, length, source_port, target_port, tcp[13], sequence, payload)


@dataclass(slots=True)
class Stream:
    """The client's half of one connection, put together from its segments."""

    first: int
    """Sequence number of its first byte."""
    secret_bytes: int = 0
    harmless_bytes: int = 0
    _early: dict[int, bytes] = field(default_factory=dict)
    """Segments after a gap, by offset."""
    _taken: int = 0
    _rest: bytes = b""
    _alerted: bool = False

    def take(self, sequence: int, payload: bytes) -> int:
        """Add a segment; returns how many secret bytes became known by it."""
        before = self.secret_bytes
        offset = (sequence - self.first) & 0xFFFFFFFF
        if not payload or offset >= 1 << 31:  # a keep-alive probe repeats the byte before
            return 0
        self._early[offset] = max(self._early.get(offset, b""), payload, key=len)
        while self._early and (at := min(self._early)) <= self._taken:
            segment = self._early.pop(at)
            self._rest += segment[self._taken - at :]
            self._taken = max(self._taken, at + len(segment))
            self._read()
        return self.secret_bytes - before

    @property
    def waiting(self) -> int:
        """Bytes of a record that is not whole, or behind a gap: not judged yet."""
        return len(self._rest) + sum(map(len, self._early.values()))

    def _read(self) -> None:
        while self._rest:
            if self.secret_bytes or not self._harmless():
                self.secret_bytes += len(self._rest)
                self._rest = b""
                return
            whole = HEADER_BYTES + int.from_bytes(self._rest[3:5])
            if len(self._rest) < max(whole, HEADER_BYTES + 1):
                return
            self._alerted |= self._rest[0] == APPLICATION_DATA
            self.harmless_bytes += whole
            self._rest = self._rest[whole:]

    def _harmless(self) -> bool:
        """The next record, as far as it is known."""
        kind = self._rest[0]
        if len(self._rest) <= HEADER_BYTES:
            return CHANGE_CIPHER_SPEC <= kind <= APPLICATION_DATA
        if kind == HANDSHAKE:
            return self._rest[HEADER_BYTES] == CLIENT_HELLO
        if kind == APPLICATION_DATA:
            return int.from_bytes(self._rest[3:5]) == PROTECTED_ALERT_BYTES and not self._alerted
        return kind in (CHANGE_CIPHER_SPEC, ALERT)
