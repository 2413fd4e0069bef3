"""A region made by ``fsdctl region init``, with a real mosquitto that runs on its configuration."""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.adapters.tls import region_context
from fsd_agent.records.region import LocationRule, RegionPolicy
from fsd_agent.wire.policy import decode_policy
from fsd_tools.main import main
from fsd_tools.region.layout import RegionDir

NOT_AUTHORIZED = 0x87
CONNECT = bytes.fromhex("101200044d5154540502003c0000056361722d31")
"""MQTT 5, clean start, client id ``car-1``."""
CONNACK = 0x20
MOSQUITTO = shutil.which("mosquitto") or (
    "/usr/sbin/mosquitto" if Path("/usr/sbin/mosquitto").exists() else None
)
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def policy_of(region: RegionDir) -> RegionPolicy:
    return decode_policy(region.policy.read_bytes(), str(region.policy))


def init(root: Path, region_id: str, *more: str) -> int:
    return main(["region", "init", str(root), "--id", region_id, *more])


def test_every_file_is_there_and_every_key_is_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ("--jurisdiction", "DE", "--jurisdiction", "FR", "--port", "18884", "--location", "drop", "--json")
    assert init(tmp_path / "eu", "eu", *argv) == 0
    printed = json.loads(capsys.readouterr().out)
    region = RegionDir(tmp_path / "eu")
    policy = policy_of(region)
    assert printed["sealing_key_id"] == policy.sealing_key_id
    assert (policy.region_id, policy.jurisdictions) == ("eu", ("DE", "FR"))
    assert (policy.endpoints[0].port, policy.endpoints[0].server_name) == (18884, "broker.eu.fsd.invalid")
    assert policy.redaction.location is LocationRule.DROP
    assert policy.authority_pem == region.authority_cert.read_bytes()
    keys = sorted(region.root.rglob("*.key"))
    assert len(keys) == 9
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert not list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob(".*"))


def test_certificates_say_who_they_are_for(tmp_path: Path) -> None:
    assert init(tmp_path / "cn", "cn", "--jurisdiction", "CN") == 0
    region = RegionDir(tmp_path / "cn")
    broker = x509.load_pem_x509_certificate(region.broker_cert.read_bytes())
    names = broker.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.cn.fsd.invalid"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:fsd:region:cn"]
    authority = x509.load_pem_x509_certificate(region.authority_cert.read_bytes())
    for path, name in (
        (region.receiver_cert, "receiver"),
        (region.operator_cert, "operator"),
        (region.observer_cert, "observer"),
    ):
        client = x509.load_pem_x509_certificate(path.read_bytes())
        assert client.subject.rfc4514_string() == f"CN={name}"
        client.verify_directly_issued_by(authority)


def test_a_region_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "cn"
    root.mkdir()
    assert init(root, "cn", "--jurisdiction", "CN") == 0
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert init(root, "cn", "--jurisdiction", "CN") == 1
    assert "never overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("region_id", "argv", "field"),
    [
        ("CN", ("--jurisdiction", "CN"), "$.region"),
        ("cn", ("--jurisdiction", "China"), "$.jurisdictions[0]"),
        ("cn", ("--jurisdiction", "CN", "--jurisdiction", "CN"), "$.jurisdictions"),
        ("cn", ("--jurisdiction", "CN", "--port", "0"), "$.endpoints[0].port"),
        ("cn", ("--jurisdiction", "CN", "--location-grid-deg", "0"), "$.redaction.location_grid_deg"),
    ],
)
def test_a_wrong_choice_is_named_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], region_id: str, argv: tuple[str, ...], field: str
) -> None:
    assert init(tmp_path / "cn", region_id, *argv) == 1
    assert field in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class Peer:
    """One MQTT 5 client; everything it hears is in ``inbox``."""

    def __init__(
        self,
        policy: RegionPolicy,
        cert: Path,
        key: Path,
        client_id: str,
        *subscriptions: str,
        keep: bool = False,
    ) -> None:
        self.inbox: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.gone = False
        self._ready: queue.Queue[Any] = queue.Queue()
        self._acks: queue.Queue[Any] = queue.Queue()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        self._client.tls_set_context(region_context(policy, policy.endpoints[0], cert, key))
        self._client.on_connect = lambda *_: self._ready.put("connected")
        self._client.on_subscribe = lambda *_: self._ready.put("subscribed")
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = lambda _client, _data, _mid, reason, _properties: self._acks.put(reason)
        self._client.on_message = lambda _client, _data, message: self.inbox.put(
            (message.topic, bytes(message.payload))
        )
        expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        expiry.SessionExpiryInterval = 600 if keep else 0
        self._client.connect("127.0.0.1", policy.endpoints[0].port, clean_start=not keep, properties=expiry)
        self._client.loop_start()
        assert self._ready.get(timeout=10) == "connected"
        if subscriptions:
            self._client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in subscriptions])
            assert self._ready.get(timeout=10) == "subscribed"

    def _on_disconnect(self, *_: object) -> None:
        self.gone = True

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """The reason code of the answer."""
        self._client.publish(topic, payload, qos=1, retain=retain)
        return int(self._acks.get(timeout=10).value)

    def hears(self, topic: str, payload: bytes) -> bool:
        return self.inbox.get(timeout=10) == (topic, payload)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


