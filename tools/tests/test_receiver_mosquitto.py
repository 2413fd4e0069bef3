"""The whole uplink over a real mosquitto with mutual TLS: processes killed, connections cut, wrong brokers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.mqtt import MqttBroker, MqttOptions
from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.adapters.tls import region_context
from fsd_agent.pipeline.consent import Consents
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.firings import FiringTeller
from fsd_agent.pipeline.link import LinkLimits
from fsd_agent.pipeline.redact import redact
from fsd_agent.ports.broker import Acked, BrokerEvent, Connected, Disconnected, Message, Peer
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip
from fsd_agent.records.firing import Firing, JudgedFiring, Telling
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Route
from fsd_agent.rules.uplink.backoff import BackoffPolicy
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_registration
from fsd_agent.testing.sealed import as_file, seal_bytes, sealed_sample
from fsd_agent.testing.streams import looks, row
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.wire.clip import decode_clip, encode_clip
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.policy import decode_policy, encode_policy
from fsd_agent.wire.transfer import Topics
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import Kind, empty_gnss, empty_signals
from fsd_tools.data import data_dir
from fsd_tools.drive.generate.camera import lens_of
from fsd_tools.drive.generate.extras import make_actors
from fsd_tools.drive.generate.options import Daylight, GenerateOptions
from fsd_tools.drive.generate.render import Renderer
from fsd_tools.drive.generate.world import make_world
from fsd_tools.errors import ToolError
from fsd_tools.main import main
from fsd_tools.model.assemble import assemble_package
from fsd_tools.region.firings import FiringStore
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.mosquitto import Mosquitto, find_mosquitto

try:
    find_mosquitto()
except ToolError as error:
    pytest.skip(str(error), allow_module_level=True)

FAST = BackoffPolicy(first_ns=50_000_000, most_ns=200_000_000)
LIMITS = UplinkLimits(answer_timeout_ns=1_000_000_000, retry=FAST)
LINK_LIMITS = LinkLimits(network_retry=FAST, refused_retry=FAST)
OPTIONS = MqttOptions(window=8)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Place:
    """A region, an enrolled vehicle with a real journal and spool, and the region's process."""

    def __init__(self, root: Path, region_id: str = "cn", jurisdiction: str = "CN") -> None:
        self.root = root
        self.region = RegionDir(root / region_id)
        self.port = free_port()
        argv = ["region", "init", str(self.region.root), "--id", region_id, "--jurisdiction", jurisdiction]
        assert main([*argv, "--port", str(self.port)]) == 0
        car = root / "car"
        assert main(["vehicle", "enrol", str(self.region.root), "--vehicle", "car-1", "-o", str(car)]) == 0
        self.keys = KeyFiles(car)
        policy = decode_policy(self.region.policy.read_bytes(), "policy")
        self.route = Route(sample_registration("car-1", jurisdiction), policy)
        self.topics = Topics(region_id, "car-1")
        self.journal = SqliteJournal(root / "journal.db")
        self.spool = SpoolFiles(root / "spool", keyed(region_id))
        self.ledger = LedgerFiles(
            root / "ledger", keys=self.keys, clock=SystemClock(), events=RememberedEvents()
        )
        self.sent: dict[str, bytes] = {}
        self.teller: FiringTeller | None = None
        self.process: subprocess.Popen[str] | None = None
        self.told: list[dict[str, Any]] = []
        self._readers: list[threading.Thread] = []

    def peer(self) -> Peer:
        """Who its broker proves to be."""
        policy = self.route.policy
        der = ssl.PEM_cert_to_DER_cert(self.region.broker_cert.read_text())
        digest = hashlib.sha256(der).digest()
        endpoint = policy.endpoints[0]
        return Peer(endpoint.host, endpoint.port, policy.identity_uri, digest)

    def add(self, number: int, filler_bytes: int = 200_000) -> str:
        clip = f"{number:032x}"
        return self.put(number, sealed_sample(self.route, self.keys, clip, filler_bytes=filler_bytes))

    def put(self, number: int, sealed: bytes) -> str:
        """A sealed file is in the spool, and to be delivered."""
        clip = f"{number:032x}"
        self.sent[clip] = sealed
        region_id = self.route.policy.region_id
        self.journal.accept(
            (),
            (ClipRow(clip, region_id, Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 0),),
        )
        self.journal.captured(clip, cut=False)
        self.journal.sealed(self.spool.put(at(region_id), clip, as_file(self.sent[clip])))
        return clip

    def serve(self, *more: str) -> None:
        argv = [sys.executable, "-m", "fsd_tools", "region", "serve", str(self.region.root), "--json", *more]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        reader = threading.Thread(target=self._read, args=(self.process,))
        reader.start()
        self._readers.append(reader)
        start = len(self.told)
        wait_for(lambda: any(event["event"] == "ready" for event in self.told[start:]), "the region is ready")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with contextlib.suppress(json.JSONDecodeError):  # the half line of a killed process
                    self.told.append(json.loads(line))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(15)
        self.process = None
        while self._readers:
            self._readers.pop().join()
        return code

    def fire(self, number: int) -> str:
        """Nothing is kept for it, and its region is to be told."""
        firing_id, firing = f"{number:032x}", Firing("walker", 1, number, (("Vehicle.Speed", 8.5),))
        telling = Telling(Purpose.SAFETY, ("Vehicle.Speed",))
        region_id = self.route.policy.region_id
        drop = DropReason.SAMPLED_OUT
        self.journal.accept([JudgedFiring(firing_id, firing, number, None, drop, region_id, telling)], ())
        if self.teller is not None:
            self.teller.noted()
        return firing_id

    def untold(self) -> list[str]:
        region_id = self.route.policy.region_id
        return [one.judged.firing_id for one in self.journal.untold(region_id, limit=100)]

    def telling(self, consent: Consents | None = None) -> Deliverer:
        """A new process that also tells of firings."""
        self.teller = teller = FiringTeller(
            journal=self.journal,
            ledger=self.ledger,
            keys=self.keys,
            clock=SystemClock(),
            random=random.random,
        )

        def hear(route: Route, message: Message) -> None:
            teller.heard(route, message)

        return self.deliverer(on_message=hear, firings=teller, consent=consent or PlainConsent())

    def heard(self, name: str) -> list[str]:
        """Firings or clips that the region told of, in its order."""
        key = "clip" if name == "stored" else name
        return [event[key] for event in self.told if event["event"] == name]

    def deliverer(self, **more: Any) -> Deliverer:
        return Deliverer(
            broker=MqttBroker(self.keys, OPTIONS),
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            clock=SystemClock(),
            events=RememberedEvents(),
            route_source=lambda: self.route,
            random=random.random,
            limits=LIMITS,
            link_limits=LINK_LIMITS,
            gate=OpenGate(),
            power=AlwaysOn(),
            **({"on_message": lambda _route, _message: None, "consent": PlainConsent()} | more),
        )

    def delivered(self) -> set[str]:
        return {row.clip_id for row in self.journal.clips({ClipState.DELIVERED})}

    def check_store(self) -> None:
        """Every clip once, whole, and nothing else."""
        folder = self.region.store / "car-1"
        names = {path.name for path in folder.iterdir()}
        assert names == {f"{clip}{end}" for clip in self.sent for end in (".mcap", ".json")}
        for clip, sealed in self.sent.items():
            assert decode_clip((folder / f"{clip}.mcap").read_bytes()).clip_id == clip
            facts = json.loads((folder / f"{clip}.json").read_text())
            assert facts["sealed_sha256"] == FileIdentity.of(sealed).sha256.hex()
        stored = [event["clip"] for event in self.told if event["event"] == "stored"]
        assert len(stored) == len(set(stored))

    def close(self) -> None:
        if self.process is not None:
            self.stop()
        self.journal.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with contextlib.closing(Place(tmp_path)) as made:
        yield made


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def run(deliverer: Deliverer, until: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not until() and time.monotonic() < deadline:
        deliverer.step(0.05)
    return until()


def collect(broker: MqttBroker, until: Callable[[list[BrokerEvent]], bool]) -> list[BrokerEvent]:
    seen: list[BrokerEvent] = []
    deadline = time.monotonic() + 15
    while not until(seen) and time.monotonic() < deadline:
        seen.extend(broker.events(0.05))
    assert until(seen), seen
    return seen


def has(kind: type[BrokerEvent]) -> Callable[[list[BrokerEvent]], bool]:
    return lambda seen: any(isinstance(event, kind) for event in seen)


def test_clips_arrive_and_the_region_stops_cleanly(place: Place) -> None:
    for number in range(4):
        place.add(number)
    place.serve()
    deliverer = place.deliverer()
    assert run(deliverer, lambda: place.delivered() == set(place.sent))
    deliverer.close()
    assert place.spool.entries() == frozenset()
    assert place.stop(signal.SIGINT) == 0
    place.check_store()
    assert place.told[-1]["event"] == "stopped"
    received = sum(event["bytes"] for event in place.told if event["event"] == "received")
    assert received == deliverer.stats().sent[0].bytes
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", place.port), timeout=1)


def test_the_region_killed_again_and_again_stores_every_clip_once(place: Place) -> None:
    chance = random.Random(7)
    for number in range(6):
        place.add(number, 300_000)
    place.serve()
    deliverer = place.deliverer()
    for _ in range(4):
        run(deliverer, lambda: place.delivered() == set(place.sent), timeout_s=chance.uniform(0.0, 0.4))
        place.stop(signal.SIGKILL)
        wait_for(lambda: not listens(place.port), "the broker ends with its parent")
        place.serve()
    assert run(deliverer, lambda: place.delivered() == set(place.sent))
    deliverer.close()
    place.stop()
    place.check_store()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_the_car_killed_in_the_middle_starts_again_and_sends_what_is_missing(place: Place) -> None:
    """Each round is a new delivering loop on the same disk, dropped without a word in the middle."""
    for number in range(3):
        place.add(number, 600_000)
    place.serve()
    for _ in range(6):
        deliverer = place.deliverer()
        run(deliverer, lambda: place.delivered() == set(place.sent), timeout_s=random.uniform(0.01, 0.1))
    assert run(place.deliverer(), lambda: place.delivered() == set(place.sent))
    place.stop()
    place.check_store()


def test_a_firing_arrives_before_a_clip_that_was_there_first(place: Place) -> None:
    clip = place.add(1, 30_000_000)
    place.serve()
    deliverer = place.telling()
    assert run(deliverer, lambda: deliverer.stats().acknowledged > 20), "the clip is under way"
    one = place.fire(1)
    assert run(deliverer, lambda: not place.untold())
    assert place.delivered() == set(), "the clip is not there yet"
    assert run(deliverer, lambda: place.delivered() == {clip}, timeout_s=60)
    deliverer.close()
    place.stop()
    order = [event["event"] for event in place.told if event["event"] in {"firing", "stored"}]
    assert order == ["firing", "stored"]
    assert place.heard("firing") == [one]


def test_firings_arrive_once_whatever_is_killed_in_between(place: Place) -> None:
    """The region by SIGKILL, the car's loop by being dropped without a word."""
    chance, fired = random.Random(5), set()
    place.serve()
    for life in range(6):
        fired |= {place.fire(10 * life + number) for number in range(5)}
        run(place.telling(), lambda: not place.untold(), timeout_s=chance.uniform(0.02, 0.4))
        if life % 2:
            place.stop(signal.SIGKILL)
            wait_for(lambda: not listens(place.port), "the broker ends with its parent")
            place.serve()
    last = place.telling()
    assert run(last, lambda: not place.untold(), timeout_s=60)
    last.close()
    place.stop()
    assert {one.firing for one in FiringStore(place.region.firings).of("car-1")} == fired
    assert sorted(place.heard("firing")) == sorted(set(place.heard("firing"))), "none was new twice"


def test_without_consent_no_byte_of_a_firing_goes(place: Place) -> None:
    place.fire(1)
    place.serve()
    consent = PlainConsent(frozenset())
    deliverer = place.telling(consent)
    assert run(deliverer, lambda: deliverer.stats().connected)
    run(deliverer, lambda: False, timeout_s=1.0)
    assert deliverer.stats().sent == ()
    consent.give(Purpose.SAFETY)
    assert run(deliverer, lambda: not place.untold())
    deliverer.close()


def test_a_vehicle_can_not_tell_of_another_ones_firings(place: Place) -> None:
    place.serve()
    broker = MqttBroker(place.keys, OPTIONS)
    broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
    collect(broker, has(Connected))
    token = broker.publish(Topics("cn", "car-2").firing("1" * 32), b"a lie")
    (answer,) = [event for event in collect(broker, has(Acked)) if isinstance(event, Acked)]
    broker.close()
    assert answer.token == token
    assert "authorized" in answer.refusal
    place.stop()
    assert not [one for one in place.told if one["event"] in {"firing", "ignored", "held", "received"}]


def test_nothing_is_published_before_the_connack(place: Place) -> None:
    """A server that finishes TLS and reads, but never answers the CONNECT, hears nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.region.broker_cert, place.region.broker_key)
    context.load_verify_locations(place.region.authority_cert)
    context.verify_mode = ssl.CERT_REQUIRED
    heard = bytearray()
    done = threading.Event()

    listener = socket.create_server(("127.0.0.1", place.port))

    def answer_nothing() -> None:
        with listener:
            listener.settimeout(10)
            with context.wrap_socket(listener.accept()[0], server_side=True) as peer:
                peer.settimeout(0.2)
                while not done.is_set():
                    with contextlib.suppress(TimeoutError):
                        heard.extend(peer.recv(65536))

    server = threading.Thread(target=answer_nothing)
    server.start()
    place.add(1)
    deliverer = place.deliverer()
    run(deliverer, lambda: False, timeout_s=1.5)
    done.set()
    deliverer.close()
    server.join()
    assert heard[0] == 0x10, "CONNECT"
    assert heard[2 + heard[1] :] in (b"", b"\xe0\x00"), "and then nothing but DISCONNECT"
    assert deliverer.stats().sent == ()


def test_a_broker_of_another_region_gets_nothing_and_is_told_apart_from_a_network_fault(
    place: Place, tmp_path: Path
) -> None:
    """The host answers as another region's broker: its authority, name and identity are wrong."""
    with contextlib.closing(Place(tmp_path / "other", "eu", "DE")) as other:
        other.serve()
        policy = place.route.policy
        moved = encode_policy(policy).replace(
            f"port = {place.port}".encode(), f"port = {other.port}".encode()
        )
        place.route = Route(place.route.registration, decode_policy(moved, "moved"))
        place.add(1)
        deliverer = place.deliverer()
        run(deliverer, lambda: deliverer.stats().brokers_refused > 0)
        stats = deliverer.stats()
        deliverer.close()
        other.stop()
    assert stats.brokers_refused > 0
    assert "not the broker of region 'cn'" in stats.trouble
    assert stats.sent == ()
    assert not any(event["event"] == "received" for event in other.told)
    assert place.journal.clips({ClipState.SEALED})


def test_nobody_listening_is_a_network_fault(place: Place) -> None:
    broker = MqttBroker(place.keys, OPTIONS)
    broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
    (event,) = collect(broker, has(Disconnected))
    assert isinstance(event, Disconnected)
    assert not event.refused
    assert "refused" in event.reason.lower()
    broker.close()


def test_a_vehicle_without_a_certificate_is_told_so(place: Place) -> None:
    VehicleDir(place.root / "car").tls_current("cn").unlink()
    broker = MqttBroker(place.keys, OPTIONS)
    broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
    (event,) = collect(broker, has(Disconnected))
    assert isinstance(event, Disconnected)
    assert not event.refused
    assert "enrol the vehicle" in event.reason
    broker.close()


def test_an_expired_certificate_dials_nobody(place: Place) -> None:
    later = time.time_ns() + 731 * 86_400 * 10**9
    with Mosquitto(place.region, "127.0.0.1", place.port):
        broker = MqttBroker(place.keys, OPTIONS, wall_ns=lambda: later)
        broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
        (event,) = collect(broker, has(Disconnected))
        assert isinstance(event, Disconnected)
        assert "certificate for region 'cn' has expired at 20" in event.reason
        assert "fsdctl vehicle enrol --renew" in event.reason
        assert not event.refused, "a renewed one is to count soon"
        broker.close()


def test_a_renewed_certificate_is_used_at_the_next_connection(place: Place) -> None:
    car = place.root / "car"
    with Mosquitto(place.region, "127.0.0.1", place.port):
        broker = MqttBroker(place.keys, OPTIONS)
        pairs = []
        for _ in range(2):
            broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
            assert any(isinstance(event, Connected) for event in collect(broker, has(Connected)))
            broker.close()
            pairs.append(place.keys.tls_certificate("cn"))
            assert main(["vehicle", "enrol", str(place.region.root), "--renew", "-o", str(car)]) == 0
        assert pairs[0] != pairs[1]


def test_the_adapter_publishes_hears_wakes_and_says_when_it_is_cut(place: Place) -> None:
    with Mosquitto(place.region, "127.0.0.1", place.port) as mosquitto:
        broker = MqttBroker(place.keys, OPTIONS)
        broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
        (up,) = [one for one in collect(broker, has(Connected)) if isinstance(one, Connected)]
        assert up == Connected(8, place.peer())
        token = broker.publish(place.topics.status, b"well", retain=True)
        assert Acked(token) in collect(broker, has(Acked))
        threading.Timer(0.1, broker.wake).start()
        start = time.monotonic()
        assert broker.events(10) == ()
        assert time.monotonic() - start < 5
        mosquitto.stop()
        seen = collect(broker, has(Disconnected))
        assert not any(isinstance(event, Disconnected) and event.refused for event in seen)
        assert broker.publish(place.topics.status, b"into the void") < 0, "forgotten, as what was in flight"
        broker.close()
        broker.close()


def test_a_publish_that_the_acl_forbids_is_answered_with_a_refusal(place: Place) -> None:
    """Mosquitto 2.0.11 then also closes the connection, which is no refusal of this vehicle."""
    with Mosquitto(place.region, "127.0.0.1", place.port):
        broker = MqttBroker(place.keys, OPTIONS)
        broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
        collect(broker, has(Connected))
        token = broker.publish("fsd/1/cn/vehicles/car-2/status", b"lie")
        (answer,) = [event for event in collect(broker, has(Acked)) if isinstance(event, Acked)]
        assert answer.token == token
        assert "authorized" in answer.refusal
        broker.close()


def test_a_session_keeps_what_the_region_said_while_the_vehicle_was_away(place: Place) -> None:
    with Mosquitto(place.region, "127.0.0.1", place.port):
        broker = MqttBroker(place.keys, OPTIONS)
        broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
        collect(broker, has(Connected))
        broker.close()
        topic = f"{place.topics.base}down/have/{'0' * 32}"
        publish_as(place.region, "receiver", topic, b"while you were away")
        broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
        assert Message(topic, b"while you were away", retained=False) in collect(broker, has(Message))
        broker.close()


SIZE, STEP_NS, SHOWN, AT_S = (960, 540), 50_000_000, 2, 18.0
"""Of a rendered clip; in its pictures a model sees the person in front as surely as on a street (0.7 and more)."""


def rendered(route: Route, clip_id: str, *, forget: bool) -> RedactedClip:
    """A rendered street through the agent's redaction; where ``forget``, nobody had seen the person in front."""
    options = GenerateOptions(seconds=20.0, seed=1, width=SIZE[0], height=SIZE[1], daylight=Daylight.DAY)
    world = make_world(options)
    renderer = Renderer(world, make_actors(world), lens_of("front", *SIZE))
    shown = [renderer.frame(AT_S + n * STEP_NS / 1e9) for n in range(SHOWN)]
    frames = [frame_from_bgr(n * STEP_NS, bgr) for n, (bgr, _) in enumerate(shown)]
    packets = tuple(PyAvCodec().encode("front", frames, fps=20.0, keyframe_every=SHOWN))
    seen = []
    for n, (_, truth) in enumerate(shown):
        boxes = [(int(one.kind), 0.9, one.box) for one in truth]
        persons = [box for box in boxes if box[0] == Kind.PEDESTRIAN]
        front = max(persons, key=lambda box: box[2][3] - box[2][1])
        seen.append((n * STEP_NS, [box for box in boxes if not (forget and box is front)]))
    where = replace(row(0, SHOWN * STEP_NS, cameras=("front",), signals=()), clip_id=clip_id)
    detections = (looks("front", "firmware", seen),)
    clip = Clip(where, (), (), empty_signals(), packets, detections, empty_gnss(), ())
    done = redact(clip, route.policy.redaction, PyAvCodec(), (), sizes={"front": SIZE})
    assert isinstance(done, RedactedClip), done
    return done


def test_a_clip_with_an_open_head_is_set_apart_and_a_clean_one_is_released(place: Place) -> None:
    """Served with a checker: both are receipted at once, and readers get the clean one alone."""
    weights = data_dir() / "models"
    if not weights.is_dir():
        pytest.skip(f"no models in {data_dir()} (FSD_DATA)")
    package = assemble_package("nanodet-m-416", weights, place.root / "nanodet-m-416")
    clips = []
    for number, forget in enumerate((False, True)):
        done = rendered(place.route, f"{number:032x}", forget=forget)
        content = encode_clip(done, vehicle="car-1", provenance={})
        clips.append(place.put(number, seal_bytes(place.route, place.keys, f"{number:032x}", content)))
    place.serve("--check", str(package))
    assert run(place.deliverer(), lambda: place.delivered() == set(clips))
    wait_for(
        lambda: {event["event"] for event in place.told} >= {"released", "quarantined"},
        "both are looked at",
        timeout_s=60,
    )
    assert place.stop() == 0
    names = {
        root.name: {path.stem for path in root.rglob("*.mcap")}
        for root in (place.region.unchecked, place.region.store, place.region.quarantine)
    }
    assert names == {"unchecked": set(), "store": {clips[0]}, "quarantine": {clips[1]}}
    report = json.loads((place.region.quarantine / "car-1" / f"{clips[1]}.report").read_text())
    assert report["fault"] == ""
    assert set(report["misses"]) == {"head"}


def publish_as(region: RegionDir, who: str, topic: str, payload: bytes) -> None:
    """With a link of the region's own."""
    policy = decode_policy(region.policy.read_bytes(), "policy")
    context = region_context(policy, policy.endpoints[0], region.receiver_cert, region.receiver_key)
    link = MqttLink(OPTIONS)
    link.connect(Dial(policy.endpoints[0], context, who, ()))
    seen: list[BrokerEvent] = []
    while not any(isinstance(event, Connected) for event in seen):
        seen.extend(link.events(1))
    link.publish(topic, payload)
    while not any(isinstance(event, Acked) for event in seen):
        seen.extend(link.events(1))
    link.close()


def test_a_large_message_both_ways_is_whole(place: Place) -> None:
    """TLS records left in OpenSSL's buffer, and writes that the socket takes in parts."""
    payload = secrets.token_bytes(200_000)
    with Mosquitto(place.region, "127.0.0.1", place.port):
        broker = MqttBroker(place.keys, OPTIONS)
        broker.connect(place.route, place.route.policy.endpoints[0], place.topics.subscriptions)
        collect(broker, has(Connected))
        for number in range(8):
            broker.publish(place.topics.segment("0" * 32, number * 65536, bytes(32)), payload)
        seen = collect(broker, lambda seen: sum(isinstance(event, Acked) for event in seen) == 8)
        assert not any(event.refusal for event in seen if isinstance(event, Acked))
        topic = f"{place.topics.base}down/have/{'0' * 32}"
        publish_as(place.region, "receiver", topic, payload)
        (message,) = [event for event in collect(broker, has(Message)) if isinstance(event, Message)]
        assert message.payload == payload
        broker.close()


def test_a_port_that_is_taken_and_a_missing_region_are_plain_errors(place: Place, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", place.port)),
        pytest.raises(ToolError, match="listens there already"),
    ):
        Mosquitto(place.region, "127.0.0.1", place.port).__enter__()
    assert main(["region", "serve", str(tmp_path / "nowhere")]) == 1


def test_a_broken_configuration_shows_the_brokers_own_words(place: Place) -> None:
    place.region.broker_conf.write_text("no_such_option true\n")
    with pytest.raises(ToolError, match="no_such_option"):
        Mosquitto(place.region, "127.0.0.1", place.port).__enter__()


def test_the_broker_ends_when_its_parent_is_killed(place: Place) -> None:
    place.serve()
    assert place.process is not None
    children = Path(f"/proc/{place.process.pid}/task/{place.process.pid}/children").read_text().split()
    (pid,) = [int(child) for child in children]
    place.stop(signal.SIGKILL)
    wait_for(lambda: not _alive(pid), "mosquitto ended")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    os.kill(pid, 0)
    return state != "Z"
