"""Who is the region's broker: each thing that a peer may be or send instead, and what the vehicle has told it by then.

Both ends of a TLS connection are in one process: a socket pair, and OpenSSL's own server behind it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from agent.tests.tls_records import record_types
from fsd_agent.adapters import tls
from fsd_agent.adapters.tls import BrokerRefusedError, identity_fault, identity_of, region_context
from fsd_agent.records.region import Endpoint, RegionPolicy
from fsd_agent.testing.regions import sample_region
from fsd_tools.region import authority as ca
from fsd_tools.region.authority import Authority

NOW = dt.datetime.now(dt.UTC)
NAME, URI = "broker.cn.fsd.invalid", "urn:fsd:region:cn"
OWN = ca.new_authority("cn", NOW)
KEY = ca.new_key()
PIN = hashlib.sha256(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
VEHICLE = ca.issue_client(OWN, ca.request_client("car-1", KEY), common_name="car-1", now=NOW)
POLICY = dataclasses.replace(
    sample_region("cn").policy, authority_pem=ca.certificate_pem(OWN.certificate), broker_pins=()
)
(ENDPOINT,) = POLICY.endpoints
HANDSHAKE, APPLICATION_DATA = 22, 23
REFUSED = "the peer is not the broker of region 'cn': "
NAMES_OID = x509.SubjectAlternativeName.oid


def names(*dns: str, uris: Sequence[str] = (URI,)) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris)])


def certificate(
    *extensions: x509.ExtensionType, authority: Authority = OWN, subject: str = "broker"
) -> x509.Certificate:
    builder = ca._issue(authority, ca._name(subject), KEY.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, NOW)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def der(*extensions: x509.ExtensionType) -> bytes:
    return certificate(*extensions).public_bytes(Encoding.DER)


BROKER = certificate(names(NAME))


class Server:
    """What listens where the vehicle dialled: it believes every vehicle, and remembers all it was told."""

    def __init__(self, folder: Path, shown: x509.Certificate, newest: ssl.TLSVersion) -> None:
        pem = folder / "server.pem"
        pem.write_bytes(ca.certificate_pem(shown) + ca.key_pem(KEY))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.load_verify_locations(cadata=ca.certificate_pem(OWN.certificate).decode())
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = newest
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.vehicle: bytes | None = None
        self.heard = b""
        self.raw = b""
        """Every byte that arrived, TLS and all."""

    def serve(self, connection: socket.socket) -> None:
        """Take what has arrived, and answer."""
        try:
            arrived = connection.recv(1 << 16)
        except (BlockingIOError, ConnectionResetError):
            arrived = b""
        self.raw += arrived
        self._incoming.write(arrived)
        try:
            if self.vehicle is None:
                self._tls.do_handshake()
                self.vehicle = self._tls.getpeercert(binary_form=True)
            self.heard += (said := self._tls.read(4096))
            self._tls.write(b"heard " + said)
        except ssl.SSLError:
            pass  # It wants more, or the vehicle is gone
        if answer := self._outgoing.read():
            with suppress(BrokenPipeError, ConnectionResetError):  # The vehicle is gone
                connection.send(answer)


class Line:
    """One connection, from the vehicle's side, and the server behind it."""

    def __init__(
        self,
        folder: Path,
        shown: x509.Certificate = BROKER,
        *,
        context: ssl.SSLContext | None = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        **options: Any,
    ) -> None:
        self.server = Server(folder, shown, newest)
        near, self.far = socket.socketpair()
        for end in near, self.far:
            end.setblocking(False)
        self.near = (context or vehicles_context(folder)).wrap_socket(
            near, do_handshake_on_connect=False, server_hostname="elsewhere.invalid", **options
        )
        self._watch = threading.Timer(5.0, self.far.shutdown, (socket.SHUT_RDWR,))  # for who waits for ever
        self._watch.start()

    def shake_hands(self) -> None:
        """In turns, until the vehicle is content or raises."""
        try:
            for _ in range(4):
                try:
                    return self.near.do_handshake()
                except ssl.SSLWantReadError:
                    self.server.serve(self.far)
            raise AssertionError("no end of it")
        finally:
            self.server.serve(self.far)

    def refusal(self) -> str:
        """Why the vehicle refuses, which by then has said nothing but a ClientHello and perhaps an alert."""
        with pytest.raises(BrokerRefusedError) as refused:
            self.shake_hands()
        assert (self.server.vehicle, self.server.heard) == (None, b"")
        # Everything from the vehicle's certificate on travels in records of type "application data".
        assert record_types(self.server.raw)[0] == HANDSHAKE
        assert APPLICATION_DATA not in record_types(self.server.raw)
        assert self.near.fileno() == -1, "a refused connection is left open"
        return str(refused.value)

    def close(self) -> None:
        self._watch.cancel()
        self.near.close()
        self.far.close()