Connect = Callable[..., Peer]


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegionDir]:
    """A region with two vehicles and its broker."""
    root = tmp_path_factory.mktemp("broker")
    port = free_port()
    assert init(root / "cn", "cn", "--jurisdiction", "CN", "--port", str(port)) == 0
    for vehicle in ("car-1", "car-2"):
        argv = ["vehicle", "enrol", str(root / "cn"), "--vehicle", vehicle, "-o", str(root / vehicle)]
        assert main(argv) == 0
    made = RegionDir(root / "cn")
    assert MOSQUITTO is not None
    with (root / "broker.log").open("wb") as log:
        process = subprocess.Popen([MOSQUITTO, "-c", str(made.broker_conf)], stderr=log, stdout=log)
    deadline = time.monotonic() + 10
    while not answers(port):
        assert process.poll() is None, (root / "broker.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield made
    process.terminate()
    process.wait(10)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def files_of(region: RegionDir, name: str) -> tuple[Path, Path]:
    if name == "receiver":
        return region.receiver_cert, region.receiver_key
    if name == "operator":
        return region.operator_cert, region.operator_key
    if name == "observer":
        return region.observer_cert, region.observer_key
    files = VehicleDir(region.root.parent / name)
    return files.tls_certificate("cn"), files.tls_key("cn")


@pytest.fixture
def connect(region: RegionDir) -> Iterator[Connect]:
    peers: list[Peer] = []

    def make(name: str, *subscriptions: str, client_id: str = "", keep: bool = False) -> Peer:
        cert, key = files_of(region, name)
        peer = Peer(policy_of(region), cert, key, client_id or name, *subscriptions, keep=keep)
        peers.append(peer)
        return peer

    yield make
    for peer in peers:
        peer.close()


OWN = "fsd/1/cn/vehicles/car-1"
OTHER = "fsd/1/cn/vehicles/car-2"
CAMPAIGNS = "fsd/1/cn/campaigns"


@needs_mosquitto
@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("car-2", f"{OWN}/up/fin/x"),
        ("car-2", f"{OWN}/down/receipt/x"),
        ("car-2", f"{OTHER}/down/receipt/x"),
        ("car-2", f"{OWN}/status"),
        ("car-2", CAMPAIGNS),
        ("car-2", "fsd/1/eu/vehicles/car-2/up/fin/x"),
        ("receiver", CAMPAIGNS),
        ("receiver", f"{OWN}/up/fin/x"),
        ("operator", f"{OWN}/up/fin/x"),
        ("observer", CAMPAIGNS),
        ("observer", f"{OWN}/status"),
        ("observer", f"{OWN}/down/receipt/x"),
        ("operator", f"{OWN}/down/receipt/x"),
    ],
)
def test_nobody_speaks_for_another(connect: Connect, name: str, topic: str) -> None:
    forger = connect(name)  # A connection each: this mosquitto ends one after a refusal.
    assert forger.publish(topic, b"forged", retain=True) == NOT_AUTHORIZED
    forger.close()
    operator = connect("operator", "#")
    listeners = [connect("car-1", "#"), connect("receiver", "#"), operator]
    assert operator.publish(CAMPAIGNS, b"marker") == 0
    # Retained or not, the forged message would have come before the marker.
    assert all(listener.hears(CAMPAIGNS, b"marker") for listener in listeners)


