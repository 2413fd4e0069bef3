"""The socket below MQTT: TCP without Nagle's delay, marked as of lower effort, then TLS to a peer whose identity is settled.

Everything that can be wrong with the peer is found here, before anything of MQTT exists.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fsd_agent.adapters.mqtt_lean import LeanClient
from fsd_agent.adapters.tcp import end_when_silent
from fsd_agent.adapters.tls import BrokerRefusedError, identity_of
from fsd_agent.ports.broker import Peer
from fsd_agent.records.region import Endpoint
from fsd_agent.rules.uplink.versions import MqttVersion

LOWER_EFFORT: Final = 1
"""LE, RFC 8622: the car's other traffic goes first. It took the place of CS1, which some networks take for better than best
effort; a network that does not know LE takes it for best effort, which harms nobody."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Where to, how to trust it, and what to listen to. The context is one for this very endpoint."""

    endpoint: Endpoint
    context: ssl.SSLContext
    client_id: str
    subscriptions: tuple[str, ...]
    dscp: int = LOWER_EFFORT
    """Marks every packet for the car's gateway and the network: 0 to 63, RFC 2474."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a CONNECT asks for."""

    keepalive_s: int
    expiry_s: int
    """How long the broker keeps the session; in 3.1.1 that is for the broker to say."""
    receive_maximum: int
    """Messages that it may send us unacknowledged; in 3.1.1 a broker follows its own limit."""
    packet_bytes: int
    """Largest packet that it may send us."""


class Client(LeanClient):
    """Paho with our socket, and a bound on what it reads.

    ``_create_socket`` and ``_sock_recv`` are the private methods that we replace; "nothing before the CONNACK", the
    wrong-broker tests and the test of a packet that is too large fail if paho stops calling them.
    """

    def __init__(
        self, dial: Dial, timeout_s: float, version: MqttVersion, session: Session, *, silence_s: float
    ) -> None:
        plain = version is MqttVersion.V311
        super().__init__(
            callback_api_version=CallbackAPIVersion.VERSION2,
            client_id=dial.client_id,
            clean_session=False if plain else None,
            protocol=paho.MQTTv311 if plain else paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self.version = version
        self.dial = dial
        self._dial_timeout_s = timeout_s
        self._session = session
        self._silence_s = silence_s

    def open(self) -> None:
        """Dial and send the CONNECT. Raises ``BrokerRefusedError`` or ``OSError``."""
        host, port = self.dial.endpoint.host, self.dial.endpoint.port
        if self.version is MqttVersion.V311:
            self.connect(host, port, keepalive=self._session.keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's is not annotated
        properties.SessionExpiryInterval = self._session.expiry_s
        properties.ReceiveMaximum = self._session.receive_maximum
        properties.MaximumPacketSize = self._session.packet_bytes
        keepalive_s = self._session.keepalive_s
        self.connect(host, port, keepalive=keepalive_s, clean_start=False, properties=properties)

    def peer(self) -> Peer | None:
        """Who is connected; None where nobody is."""
        sock = self.socket()
        certificate = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
        if certificate is None:
            return None
        endpoint, digest = self.dial.endpoint, hashlib.sha256(certificate).digest()
        return Peer(endpoint.host, endpoint.port, identity_of(certificate), digest)

    def _create_socket(self) -> ssl.SSLSocket:
        sock = dial_tls(self.dial, self._dial_timeout_s)
        end_when_silent(sock, self._silence_s)
        return sock

    def _sock_recv(self, bufsize: int) -> bytes:
        """A packet's whole length is asked for at once: a broker of 3.1.1 was not told our limit, and any may ignore it."""
        if bufsize > self._session.packet_bytes:
            raise ConnectionError(
                f"the broker sends a packet of {bufsize} bytes, at most {self._session.packet_bytes}"
            )
        return super()._sock_recv(bufsize)


def dial_tls(dial: Dial, timeout_s: float) -> ssl.SSLSocket:
    """A connected TLS socket; leaves none open when it fails.

    ``timeout_s`` counts for each address in TCP, and again for TLS. Raises ``BrokerRefusedError`` or ``OSError``.
    """
    plain = _dial_tcp(dial.endpoint, timeout_s)
    try:
        _mark(plain, dial.dscp)
        # 64 KiB messages with few in flight crawl at 1.5 MB/s with Nagle's algorithm on.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secure = dial.context.wrap_socket(
            plain, server_hostname=dial.endpoint.server_name, do_handshake_on_connect=False
        )
    except BaseException:
        plain.close()
        raise
    try:
        secure.do_handshake()
    except BaseException:
        secure.close()
        raise
    return secure


def _mark(sock: socket.socket, dscp: int) -> None:
    """Everything after the TCP handshake. The lower two bits are the network's (ECN, RFC 3168)."""
    if sock.family is socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


def _dial_tcp(endpoint: Endpoint, timeout_s: float) -> socket.socket:
    """Connect to the first address that answers, of those that the name has and the policy allows.

    A resolver that was led astray gets no packet sent anywhere: what it names beyond the policy is not dialled.
    """
    host, port = endpoint.host, endpoint.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # From Python's idna codec: an empty or too long label
        raise OSError(f"{host[:80]!r} can't be the name of a host: {error}") from error
    addresses = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
    allowed = [address for address in addresses if address in endpoint.addresses]
    if not allowed:
        raise BrokerRefusedError(
            f"{host} turns out to be {', '.join(addresses)}, and the region's policy allows none of these"
        )
    for number, address in enumerate(allowed, 1):
        try:
            return socket.create_connection((address, port), timeout=timeout_s)
        except OSError:
            if number == len(allowed):
                raise
    raise AssertionError("unreachable: the last address either connects or raises")


def explain(error: BrokerRefusedError | OSError) -> tuple[str, bool]:
    """(reason for people, whether it is a refusal rather than a fault of the network)."""
    if isinstance(error, BrokerRefusedError):
        return str(error), True
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"not this region's broker: {error.verify_message}", True
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}", "ALERT" in str(error)
    return f"can't connect: {error.strerror or error}", False
