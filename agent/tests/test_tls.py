"""Real TLS on loopback: only the region's own broker learns who the vehicle is, and only it hears a byte."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from agent.tests.tls_records import record_types
from fsd_agent.adapters import tls
from fsd_agent.adapters.mqtt_dial import Dial, dial_tls
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.tls import BrokerRefusedError, region_context
from fsd_agent.ports.broker import Disconnected
from fsd_agent.records.region import Endpoint, RegionPolicy
from fsd_agent.testing.regions import sample_region
from fsd_tools.region import authority as ca
from fsd_tools.region.authority import Authority

NOW = dt.datetime.now(dt.UTC)
NAME = "broker.cn.fsd.invalid"
URI = "urn:fsd:region:cn"
HELLO = b"CONNECT car-1"
HANDSHAKE, APPLICATION_DATA = 22, 23


class Server:
    """A TLS server with one certificate that takes one connection and remembers all it was told."""

    def __init__(
        self, folder: Path, certificate: bytes, key: bytes, clients: bytes, *, newest: bool = True
    ) -> None:
        pem = folder / "server.pem"
        pem.write_bytes(certificate + key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._context.load_verify_locations(cadata=clients.decode())
        self._context.verify_mode = ssl.CERT_REQUIRED
        if not newest:
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        public = x509.load_pem_x509_certificate(certificate).public_key()
        self.key_hash = hashlib.sha256(
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).digest()
        self.client_certificate: bytes | None = None
        self.heard = b""
        self.raw = b""
        """Every byte that arrived, TLS and all."""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with self._listener, self._listener.accept()[0] as raw:
            raw.settimeout(10)
            peer = self._context.wrap_bio(incoming, outgoing, server_side=True)
            greeted = False
            try:
                while True:
                    try:
                        if not greeted:
                            peer.do_handshake()
                            greeted, self.client_certificate = True, peer.getpeercert(binary_form=True)
                        part = peer.read(4096)
                        self.heard += part
                        peer.write(part)
                    except ssl.SSLWantReadError:
                        raw.sendall(outgoing.read())
                        if not (data := raw.recv(65536)):
                            return
                        self.raw += data
                        incoming.write(data)
            except OSError:
                return  # The client went away, which is what most of these tests are about.

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def own() -> Authority:
    return ca.new_authority("cn", NOW)


@pytest.fixture
def vehicle(tmp_path: Path, own: Authority) -> tuple[Path, Path]:
    key = ca.new_key()
    certificate = ca.issue_client(own, ca.request_client("car-1", key), common_name="car-1", now=NOW)
    paths = tmp_path / "vehicle.pem", tmp_path / "vehicle.key"
    paths[0].write_bytes(ca.certificate_pem(certificate))
    paths[1].write_bytes(ca.key_pem(key))
    return paths


def policy_of(authority: Authority) -> RegionPolicy:
    policy = sample_region("cn").policy
    return dataclasses.replace(policy, authority_pem=ca.certificate_pem(authority.certificate))


def context_of(
    authority: Authority, certificate: Path, key: Path, *, pins: tuple[bytes, ...] = ()
) -> ssl.SSLContext:
    policy = dataclasses.replace(policy_of(authority), broker_pins=pins)
    return region_context(policy, policy.endpoints[0], certificate, key)


def broker(
    folder: Path,
    authority: Authority,
    own: Authority,
    name: str = NAME,
    uri: str = URI,
    *,
    newest: bool = True,
) -> Server:
    key = ca.new_key()
    certificate = ca.issue_broker(authority, key.public_key(), server_name=name, identity_uri=uri, now=NOW)
    clients = ca.certificate_pem(own.certificate)
    return Server(folder, ca.certificate_pem(certificate), ca.key_pem(key), clients, newest=newest)


def talk(context: ssl.SSLContext, server: Server) -> bytes:
    """As paho does it: wrap without a handshake, then shake hands, then talk."""
    try:
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        with context.wrap_socket(
            raw, server_hostname="127.0.0.1", do_handshake_on_connect=False
        ) as connection:
            connection.settimeout(10)
            connection.do_handshake()
            connection.sendall(HELLO)
            return connection.recv(4096)
    finally:
        server.join()


def refused(context: ssl.SSLContext, server: Server, match: str) -> None:
    with pytest.raises(BrokerRefusedError, match=match):
        talk(context, server)
    assert server.client_certificate is None
    assert server.heard == b""
    # Everything from the vehicle's certificate on travels in records of type "application data".
    assert record_types(server.raw)[0] == HANDSHAKE
    assert APPLICATION_DATA not in record_types(server.raw)[1:]


def test_the_regions_broker_is_talked_to(tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]) -> None:
    context = context_of(own, *vehicle)
    for _ in range(2):
        server = broker(tmp_path, own, own)
        assert talk(context, server) == HELLO
        assert server.heard == HELLO
        sent = x509.load_pem_x509_certificate(vehicle[0].read_bytes())
        assert server.client_certificate is not None
        assert x509.load_der_x509_certificate(server.client_certificate) == sent


def test_a_pinned_key_is_the_only_one(tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]) -> None:
    server = broker(tmp_path, own, own)
    refused(context_of(own, *vehicle, pins=(bytes(32), b"\1" * 32)), server, "does not pin")
    server = broker(tmp_path, own, own)
    assert talk(context_of(own, *vehicle, pins=(bytes(32), server.key_hash)), server) == HELLO


def test_another_authority_is_refused(tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]) -> None:
    other = ca.new_authority("cn", NOW)
    refused(context_of(own, *vehicle), broker(tmp_path, other, own), "self-signed|unable to get")


def test_another_name_is_refused(tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]) -> None:
    server = broker(tmp_path, own, own, name="broker.eu.fsd.invalid")
    refused(context_of(own, *vehicle), server, "fsd.invalid|ostname")


@pytest.mark.parametrize("attempt", range(5))
def test_another_regions_identity_is_refused_before_the_vehicle_is_known(
    tmp_path: Path, own: Authority, vehicle: tuple[Path, Path], attempt: int
) -> None:
    server = broker(tmp_path, own, own, uri="urn:fsd:region:eu")
    refused(context_of(own, *vehicle), server, "identity urn:fsd:region:eu")


def test_a_wildcard_is_refused(tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]) -> None:
    server = broker(tmp_path, own, own, name="*.cn.fsd.invalid")
    refused(context_of(own, *vehicle), server, "no wildcard")


@pytest.mark.parametrize(
    ("dns", "uris", "match"),
    [
        ((NAME,), (URI, "urn:fsd:region:eu"), "alone"),
        ((NAME,), (), "identity none"),
        ((NAME, "*.fsd.invalid"), (URI,), "no wildcard"),
    ],
)
def test_a_broker_that_is_somebody_else_too_is_refused(
    tmp_path: Path,
    own: Authority,
    vehicle: tuple[Path, Path],
    dns: tuple[str, ...],
    uris: tuple[str, ...],
    match: str,
) -> None:
    key = ca.new_key()
    names = x509.SubjectAlternativeName([*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris)])
    builder = ca._issue(own, ca._name(NAME), key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, NOW)
    certificate = builder.add_extension(names, critical=False).sign(own.key, hashes.SHA256())
    pem = ca.certificate_pem(own.certificate)
    server = Server(tmp_path, ca.certificate_pem(certificate), ca.key_pem(key), pem)
    refused(context_of(own, *vehicle), server, match)


def test_another_vehicle_of_the_region_can_not_pose_as_its_broker(
    tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]
) -> None:
    certificate, key = (path.read_bytes() for path in vehicle)
    server = Server(tmp_path, certificate, key, ca.certificate_pem(own.certificate))
    refused(context_of(own, *vehicle), server, "purpose|certificate")


def test_an_older_protocol_is_refused(tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]) -> None:
    server = broker(tmp_path, own, own, newest=False)
    with pytest.raises(ssl.SSLError):
        talk(context_of(own, *vehicle), server)
    assert (server.client_certificate, server.heard) == (None, b"")


def test_if_nobody_looked_at_the_identity_the_peer_is_refused(
    tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]
) -> None:
    context = context_of(own, *vehicle)
    server = broker(tmp_path, own, own)
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with context.wrap_socket(raw, do_handshake_on_connect=False) as connection:
        context._msg_callback = None  # type: ignore[attr-defined]
        with pytest.raises(BrokerRefusedError, match="was not checked"):
            connection.do_handshake()
    server.join()
    assert server.heard == b""


@pytest.mark.parametrize(
    "message", [b"", b"\x0b\0\0\0", b"\x0b\0\0\0\xff", b"\x0b\0\0\4\0\0\0\0", b"\x0b" * 40]
)
def test_a_certificate_message_that_makes_no_sense_is_a_fault(message: bytes) -> None:
    policy = sample_region("cn").policy
    assert tls.identity_fault(tls._leaf(message), policy, policy.endpoints[0]) is not None


def test_an_unusable_certificate_is_an_os_error(
    tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]
) -> None:
    with pytest.raises(OSError, match="No such file"):
        context_of(own, tmp_path / "none.pem", vehicle[1])


@pytest.mark.parametrize("host", ["broker..invalid", "a" * 64 + ".invalid", "127.0.0.1.."])
def test_a_host_that_can_be_no_name_is_told_and_ends_nothing(host: str) -> None:
    link = MqttLink(MqttOptions(connect_timeout_s=0.5))
    link.connect(Dial(Endpoint(host, (), 1, "x.invalid", "CN"), ssl.create_default_context(), "car-1", ()))
    (event,) = link.events(0)
    assert isinstance(event, Disconnected)
    assert "can't connect" in event.reason


@pytest.mark.parametrize(
    ("host", "addresses"), [("localhost", ("203.0.113.7",)), ("127.0.0.1", ("127.0.0.2",)), ("localhost", ())]
)
def test_an_address_that_the_policy_does_not_allow_is_not_even_dialled(
    host: str, addresses: tuple[str, ...]
) -> None:
    """As after a hijacked name: the listener that it leads to sees no connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        endpoint = Endpoint(host, addresses, listener.getsockname()[1], "x.invalid", "CN")
        link = MqttLink(MqttOptions(connect_timeout_s=0.5))
        link.connect(Dial(endpoint, ssl.create_default_context(), "car-1", ()))
        (event,) = link.events(0)
        assert isinstance(event, Disconnected)
        assert event.refused
        assert "policy allows none of these" in event.reason
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_name_is_dialled_at_the_addresses_that_the_policy_allows(
    tmp_path: Path, own: Authority, vehicle: tuple[Path, Path]
) -> None:
    server = broker(tmp_path, own, own)
    endpoint = Endpoint("localhost", ("127.0.0.1",), server.port, NAME, "CN")
    connection = dial_tls(Dial(endpoint, context_of(own, *vehicle), "car-1", ()), 5.0)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "small messages wait for nobody"
    connection.close()
    server.join()