@needs_mosquitto
def test_a_vehicle_talks_to_its_receiver_and_no_other_vehicle_hears(connect: Connect) -> None:
    receiver = connect("receiver", "fsd/1/cn/vehicles/+/up/#")
    own = connect("car-1", f"{OWN}/down/#")
    nosy = connect("car-2", "#", f"{OWN}/down/#", "fsd/1/cn/vehicles/+/up/#", f"{OTHER}/down/#")
    assert own.publish(f"{OWN}/up/fin/x", b"mine") == 0
    assert receiver.hears(f"{OWN}/up/fin/x", b"mine")
    assert receiver.publish(f"{OWN}/down/receipt/x", b"receipt") == 0
    assert own.hears(f"{OWN}/down/receipt/x", b"receipt")
    assert receiver.publish(f"{OTHER}/down/receipt/y", b"for the other") == 0
    # Sent last and heard first: nothing of car-1 came before it.
    assert nosy.hears(f"{OTHER}/down/receipt/y", b"for the other")


@needs_mosquitto
def test_the_operator_pushes_campaigns_and_sees_every_status(connect: Connect) -> None:
    operator = connect("operator", "fsd/1/cn/vehicles/+/status")
    nosy = connect("car-2", "#")
    vehicle = connect("car-1", CAMPAIGNS)
    assert vehicle.publish(f"{OWN}/status", b"well", retain=True) == 0
    assert operator.hears(f"{OWN}/status", b"well")
    assert operator.publish(CAMPAIGNS, b"set 1", retain=True) == 0
    assert vehicle.hears(CAMPAIGNS, b"set 1")
    assert nosy.hears(CAMPAIGNS, b"set 1")
    assert operator.publish(CAMPAIGNS, b"", retain=True) == 0


@needs_mosquitto
def test_a_vehicle_can_not_end_anothers_session_by_taking_its_id(connect: Connect) -> None:
    receiver = connect("receiver", "fsd/1/cn/vehicles/+/up/#")
    own = connect("car-1")
    rogue = connect("car-2", client_id="car-1")
    other = connect("car-2", client_id="receiver")
    assert other.publish(f"{OTHER}/up/fin/x", b"1") == 0
    assert receiver.hears(f"{OTHER}/up/fin/x", b"1")
    assert own.publish(f"{OWN}/up/fin/x", b"2") == 0
    assert receiver.hears(f"{OWN}/up/fin/x", b"2")
    assert (own.gone, receiver.gone) == (False, False)
    rogue.close()


@needs_mosquitto
def test_what_waits_for_an_absent_receiver_is_all_there(connect: Connect) -> None:
    connect("receiver", "fsd/1/cn/vehicles/+/up/#", keep=True).close()
    vehicle = connect("car-1")
    for number in range(1500):  # Mosquitto's default would keep 1,000 and lose the rest without a word.
        vehicle.publish(f"{OWN}/up/seg/x/{number}", b"%d" % number)
    receiver = connect("receiver", keep=True)
    assert [receiver.inbox.get(timeout=10)[1] for _ in range(1500)] == [
        b"%d" % number for number in range(1500)
    ]


def first_answer(port: int, context: ssl.SSLContext) -> bytes:
    """What the broker says to a whole TLS handshake and a CONNECT."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="broker.cn.fsd.invalid") as secure,
    ):
        secure.sendall(CONNECT)
        return secure.recv(100)


@needs_mosquitto
def test_a_client_of_another_authority_or_of_none_is_refused(region: RegionDir, tmp_path: Path) -> None:
    policy = policy_of(region)
    assert (
        first_answer(
            policy.endpoints[0].port, region_context(policy, policy.endpoints[0], *files_of(region, "car-1"))
        )[0]
        == CONNACK
    )
    assert init(tmp_path / "cn", "cn", "--jurisdiction", "CN") == 0
    assert (
        main(["vehicle", "enrol", str(tmp_path / "cn"), "--vehicle", "car-1", "-o", str(tmp_path / "car-1")])
        == 0
    )
    stranger = region_context(policy, policy.endpoints[0], *files_of(RegionDir(tmp_path / "cn"), "car-1"))
    anonymous = ssl.create_default_context(cafile=str(region.authority_cert))
    for context in (stranger, anonymous):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            first_answer(policy.endpoints[0].port, context)


@needs_mosquitto
def test_plain_text_and_older_tls_are_refused(region: RegionDir) -> None:
    port = policy_of(region).endpoints[0].port
    older = ssl.create_default_context(cafile=str(region.authority_cert))
    older.load_cert_chain(*files_of(region, "car-1"))
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        first_answer(port, older)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(CONNECT)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = plain.recv(100)
        assert answer[:1] != bytes([CONNACK])
