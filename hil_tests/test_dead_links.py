"""Links that die without a word, links that are slow, and vehicles that slept: with real packets and a real broker."""

from __future__ import annotations

import contextlib
import queue
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.mqtt import MqttBroker, MqttOptions
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.ports.broker import Acked, Broker, BrokerEvent, Connected, Disconnected
from fsd_agent.records.region import Route
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import sample_registration
from fsd_agent.wire.transfer import SEGMENT_BYTES, Topics
from fsd_tools.bench.uplink_car import Car
from fsd_tools.bench.uplink_place import REGION, VEHICLE, WINDOW, Place
from fsd_tools.rig.namespaces import Network, why_not
from fsd_tools.rig.processes import Child
from hil_tests.wire.clock import WallClock

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

OPTIONS = MqttOptions(keepalive_s=1)
PATIENCE_S = 15.0
"""A kernel that is left alone waits a quarter of an hour."""
STATUS = Topics(REGION, VEHICLE).status
LOST = "table inet lost {\nchain forward {\ntype filter hook forward priority 0; policy drop;\n}\n}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Network() as network:
        for name in (VEHICLE, REGION):
            network.add(name)
        with contextlib.closing(Place(tmp_path_factory.mktemp("dead") / "place", network)) as made:
            made.count()
            yield made


@pytest.fixture(autouse=True)
def whole(place: Place) -> Iterator[None]:
    """The link is as it was."""
    yield
    network_of(place).router.nft("table inet lost { }\ndelete table inet lost\n")
    network_of(place).members[VEHICLE].run("tc", "qdisc", "replace", "dev", "eth0", "root", "pfifo")


def network_of(place: Place) -> Network:
    assert place.network is not None
    return place.network


def lose(place: Place) -> None:
    """From now on every packet vanishes."""
    network_of(place).router.nft(LOST)


def forget_connections(place: Place) -> None:
    """What a router does with one that was quiet for long: its packets vanish. New ones are welcome."""
    network = network_of(place)
    open_now = network.members[VEHICLE].run("ss", "-Htn", "state", "established")
    ports = ", ".join(line.split()[2].rpartition(":")[2] for line in open_now.splitlines())
    network.router.nft(
        "table inet lost {\nchain forward {\ntype filter hook forward priority 0;\n"
        f"tcp sport {{ {ports} }} drop\ntcp dport {{ {ports} }} drop\n}}\n}}\n"
    )


def shape(place: Place, rate: str) -> None:
    """What the vehicle's packets get through at."""
    network = network_of(place)
    vehicle = network.members[VEHICLE]
    vehicle.run("ip", "link", "set", "eth0", "gso_max_size", "1514", "gso_max_segs", "1")
    vehicle.run(
        "tc",
        "qdisc",
        "replace",
        "dev",
        "eth0",
        "root",
        "tbf",
        "rate",
        rate,
        "burst",
        "3000",
        "limit",
        "100000",
    )