def vehicles_context(
    folder: Path, policy: RegionPolicy = POLICY, endpoint: Endpoint = ENDPOINT
) -> ssl.SSLContext:
    paths = folder / "vehicle.pem", folder / "vehicle.key"
    paths[0].write_bytes(ca.certificate_pem(VEHICLE))
    paths[1].write_bytes(ca.key_pem(KEY))
    return region_context(policy, endpoint, *paths)


def pinning(folder: Path, *pins: bytes) -> ssl.SSLContext:
    return vehicles_context(folder, dataclasses.replace(POLICY, broker_pins=pins))


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with closing(Line(tmp_path)) as opened:
        yield opened


def refusal(folder: Path, shown: x509.Certificate, context: ssl.SSLContext | None = None) -> str:
    with closing(Line(folder, shown, context=context)) as line:
        return line.refusal()


# The region's own


def test_the_regions_broker_learns_who_the_vehicle_is_and_is_talked_to(line: Line) -> None:
    line.shake_hands()
    assert line.server.vehicle == VEHICLE.public_bytes(Encoding.DER)
    assert line.near.version() == "TLSv1.3"
    line.near.send(b"CONNECT car-1")
    line.server.serve(line.far)
    assert line.near.recv(100) == b"heard CONNECT car-1"


def test_once_the_peer_is_known_what_is_said_is_shown_to_nobody(line: Line) -> None:
    assert line.near.context._msg_callback is not None  # type: ignore[attr-defined]
    line.shake_hands()
    assert line.near.context._msg_callback is None  # type: ignore[attr-defined]


def test_of_several_names_of_its_own_one_must_be_the_endpoints(tmp_path: Path) -> None:
    with closing(Line(tmp_path, certificate(names("other.cn.fsd.invalid", NAME)))) as line:
        line.shake_hands()


def test_a_pinned_key_is_believed(tmp_path: Path) -> None:
    with closing(Line(tmp_path, context=pinning(tmp_path, bytes(32), PIN))) as line:
        line.shake_hands()


def test_a_chain_a_name_and_the_newest_protocol_are_demanded(tmp_path: Path) -> None:
    context = vehicles_context(tmp_path)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


# (a) its authority


def test_another_authority_is_refused_whatever_it_certifies(tmp_path: Path) -> None:
    shown = certificate(names(NAME), authority=ca.new_authority("cn", NOW))
    assert refusal(tmp_path, shown) == f"{REFUSED}unable to get local issuer certificate"


def test_what_was_certified_for_vehicles_is_no_broker(tmp_path: Path) -> None:
    assert refusal(tmp_path, VEHICLE) in {
        f"{REFUSED}unsupported certificate purpose",
        f"{REFUSED}unsuitable certificate purpose",  # OpenSSL 3.2
    }


# (b) its name


def test_another_name_is_refused(tmp_path: Path) -> None:
    shown = certificate(names("broker.eu.fsd.invalid"))
    assert refusal(tmp_path, shown) == (
        f"{REFUSED}Hostname mismatch, certificate is not valid for 'broker.cn.fsd.invalid'."
    )


