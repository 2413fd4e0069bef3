"""One region, two enrolled vehicles and a broker of some kind, with the real sender and the real receiver on either side."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.mqtt import MqttBroker, MqttOptions
from fsd_agent.adapters.mqtt_link import MqttLink
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.link import LinkLimits
from fsd_agent.ports.broker import BrokerEvent, Connected, Disconnected
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import Route, TransferProfile
from fsd_agent.rules.uplink.backoff import BackoffPolicy
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_registration
from fsd_agent.testing.sealed import as_file, sealed_sample
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.wire.clip import decode_clip
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.transfer import Topics
from fsd_tools.main import main
from fsd_tools.region.broker import RECEIVER, receiver_subscriptions
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import dial_as, load_policy
from fsd_tools.region.receiver import Receiver
from fsd_tools.region.serve import OPTIONS as SERVE_OPTIONS
from fsd_tools.region.serve import Runner
from hil_tests.interop.brokers import BrokerProcess

REGION, CAR, OTHER_CAR = "cn", "car-1", "car-2"
WINDOW = 8
FAST = BackoffPolicy(first_ns=50_000_000, most_ns=400_000_000)
LIMITS = UplinkLimits(answer_timeout_ns=1_500_000_000, retry=FAST)
LINK_LIMITS = LinkLimits(network_retry=FAST, refused_retry=FAST)
WAIT_S = 40.0


class Bench:
    """See the module. Close it."""

    def __init__(
        self,
        root: Path,
        kind: type[BrokerProcess],
        transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS,
    ) -> None:
        port = free_port()
        self.region = RegionDir(root / REGION)
        make_region(self.region.root, port, transfer)
        for vehicle in (CAR, OTHER_CAR):
            enrol(self.region.root, vehicle, root / vehicle)
        self.root = root
        self.policy = load_policy(self.region)
        self.options = MqttOptions(window=WINDOW, only_version=kind.traits.only)
        self.broker = kind(self.region, port, root / "broker", (CAR, OTHER_CAR))
        self.keys = KeyFiles(root / CAR)
        self.route = Route(sample_registration(CAR, "CN"), self.policy)
        self.topics = Topics(REGION, CAR)
        self.journal = SqliteJournal(root / "journal.db")
        self.spool = SpoolFiles(root / "spool", keyed(REGION))
        self.ledger = LedgerFiles(
            root / "ledger", keys=self.keys, clock=SystemClock(), events=RememberedEvents()
        )
        self.sent: dict[str, bytes] = {}
        self.told: Counter[str] = Counter()
        self._receiving: tuple[threading.Thread, threading.Event, MqttLink] | None = None
        self._faults: list[BaseException] = []

    def add(self, filler_bytes: int) -> str:
        """A sealed clip in the spool; its id."""
        number = len(self.sent)
        clip = f"{number:032x}"
        self.sent[clip] = sealed_sample(self.route, self.keys, clip, filler_bytes=filler_bytes)
        row = ClipRow(clip, REGION, Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 0)
        self.journal.accept((), (row,))
        self.journal.captured(clip, cut=False)
        self.journal.sealed(self.spool.put(at(REGION), clip, as_file(self.sent[clip])))
        return clip

    def deliverer(self, keys: KeyFiles | None = None) -> Deliverer:
        """The vehicle's delivering loop, as a new process would have it."""
        return Deliverer(
            broker=MqttBroker(keys or self.keys, self.options),
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            consent=PlainConsent(),
            clock=SystemClock(),
            events=RememberedEvents(),
            route_source=lambda: self.route,
            on_message=lambda _route, _message: None,
            random=random.random,
            limits=LIMITS,
            link_limits=LINK_LIMITS,
            gate=OpenGate(),
            power=AlwaysOn(),
        )

    def delivered(self) -> bool:
        """Every clip was, as the vehicle's journal has it."""
        return {row.clip_id for row in self.journal.clips({ClipState.DELIVERED})} == set(self.sent)

    def vehicle(self, vehicle: str = CAR, client_id: str = "", *listens_to: str) -> Client:
        """A connection with the certificate of ``vehicle``, by itself."""
        certificate, key = KeyFiles(self.root / vehicle).tls_certificate(REGION)
        return self.client(client_id or vehicle, certificate, key, *listens_to)

    def client(self, who: str, certificate: Path, key: Path, *listens_to: str) -> Client:
        """Any connection to the broker."""
        dial = dial_as(self.policy, who, certificate, key, listens_to)
        link = MqttLink(self.options)
        return Client(link, lambda: link.connect(dial))

    def receive(self) -> None:
        """Start the region's receiver, in a thread; returns when it listens."""
        listens = receiver_subscriptions(self.policy)
        dial = dial_as(self.policy, RECEIVER, self.region.receiver_cert, self.region.receiver_key, listens)
        link = MqttLink(replace(SERVE_OPTIONS, only_version=self.options.only_version))
        stop, ready = threading.Event(), threading.Event()

        def tell(name: str, _fields: object) -> None:
            self.told[name] += 1
            if name == "ready":
                ready.set()

        runner = Runner(link, lambda: dial, Receiver(self.region, on_event=tell), tell)

        def run() -> None:
            try:
                runner.run(stop, lambda: None)
            except BaseException as error:  # noqa: BLE001 - raised again by the test's own thread
                self._faults.append(error)
                ready.set()

        thread = threading.Thread(target=run)
        thread.start()
        self._receiving = thread, stop, link
        assert ready.wait(WAIT_S), f"the receiver is not ready\n{self.broker.log_tail()}"
        self.check()

    def stop_receiving(self) -> None:
        """End the receiver; its session stays with the broker."""
        if self._receiving is not None:
            thread, stop, link = self._receiving
            self._receiving = None
            stop.set()
            link.wake()
            thread.join(WAIT_S)
            assert not thread.is_alive()

    def check(self) -> None:
        """Raise what went wrong in the receiver's thread."""
        if self._faults:
            raise self._faults[0]

    def check_store(self) -> None:
        """Every clip once, whole, and nothing else."""
        self.check()
        folder = self.region.store / CAR
        names = {path.name for path in folder.iterdir()}
        assert names == {f"{clip}{end}" for clip in self.sent for end in (".mcap", ".json")}
        for clip, sealed in self.sent.items():
            assert decode_clip((folder / f"{clip}.mcap").read_bytes()).clip_id == clip
            facts = json.loads((folder / f"{clip}.json").read_text())
            assert facts["sealed_sha256"] == FileIdentity.of(sealed).sha256.hex()
        assert self.told["stored"] == len(self.sent)

    def close(self) -> None:
        """End everything."""
        self.stop_receiving()
        self.broker.stop()
        self.journal.close()


