"""What the link does about brokers that do not speak MQTT 5, over mutual TLS: a broker that refuses, and how it says so."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.mqtt import MqttBroker, MqttOptions
from fsd_agent.ports.broker import BrokerEvent, Connected, Disconnected
from fsd_agent.records.region import Route
from fsd_agent.rules.uplink.versions import MqttVersion
from fsd_agent.testing.regions import sample_registration
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.transfer import Topics
from fsd_tools.main import main
from fsd_tools.region.layout import RegionDir

CODE_1 = b"\x20\x02\x00\x01"
"""CONNACK of 3.1.1: unacceptable protocol version."""
CODE_0X84 = b"\x20\x03\x00\x84\x00"
"""CONNACK of 5: unsupported protocol version."""
ACCEPTED = b"\x20\x02\x00\x00"
V5, V311 = 5, 4


class OldBroker:
    """Takes CONNECT and SUBSCRIBE in the versions it ``speaks``, and answers others as it was told to."""

    def __init__(self, region: RegionDir, says: bytes, speaks: tuple[int, ...] = (V311,)) -> None:
        self.heard: list[tuple[int, bytes]] = []
        """Protocol level and flags of every CONNECT."""
        self.sends = b""
        """Sent behind the SUBACK."""
        self._says = says
        self._speaks = speaks
        self.context = server_context(region, region.authority_cert)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with (
                plain,
                contextlib.suppress(OSError),
                self.context.wrap_socket(plain, server_side=True) as peer,
            ):
                peer.settimeout(10)
                self._talk(peer)

    def _talk(self, peer: ssl.SSLSocket) -> None:
        connect = _packet(peer)
        name = 2 + int.from_bytes(connect[:2], "big")
        level, flags = connect[name], connect[name + 1 : name + 2]
        self.heard.append((level, flags))
        if level not in self._speaks:
            peer.sendall(self._says)
            return
        peer.sendall(ACCEPTED if level == V311 else b"\x20\x03\x00\x00\x00")
        subscribe = _packet(peer)
        answer = subscribe[:2] + (b"" if level == V311 else b"\x00") + b"\x01\x01"
        peer.sendall(b"\x90" + bytes([len(answer)]) + answer + self.sends)
        while _packet(peer):
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(15)
        assert not self._thread.is_alive()


def server_context(region: RegionDir, authority: Path) -> ssl.SSLContext:
    """The region's broker to vehicles that ``authority`` certified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(region.broker_cert, region.broker_key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _packet(peer: ssl.SSLSocket) -> bytes:
    """What is behind the fixed header; of a DISCONNECT or an end, nothing."""
    if peer.recv(1) in {b"", b"\xe0"}:
        return b""
    size, shift, more = 0, 0, True
    while more:
        byte = peer.recv(1)[0]
        size, shift, more = size | (byte & 127) << shift, shift + 7, byte > 127
    data = b""
    while len(data) < size:
        data += peer.recv(size - len(data))
    return data or b"ping"


class Car:
    """A vehicle with its one region, and a connection that is dialled again and again."""

    def __init__(self, root: Path) -> None:
        self.region = RegionDir(root / "cn")
        assert main(["region", "init", str(self.region.root), "--id", "cn", "--jurisdiction", "CN"]) == 0
        car = root / "car"
        assert main(["vehicle", "enrol", str(self.region.root), "--vehicle", "car-1", "-o", str(car)]) == 0
        self.keys = KeyFiles(car)
        self.text = self.region.policy.read_bytes()

    def dial(self, broker: MqttBroker, port: int) -> BrokerEvent:
        text = self.text.replace(b"port = 8883", b"port = %d" % port)
        route = Route(sample_registration("car-1", "CN"), decode_policy(text, "policy"))
        assert route.policy.endpoints[0].port == port
        broker.connect(route, route.policy.endpoints[0], Topics("cn", "car-1").subscriptions)
        return events(broker)[-1]