def test_a_name_that_is_no_alternative_name_does_not_count(tmp_path: Path) -> None:
    assert refusal(tmp_path, certificate(names(), subject=NAME)) == (
        f"{REFUSED}Hostname mismatch, certificate is not valid for 'broker.cn.fsd.invalid'."
    )


# (c) its identity


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (
            names(NAME, uris=["urn:fsd:region:eu"]),
            "has the identity urn:fsd:region:eu, expected urn:fsd:region:cn alone",
        ),
        (
            names(NAME, uris=[URI, "urn:fsd:region:eu"]),
            "has the identity urn:fsd:region:cn, urn:fsd:region:eu, expected urn:fsd:region:cn alone",
        ),
        (names(NAME, uris=[]), "has the identity none, expected urn:fsd:region:cn alone"),
        (
            names(NAME, "*.eu.fsd.invalid"),
            "has the names broker.cn.fsd.invalid, *.eu.fsd.invalid, expected broker.cn.fsd.invalid and no wildcard",
        ),
        (
            names("*.cn.fsd.invalid"),
            "has the names *.cn.fsd.invalid, expected broker.cn.fsd.invalid and no wildcard",
        ),
    ],
)
def test_who_is_somebody_else_too_is_refused_before_the_vehicle_is_known(
    tmp_path: Path, found: x509.SubjectAlternativeName, fault: str
) -> None:
    assert identity_fault(der(found), POLICY, ENDPOINT) == fault
    assert refusal(tmp_path, certificate(found)) == f"{REFUSED}its certificate {fault}"


@pytest.mark.parametrize(
    ("shown", "fault"),
    [
        (
            der(names()),
            "has the names none, expected broker.cn.fsd.invalid and no wildcard",
        ),
        (
            der(names("broker.eu.fsd.invalid")),
            "has the names broker.eu.fsd.invalid, expected broker.cn.fsd.invalid and no wildcard",
        ),
        (
            der(),
            f"has no readable alternative names: No {x509.SubjectAlternativeName} extension was found",
        ),
    ],
)
def test_what_openssl_refuses_too_is_a_fault_by_itself(shown: bytes, fault: str) -> None:
    assert identity_fault(shown, POLICY, ENDPOINT) == fault


def test_what_is_no_certificate_is_a_fault() -> None:
    fault = identity_fault(b"none", POLICY, ENDPOINT)
    assert fault is not None
    assert fault.startswith("has no readable alternative names: error parsing asn1 value")


def test_the_regions_broker_has_no_fault() -> None:
    shown = BROKER.public_bytes(Encoding.DER)
    assert identity_fault(shown, POLICY, ENDPOINT) is None
    assert identity_fault(shown, dataclasses.replace(POLICY, broker_pins=(PIN,)), ENDPOINT) is None


def test_a_key_that_is_not_pinned_is_refused_where_any_is(tmp_path: Path) -> None:
    assert refusal(tmp_path, BROKER, pinning(tmp_path, bytes(32), PIN[::-1])) == (
        f"{REFUSED}its certificate has a key that the region's policy does not pin"
    )


def test_names_of_a_kind_that_nobody_knows_are_refused_before_the_vehicle_is_known(tmp_path: Path) -> None:
    """An X.400 address beside the right names: OpenSSL takes it, and what reads the identity does not."""
    usual = names(NAME).public_bytes()
    odd = x509.UnrecognizedExtension(NAMES_OID, bytes([0x30, usual[1] + 2]) + usual[2:] + b"\xa3\x00")
    assert refusal(tmp_path, certificate(odd)).startswith(f"{REFUSED}its certificate can't be judged: x400")


def test_nothing_that_goes_wrong_in_judging_lets_anybody_in(tmp_path: Path) -> None:
    broken: Any = dataclasses.replace(POLICY, broker_pins=7)  # type: ignore[arg-type]
    assert refusal(tmp_path, BROKER, vehicles_context(tmp_path, broken)) == (
        f"{REFUSED}its certificate can't be judged: argument of type 'int' is not iterable"
    )


