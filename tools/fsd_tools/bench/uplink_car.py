"""The vehicle's side of ``fsdctl bench uplink``, in a process of its own: the agent's delivering loop on its real stores.

``python -m fsd_tools.bench.uplink_car VEHICLE_DIR DATA_DIR UNTIL WINDOW``. ``UNTIL`` is ``taken``: the broker has acknowledged
the last message of every sealed clip; or ``delivered``: every receipt is verified and recorded. Prints the agent's
events as JSON lines, and last ``{"event": "measured", ...}`` with the fields of :class:`Measured`.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import msgspec

from fsd_agent.adapters.event_log import StreamEvents
from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.mqtt import MqttBroker
from fsd_agent.adapters.mqtt_link import MqttOptions
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.adapters.trust_files import TrustFiles
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.link import LinkLimits
from fsd_agent.pipeline.residence import Residence
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.ports.broker import Broker
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.events import EventName, EventSink, EventValue
from fsd_agent.records.clip import ClipState
from fsd_agent.rules.uplink.backoff import BackoffPolicy
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.wire.rotation import linked_key_ids
from fsd_agent.wire.transfer import UpKind
from fsd_tools.bench.frame import peak_mb
from fsd_tools.rig.rig import RigVehicle

Until = Literal["taken", "delivered"]
SYSTEM_CLOCK = SystemClock()
LIMIT_S = 120.0
STEP_S = 0.5
"""As the agent's own loop waits."""
RETRY = BackoffPolicy(first_ns=100_000_000, most_ns=200_000_000)
"""Cuts follow each other within a second here: the agent's own pauses would only make the benchmark longer."""


class Measured(msgspec.Struct, frozen=True):
    """From the first connection to the end."""

    seconds: float
    cpu_s: float
    """Of this process, all threads."""
    clip_bytes: int
    given_bytes: int
    """Segments that were given to connections, repeats included; without questions."""
    delivered_clips: int
    connections: int
    peak_mb: float
    trouble: str


class CountingBroker:
    """The broker port as it is, with the bytes of segments counted; see :class:`fsd_agent.ports.broker.Broker`."""

    def __init__(self, inner: Broker) -> None:
        self.given_bytes = 0
        self.connect, self.events, self.wake = inner.connect, inner.events, inner.wake
        self.close, self.abandon = inner.close, inner.abandon
        self.publish = inner.publish
        self._publish_all = inner.publish_all

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> list[int]:
        """Counted when they are given, whatever becomes of them."""
        self.given_bytes += sum(
            len(payload) for topic, payload in messages if f"/up/{UpKind.SEGMENT}/" in topic
        )
        return self._publish_all(messages)


class Meter:
    """The event sink: passes everything on, and looks at the clocks at the first connection and at the last end."""

    def __init__(self, until: Until) -> None:
        self.left: set[str] = set()
        """Clips that are not there yet."""
        self.began_s = self.began_cpu_s = self.took_s = self.took_cpu_s = 0.0
        self._ending: EventName = "sent" if until == "taken" else "delivered"
        self._onward = StreamEvents(sys.stdout, as_json=True)

    def emit(self, event: EventName, /, **fields: EventValue) -> None:
        """See :class:`fsd_agent.ports.events.EventSink`."""
        if event == "connected" and not self.began_s:
            self.began_s, self.began_cpu_s = time.perf_counter(), time.process_time()
        if event == self._ending:
            self.left.discard(str(fields["clip"]))
            if not self.left and not self.took_s:
                self.took_s = time.perf_counter() - self.began_s
                self.took_cpu_s = time.process_time() - self.began_cpu_s
        self._onward.emit(event, **fields)


class Car:
    """The delivering loop on the stores of a vehicle, put together as the agent does. Close it."""

    def __init__(
        self,
        root: RigVehicle,
        data: Path,
        events: EventSink,
        broker: Broker,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        keys = KeyFiles(root.root)
        self.journal = SqliteJournal(data / "journal.db")
        self._beside = ThreadPoolExecutor(1, "check")
        self._ledger = LedgerFiles(data / "ledger", keys=keys, clock=clock, events=events)
        journal, ledger = self.journal, self._ledger
        residence = Residence(
            root.registration.read_bytes,
            TrustFiles(root.root),
            device_key_ids=lambda: linked_key_ids(keys.rotations(), keys.device_key_id()),
            journal=journal,
            clock=clock,
            events=events,
        )
        where = RecordedWhereabouts(residence, ledger, events)
        self.deliverer = Deliverer(
            broker=broker,
            journal=journal,
            spool=SpoolFiles(data / "spool", keys),
            ledger=ledger,
            consent=ConsentKeeper(
                root.consent.read_bytes, keys=keys, journal=journal, ledger=ledger, clock=clock, events=events
            ),
            clock=clock,
            events=events,
            route_source=lambda: where.current,
            on_message=lambda _route, _message: None,
            random=random.SystemRandom().random,
            link_limits=LinkLimits(network_retry=RETRY),
            gate=OpenGate(),
            power=AlwaysOn(),
            beside=self._beside,
        )

    def close(self) -> None:
        """Disconnect, and close the stores."""
        self.deliverer.close()
        self._beside.shutdown()
        self._ledger.close()
        self.journal.close()


def main(argv: list[str]) -> int:
    """Send every sealed clip of the journal."""
    root, data, until, window = RigVehicle(Path(argv[0])), Path(argv[1]), argv[2], int(argv[3])
    if until not in {"taken", "delivered"}:
        raise ValueError(f"until {until!r}: taken or delivered")
    meter = Meter("taken" if until == "taken" else "delivered")
    broker = CountingBroker(MqttBroker(KeyFiles(root.root), MqttOptions(window=window)))
    with contextlib.closing(Car(root, data, meter, broker)) as car:
        rows = car.journal.clips({ClipState.SEALED})
        meter.left |= {row.clip_id for row in rows}
        deadline_s = time.monotonic() + LIMIT_S
        while meter.left and time.monotonic() < deadline_s:
            car.deliverer.step(STEP_S)
        stats = car.deliverer.stats()
    measured = Measured(
        seconds=meter.took_s,
        cpu_s=meter.took_cpu_s,
        clip_bytes=sum(row.size_bytes for row in rows),
        given_bytes=broker.given_bytes,
        delivered_clips=stats.delivered_clips,
        connections=stats.connections,
        peak_mb=peak_mb(os.getpid()),
        trouble=stats.trouble,
    )
    print(msgspec.json.encode({"event": "measured", **msgspec.to_builtins(measured)}).decode(), flush=True)
    return 1 if meter.left else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