def events(broker: MqttBroker) -> tuple[BrokerEvent, ...]:
    """What happens next, all of it."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if found := broker.events(0.1):
            return found
    raise AssertionError("nothing happened")


@pytest.fixture(scope="module")
def car(tmp_path_factory: pytest.TempPathFactory) -> Car:
    return Car(tmp_path_factory.mktemp("versions"))


@contextlib.contextmanager
def standing(car: Car, says: bytes, *speaks: int) -> Iterator[OldBroker]:
    with contextlib.closing(OldBroker(car.region, says, speaks or (V311,))) as broker:
        yield broker


@pytest.mark.parametrize("says", [CODE_1, CODE_0X84, b""], ids=["code 1", "0x84", "closed"])
def test_a_broker_of_3_1_1_is_spoken_to_in_3_1_1_at_the_next_attempt_and_from_then_on(
    car: Car, says: bytes
) -> None:
    link = MqttBroker(car.keys)
    with standing(car, says) as broker:
        first = car.dial(link, broker.port)
        assert isinstance(first, Disconnected)
        assert not first.refused, "not this vehicle: the next attempt need not wait long"
        assert "MQTT 5; the other version is next" in first.reason
        second = car.dial(link, broker.port)
        assert isinstance(second, Connected)
        assert (second.mqtt, second.window) == ("3.1.1", MqttOptions().window)
        assert isinstance(car.dial(link, broker.port), Connected)
        assert [level for level, _ in broker.heard] == [V5, V311, V311]
        clean_session = {flags[0] & 2 for _, flags in broker.heard}
        assert clean_session == {0}, "the session is kept in either version"
        link.close()


def test_a_broker_that_speaks_neither_is_no_refusal_and_hears_both_in_turn(car: Car) -> None:
    link = MqttBroker(car.keys)
    with standing(car, CODE_1, 3) as broker:
        for _ in range(4):
            event = car.dial(link, broker.port)
            assert isinstance(event, Disconnected)
            assert not event.refused
        assert [level for level, _ in broker.heard] == [V5, V311, V5, V311]


def test_a_refusal_of_this_vehicle_is_none_of_the_version(car: Car) -> None:
    link = MqttBroker(car.keys)
    with standing(car, b"\x20\x03\x00\x87\x00", 3) as broker:
        for _ in range(2):
            event = car.dial(link, broker.port)
            assert isinstance(event, Disconnected)
            assert event.refused
            assert "Not authorized" in event.reason
        assert [level for level, _ in broker.heard] == [V5, V5]


def test_a_certificate_that_the_broker_does_not_take_is_none_of_the_version(car: Car, tmp_path: Path) -> None:
    """Its alert comes behind our CONNECT, or is lost in a reset: an end without a CONNACK."""
    stranger = Car(tmp_path)
    link = MqttBroker(car.keys)
    with standing(car, CODE_1, V5) as broker:
        good, broker.context = broker.context, server_context(car.region, stranger.region.authority_cert)
        for _ in range(4):
            event = car.dial(link, broker.port)
            assert isinstance(event, Disconnected)
            assert "version" not in event.reason
        broker.context = good
        event = car.dial(link, broker.port)
        assert isinstance(event, Connected)
        assert event.mqtt == "5"
        assert [level for level, _ in broker.heard] == [V5]
        link.close()


def test_one_version_alone_is_kept_to_and_then_a_refusal_is_one(car: Car) -> None:
    only = MqttBroker(car.keys, MqttOptions(only_version=MqttVersion.V5))
    with standing(car, CODE_1) as broker:
        for _ in range(2):
            event = car.dial(only, broker.port)
            assert isinstance(event, Disconnected)
            assert event.refused
            assert "Unsupported protocol version" in event.reason
        assert [level for level, _ in broker.heard] == [V5, V5]


@pytest.mark.parametrize("version", [V5, V311])
def test_a_packet_beyond_our_limit_ends_the_connection_before_it_takes_memory(car: Car, version: int) -> None:
    link = MqttBroker(car.keys, MqttOptions(inbound_bytes=4096))
    with standing(car, CODE_1, version) as broker:
        broker.sends = b"\x30\xff\xff\xff\x7f" + b"x" * 1000  # PUBLISH of 256 MiB
        event = car.dial(link, broker.port)
        if version == V311:
            event = car.dial(link, broker.port)
        if isinstance(event, Connected):
            event = events(link)[-1]
        assert isinstance(event, Disconnected)
        assert "a packet of 268435455 bytes, at most 4096" in event.reason
        link.close()