def test_where_nobody_looked_the_peer_is_refused(tmp_path: Path) -> None:
    context = vehicles_context(tmp_path)
    with closing(Line(tmp_path, context=context)) as line:
        context._msg_callback = None  # type: ignore[attr-defined]
        with pytest.raises(BrokerRefusedError) as refused:
            line.shake_hands()
        assert str(refused.value) == f"{REFUSED}its identity was not checked during the handshake"
        assert line.server.heard == b""
        assert line.near.fileno() == -1


# Faults of the network are no refusals: it is tried again soon


def test_an_older_protocol_is_a_fault_of_the_connection(tmp_path: Path) -> None:
    with closing(Line(tmp_path, newest=ssl.TLSVersion.TLSv1_2)) as line:
        with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            line.shake_hands()
        assert line.server.vehicle is None


def test_a_connection_that_ends_is_a_fault_of_the_connection(line: Line) -> None:
    line.far.close()
    with pytest.raises(OSError, match=r"EOF|reset|Broken pipe"):
        line.near.do_handshake()


def test_only_a_certificate_is_looked_at_as_one(line: Line) -> None:
    """An alert with the number that certificates have among handshake messages."""
    line.far.send(bytes([21, 3, 3, 0, 2, 2, 11]))
    with pytest.raises(ssl.SSLError):
        line.near.do_handshake()


# A socket like any other


def test_it_waits_for_nobody_unless_it_is_told_to(line: Line) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        line.near.do_handshake()


def test_hands_are_shaken_at_once_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far, pytest.raises(ValueError, match="do_handshake_on_connect"):
        vehicles_context(tmp_path).wrap_socket(near)


def test_it_serves_nobody(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(ValueError, match="client mode"):
        vehicles_context(tmp_path).wrap_socket(near, server_side=True, do_handshake_on_connect=False)


def test_an_end_without_a_word_is_an_end(line: Line) -> None:
    line.shake_hands()
    line.far.close()
    assert line.near.recv(100) == b""


def test_an_end_without_a_word_is_a_fault_for_who_asks(tmp_path: Path) -> None:
    with closing(Line(tmp_path, suppress_ragged_eofs=False)) as line:
        line.shake_hands()
        line.far.close()
        with pytest.raises(ssl.SSLEOFError):
            line.near.recv(100)


@pytest.mark.parametrize("missing", ["vehicle.pem", "vehicle.key"])
def test_files_that_are_not_there_are_an_os_error(tmp_path: Path, missing: str) -> None:
    vehicles_context(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError):
        region_context(POLICY, ENDPOINT, tmp_path / "vehicle.pem", tmp_path / "vehicle.key")


# What is told of it


def test_the_identity_of_a_certificate_is_all_its_uris() -> None:
    assert identity_of(der(names(NAME))) == URI
    assert identity_of(der(names(NAME, uris=[URI, "urn:x"]))) == f"{URI}, urn:x"
    assert [identity_of(one) for one in (der(names(NAME, uris=[])), der(), b"none")] == ["", "", ""]


# The message (RFC 8446, section 4.4.2)


def vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


CERTIFICATES = st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=3)


@given(st.binary(max_size=255), CERTIFICATES, st.binary(max_size=9))
def test_the_first_certificate_is_the_leaf(context: bytes, chain: list[bytes], behind: bytes) -> None:
    entries = b"".join(vector(one, 3) + vector(b"", 2) for one in chain)
    message = b"\x0b" + vector(vector(context, 1) + vector(entries, 3) + behind, 3)
    assert tls._leaf(message) == chain[0]


@given(st.binary(max_size=40), st.integers(0, 40))
def test_a_message_that_is_cut_off_gives_no_more_than_is_there(leaf: bytes, size: int) -> None:
    message = b"\x0b" + vector(b"\0" + vector(vector(leaf, 3) + b"\0\0", 3), 3)
    assert tls._leaf(message[:size]) == leaf[: max(0, size - 11)]
