"""A slow link: what is small does not wait for what is large, over a real broker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.mqtt import MqttBroker, MqttOptions
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.ports.broker import Acked, Broker, BrokerEvent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.wire.transfer import Topics
from fsd_tools.bench.uplink_car import Car
from fsd_tools.bench.uplink_place import REGION, VEHICLE, WINDOW, Place
from fsd_tools.rig.far import Far
from fsd_tools.rig.namespaces import Network, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

STATUS = Topics(REGION, VEHICLE).status
PATIENCE_S = 30.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Two megabits a second, and a hundred milliseconds there and back."""
    with Network() as network:
        for name in (VEHICLE, REGION):
            network.add(name)
        with (
            Far(network, VEHICLE, REGION, round_trip_s=0.1, rate_bps=2_000_000, log=tmp_path / "far.log"),
            contextlib.closing(Place(tmp_path / "place", network)) as made,
        ):
            yield made


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

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        found = self._inner.events(timeout_s)
        self.order += ["acked" for event in found if isinstance(event, Acked)]
        return found


def test_a_status_leaves_with_the_next_acknowledgement_though_the_window_is_full_of_segments(
    place: Place,
) -> None:
    place.fill(1, 2_000_000, real=False)
    place.count()

    def drive() -> list[str]:
        broker = Noted(MqttBroker(KeyFiles(place.vehicle.root), MqttOptions(window=WINDOW)))
        with contextlib.closing(Car(place.vehicle, place.data, RememberedEvents(), broker)) as car:
            deliverer = car.deliverer
            step_until(deliverer, lambda: deliverer.stats().in_flight == WINDOW)
            before = len(broker.order)
            deliverer.post(STATUS, b"status", retain=True)
            step_until(deliverer, lambda: "status" in broker.order[before:])
            return broker.order[before:]

    assert place.network is not None
    order = place.network.members[VEHICLE].inside(drive)
    assert order[: order.index("status")].count("clip") == 0, "and no segment was given in between"
    assert order[: order.index("status")].count("acked") >= 1, "the window was full"


def step_until(deliverer: Deliverer, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        deliverer.step(0.05)
