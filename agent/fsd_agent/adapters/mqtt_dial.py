"""The socket below MQTT: TCP without Nagle's delay, then TLS to a peer whose identity is settled.

Everything that can be wrong with the peer is found here, before anything of MQTT exists.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from fsd_agent.adapters.tcp import end_when_silent
from fsd_agent.adapters.tls import BrokerRefusedError, identity_of
from fsd_agent.ports.broker import Peer
from fsd_agent.records.region import Endpoint


@dataclass(frozen=True, slots=True)
class Dial:
    """Where to, how to trust it, and what to listen to. The context is one for this very endpoint."""

    endpoint: Endpoint
    context: ssl.SSLContext
    client_id: str
    subscriptions: tuple[str, ...]


class Client(paho.Client):
    """Paho with our socket.

    ``_create_socket`` is the one private method that we replace; "nothing before the CONNACK" and the wrong-broker
    tests fail if paho stops calling it.
    """

    def __init__(self, dial: Dial, timeout_s: float, *, silence_s: float) -> None:
        super().__init__(
            callback_api_version=CallbackAPIVersion.VERSION2,
            client_id=dial.client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self._dial = dial
        self._dial_timeout_s = timeout_s
        self._silence_s = silence_s

    def peer(self) -> Peer | None:
        """Who is connected; None where nobody is."""
        sock = self.socket()
        certificate = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
        if certificate is None:
            return None
        endpoint, digest = self._dial.endpoint, hashlib.sha256(certificate).digest()
        return Peer(endpoint.host, endpoint.port, identity_of(certificate), digest)

    def _create_socket(self) -> ssl.SSLSocket:
        sock = dial_tls(self._dial, self._dial_timeout_s)
        end_when_silent(sock, self._silence_s)
        return sock


def dial_tls(dial: Dial, timeout_s: float) -> ssl.SSLSocket:
    """A connected TLS socket; leaves none open when it fails.

    ``timeout_s`` counts for each address in TCP, and again for TLS. Raises ``BrokerRefusedError`` or ``OSError``.
    """
    plain = _dial_tcp(dial.endpoint, timeout_s)
    try:
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
