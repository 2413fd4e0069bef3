"""The part of ``fsdctl bench uplink`` about links that die and vehicles that sleep: how soon that is noticed."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.mqtt import MqttBroker, MqttOptions
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.ports.events import EventName, EventValue
from fsd_tools.bench.frame import Figure, Goal, Progress, figure
from fsd_tools.bench.uplink_car import Car
from fsd_tools.bench.uplink_far import far_place
from fsd_tools.bench.uplink_place import REGION, VEHICLE, WINDOW, Place
from fsd_tools.errors import ToolError
from fsd_tools.rig.namespaces import Network

CLIP_BYTES: Final = 64 << 20
"""Half a minute of the slow link: it is being sent all the time."""
SETTLE_S: Final = 2.0
PATIENCE_S: Final = 60.0
ASLEEP_NS: Final = 3_600_000_000_000


class SleepyClock(SystemClock):
    """The machine's clocks, which can be made to tell of a suspend that was none."""

    asleep_ns = 0

    def suspended_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return super().suspended_ns() + self.asleep_ns


@dataclass(frozen=True, slots=True)
class Told:
    """The event sink: who waits for an event gets the moment that it was told, monotonic seconds."""

    events: queue.Queue[tuple[EventName, float]] = field(default_factory=queue.Queue)

    def emit(self, event: EventName, /, **_fields: EventValue) -> None:
        """See :class:`fsd_agent.ports.events.EventSink`."""
        self.events.put((event, time.monotonic()))

    def wait(self, wanted: EventName) -> float:
        """Raises :class:`ToolError` where it does not come."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                event, at_s = self.events.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                raise ToolError(f"bench uplink: no event {wanted!r} within {PATIENCE_S:g} s") from None
            if event == wanted:
                return at_s


def bench_faults(root: Path, progress: Progress) -> list[Figure]:
    """Seconds until a dead link is noticed, and until a vehicle that slept is connected again."""
    with far_place(root, "faults") as (place, network):
        place.count()
        progress("a dead link, nothing in flight")
        idle_s = _inside(network, lambda: _noticed_s(place, network))
        place.fill(1, CLIP_BYTES, real=False)
        progress("a dead link, a full window in flight")
        busy_s = _inside(network, lambda: _noticed_s(place, network))
        progress("after a suspend")
        awake_s = _inside(network, lambda: _awake_s(place, network))
    return [
        figure("dead link, nothing in flight: noticed after", idle_s, "s", goal=Goal("<=", 30, of="value")),
        figure(
            "dead link, a full window in flight: noticed after", busy_s, "s", goal=Goal("<=", 30, of="value")
        ),
        figure("suspend, connected again after", awake_s, "s", goal=Goal("<=", 2, of="value")),
    ]


def _inside(network: Network, act: Callable[[], float]) -> float:
    return network.members[VEHICLE].inside(act)


def _noticed_s(place: Place, network: Network) -> float:
    with _driving(place, SystemClock()) as told:
        began_s = _drop(network, "iifname eth0 meta l4proto tcp drop")
        try:
            return told.wait("disconnected") - began_s
        finally:
            network.members[REGION].nft("delete table inet dead\n")


def _awake_s(place: Place, network: Network) -> float:
    clock = SleepyClock()
    with _driving(place, clock) as told:
        # As a router on the way that keeps a table of connections: it knows nothing of this one any more.
        open_now = network.members[VEHICLE].run("ss", "-Htn", "state", "established").splitlines()
        ports = ", ".join(line.split()[2].rpartition(":")[2] for line in open_now)
        _drop(network, f"tcp sport {{ {ports} }} drop")
        began_s = time.monotonic()
        clock.asleep_ns = ASLEEP_NS
        try:
            return told.wait("connected") - began_s
        finally:
            network.members[REGION].nft("delete table inet dead\n")


def _drop(network: Network, rule: str) -> float:
    """From the moment that is returned on, what comes from the vehicle under this rule vanishes."""
    network.members[REGION].nft(
        f"table inet dead {{\nchain input {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"
    )
    return time.monotonic()


@contextlib.contextmanager
def _driving(place: Place, clock: SystemClock) -> Iterator[Told]:
    """The delivering loop in a thread, connected for a while."""
    told, stop = Told(), threading.Event()
    broker = MqttBroker(KeyFiles(place.vehicle.root), MqttOptions(window=WINDOW))
    with contextlib.closing(Car(place.vehicle, place.data, told, broker, clock)) as car:
        loop = threading.Thread(target=car.deliverer.run, args=(stop,))
        loop.start()
        try:
            told.wait("connected")
            time.sleep(SETTLE_S)
            yield told
        finally:
            stop.set()
            car.deliverer.notify()
            loop.join()