class Client:
    """One connection that remembers what happened on it. Close it."""

    def __init__(self, link: MqttLink, dial: Callable[[], None]) -> None:
        self.seen: list[BrokerEvent] = []
        self._link = link
        self._dial = dial

    def connect(self) -> Connected | None:
        """Twice, because a broker of 3.1.1 is found out at the first; None when it could not."""
        for _ in range(2):
            self._dial()
            # What the session kept may come before.
            self.until(lambda: any(isinstance(event, Connected | Disconnected) for event in self.seen))
            found = [event for event in self.seen if isinstance(event, Connected)]
            if found:
                return found[-1]
            self.seen.clear()
        return None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Its token."""
        return self._link.publish(topic, payload, retain=retain)

    def until(self, condition: Callable[[], bool], timeout_s: float = WAIT_S) -> bool:
        """Drive the connection until ``condition`` holds; whether it does."""
        deadline_s = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < deadline_s:
            self.seen += self._link.events(0.05)
        return condition()

    def hears(self, event: BrokerEvent, timeout_s: float = WAIT_S) -> bool:
        """Whether this very event comes."""
        return self.until(lambda: event in self.seen, timeout_s)

    def close(self) -> None:
        """Disconnect."""
        self._link.close()


def make_region(root: Path, port: int, transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS) -> None:
    """As its operator does."""
    argv = ["region", "init", str(root), "--id", REGION, "--jurisdiction", "CN", "--port", str(port)]
    assert main([*argv, "--transfer", transfer]) == 0


def enrol(region: Path, vehicle: str, root: Path) -> None:
    """As its operator does."""
    assert main(["vehicle", "enrol", str(region), "--vehicle", vehicle, "-o", str(root)]) == 0


def drive(deliverer: Deliverer, until: Callable[[], bool], timeout_s: float = WAIT_S) -> bool:
    """Step the delivering loop until ``until`` holds; whether it does."""
    deadline_s = time.monotonic() + timeout_s
    while not until() and time.monotonic() < deadline_s:
        deliverer.step(0.05)
    return until()


def free_port() -> int:
    """Free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