class Line:
    """The vehicle's connection, as its delivering loop has it."""

    def __init__(self, place: Place, options: MqttOptions = OPTIONS) -> None:
        self.broker = MqttBroker(KeyFiles(place.vehicle.root), options)
        self.topics = Topics(REGION, VEHICLE)
        self.seen: list[BrokerEvent] = []
        route = Route(sample_registration(VEHICLE, "CN"), place.policy)
        self.broker.connect(route, place.policy.endpoints[0], ())
        self.until(lambda event: isinstance(event, Connected))

    def send(self, count: int) -> list[int]:
        """Segments of a clip that nobody asked for; their tokens."""
        return [
            self.broker.publish(
                self.topics.segment("0" * 32, number * SEGMENT_BYTES, bytes(32)), bytes(SEGMENT_BYTES)
            )
            for number in range(count)
        ]

    def until(self, wanted: Callable[[BrokerEvent], bool]) -> BrokerEvent:
        """The first event that is; everything that came is in ``seen``."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for event in self.broker.events(0.1):
                self.seen.append(event)
                if wanted(event):
                    return event
        raise AssertionError(f"not within {PATIENCE_S} s; there was {self.seen}")


def test_no_more_is_in_flight_than_the_broker_takes(place: Place) -> None:
    """Its configuration says 20, which it tells as Receive Maximum."""

    def drive() -> list[BrokerEvent]:
        line = Line(place, MqttOptions(window=64))
        line.broker.close()
        return line.seen

    (connected,) = network_of(place).members[VEHICLE].inside(drive)
    assert isinstance(connected, Connected)
    assert connected.window == 20


@pytest.mark.parametrize("in_flight", [0, 8])
def test_a_dead_link_is_noticed_whatever_is_in_flight(place: Place, in_flight: int) -> None:
    def drive() -> BrokerEvent:
        line = Line(place)
        lose(place)
        line.send(in_flight)
        return line.until(lambda event: isinstance(event, Disconnected))

    event = network_of(place).members[VEHICLE].inside(drive)
    assert isinstance(event, Disconnected)
    assert not event.refused


def test_a_link_on_which_a_segment_takes_longer_than_the_keep_alive_is_not_taken_for_dead(
    place: Place,
) -> None:
    def drive() -> list[BrokerEvent]:
        line = Line(place)
        shape(place, "200kbit")
        left = set(line.send(2))
        line.until(lambda event: _over(event, left))
        line.broker.close()
        return line.seen

    seen = network_of(place).members[VEHICLE].inside(drive)
    assert not any(isinstance(event, Disconnected) for event in seen)


def _over(event: BrokerEvent, left: set[int]) -> bool:
    """Whether it is over: everything was acknowledged, or the connection ended."""
    if isinstance(event, Acked):
        left.discard(event.token)
    return not left or isinstance(event, Disconnected)


class Noted:
    """The broker port as it is; notes in order what was given to it and what came back."""

    def __init__(self, inner: Broker) -> None:
        self.order: list[str] = []
        self.connect, self.wake = inner.connect, inner.wake
        self.close, self.abandon = inner.close, inner.abandon
        self._inner = inner

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self.order.append("status" if topic == STATUS else "clip")
        return self._inner.publish(topic, payload, retain=retain)

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self.order += ["clip"] * len(messages)
        return self._inner.publish_all(messages)

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        found = self._inner.events(timeout_s)
        self.order += ["acked" for event in found if isinstance(event, Acked)]
        return found


def test_a_status_leaves_with_the_next_acknowledgement_though_the_window_is_full_of_segments(
    place: Place,
) -> None:
    place.fill(1, 2_000_000, real=False)
    shape(place, "2mbit")

    def drive() -> list[str]:
        broker = Noted(MqttBroker(KeyFiles(place.vehicle.root), MqttOptions(window=WINDOW)))
        with contextlib.closing(Car(place.vehicle, place.data, RememberedEvents(), broker)) as car:
            deliverer = car.deliverer
            step_until(deliverer, lambda: deliverer.stats().in_flight == WINDOW)
            before = len(broker.order)
            deliverer.post(STATUS, b"status", retain=True)
            step_until(deliverer, lambda: "status" in broker.order[before:])
            return broker.order[before:]

    order = network_of(place).members[VEHICLE].inside(drive)
    assert order[: order.index("status")].count("clip") == 0, "and no segment was given in between"
    assert order[: order.index("status")].count("acked") >= 1, "the window was full"


def step_until(deliverer: Deliverer, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        deliverer.step(0.05)


def test_after_a_suspend_the_connection_is_made_anew_at_once_and_nothing_of_the_old_one_is_waited_for(
    place: Place, tmp_path: Path
) -> None:
    """The agent's own delivering loop, whose clock says that it slept; the link has forgotten its connection meanwhile."""
    clock = WallClock(tmp_path)
    if clock.why_not is not None:
        pytest.skip(clock.why_not)
    told: queue.Queue[Mapping[str, Any]] = queue.Queue()
    environment = [f"{name}={value}" for name, value in clock.environment.items()]
    argv = [
        sys.executable,
        "-m",
        "fsd_tools.bench.uplink_car",
        place.vehicle.root,
        place.data,
        "delivered",
        "8",
    ]
    inside = network_of(place).members[VEHICLE].argv("env", *environment, *argv)
    place.fill(1, 100_000, real=False)
    child = Child("car", inside, log=tmp_path / "car.log", on_event=told.put)
    try:
        heard(told, "connected")
        forget_connections(place)
        clock.suspend(3600)
        assert heard(told, "disconnected")["reason"] == "the vehicle was suspended"
        assert heard(told, "connected")["region"] == REGION
    finally:
        child.kill()
        clock.close()


def heard(told: queue.Queue[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    while (event := told.get(timeout=PATIENCE_S))["event"] != name:
        pass
    return event
