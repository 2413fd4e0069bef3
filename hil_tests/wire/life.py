"""One agent's life without its threads: everything real but the samples and the clock, one step at a time.

Real are residence, control, sensing, recording, redaction, sealing, spool, journal, the delivering loop, TLS and
MQTT. Time can be made to pass (retries, looks at the registration) without waiting for it.

``broken`` takes a wall down, to show that the proof would notice: see :data:`BROKEN`.
"""

from __future__ import annotations

import secrets
import ssl
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, load_policies
from fsd_agent.adapters.mqtt import MqttBroker
from fsd_agent.adapters.mqtt_dial import Dial
from fsd_agent.adapters.mqtt_link import MqttLink, MqttOptions
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.recover import apply_recovery
from fsd_agent.pipeline.residence import Residence
from fsd_agent.pipeline.sense import Sense
from fsd_agent.ports.broker import Broker, BrokerEvent, Connected, Disconnected
from fsd_agent.records.clip import ClipState
from fsd_agent.records.region import Hold, RegionPolicy, Route
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.wire.transfer import Topics
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.samples import SensedBatch, Signals, empty_can, empty_gnss

S = 1_000_000_000
HORIZON_NS = 10 * S
CATALOGUE = Catalogue((CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, "speed"),))
VEHICLE = VehicleDescription((), CATALOGUE, None)
OPTIONS = MqttOptions(connect_timeout_s=1.0, close_timeout_s=0.2)
BROKEN = ("tls", "routing", "sealing")
"""tls: whoever answers is trusted. routing: the first route is kept whatever the registration says. sealing: to the
key of another region than the clip's."""
QUIET_STEPS = 3
STEP_S = 0.01


class LeapClock:
    """The machine's clocks; the monotonic one can be made to leap forward."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def monotonic_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.monotonic_ns() + self.ahead_ns

    def wall_ns(self) -> int:
        """See :class:`fsd_agent.ports.clock.Clock`."""
        return time.time_ns()


class Speeds:
    """Firmware: a registration file, and batches of one second each at a given speed."""

    def __init__(self, registration: Path, start_ns: int) -> None:
        self._registration = registration
        self._next_ns = start_ns
        self._speeds: list[float] = []

    def describe(self) -> VehicleDescription:
        """See :class:`fsd_firmware.contract.Firmware`."""
        return VEHICLE

    def registration(self) -> bytes | None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        try:
            return self._registration.read_bytes()
        except FileNotFoundError:
            return None

    def drive(self, *speeds: float) -> int:
        """Have these speeds in the next batches, one second each; how many."""
        self._speeds += speeds
        return len(speeds)

    def poll(self) -> SensedBatch | None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        start, until = self._next_ns, self._next_ns + S
        self._next_ns = until
        times = np.arange(start, until, S // 4)
        values = np.full(len(times), self._speeds.pop(0))
        return SensedBatch(
            until_ns=until,
            wall_minus_mono_ns=time.time_ns() - until,
            can=empty_can(),
            signals=Signals(times, np.zeros(len(times), np.int32), values),
            packets=(),
            frames=(),
            detections=(),
            gnss=empty_gnss(),
            modes=(),
        )

    def close(self) -> None:
        """See :class:`fsd_firmware.contract.Firmware`."""
        return


class TrustingBroker:
    """What a careless client does: dials, presents its certificate and talks, whoever answers."""

    def __init__(self, keys: KeyFiles) -> None:
        self._keys = keys
        self._link = MqttLink(OPTIONS)

    def connect(self, route: Route, subscriptions: tuple[str, ...]) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(*self._keys.tls_certificate(route.policy.region_id))
        endpoint = route.policy.endpoint
        self._link.connect(
            Dial(endpoint.host, endpoint.port, context, route.registration.vehicle, subscriptions)
        )

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._link.publish(topic, payload, retain=retain)

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._link.events(timeout_s)

    def wake(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._link.wake()

    def close(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._link.close()


class NotedBroker:
    """Notes attempts, so that one that is under way can be told from one that is not due yet."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.dialling = False

    def connect(self, route: Route, subscriptions: tuple[str, ...]) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self.dialling = True
        self._broker.connect(route, subscriptions)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        return self._broker.publish(topic, payload, retain=retain)

    def events(self, timeout_s: float) -> tuple[BrokerEvent, ...]:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        events = self._broker.events(timeout_s)
        self.dialling &= not any(isinstance(event, Connected | Disconnected) for event in events)
        return events

    def wake(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self._broker.wake()

    def close(self) -> None:
        """See :class:`fsd_agent.ports.broker.Broker`."""
        self.dialling = False
        self._broker.close()


class WrongSeal:
    """A residence whose routes carry another region's sealing key."""

    def __init__(self, residence: Residence, policies: list[RegionPolicy]) -> None:
        self._residence = residence
        self._policies = policies

    @property
    def current(self) -> Route | Hold:
        """See :class:`fsd_agent.pipeline.residence.Residence`."""
        where = self._residence.current
        if isinstance(where, Hold):
            return where
        other = next(one for one in self._policies if one.region_id != where.policy.region_id)
        wrong = replace(
            where.policy, sealing_key_id=other.sealing_key_id, sealing_public_key=other.sealing_public_key
        )
        return replace(where, policy=wrong)


class Life:
    """From a start to a stop or a kill."""

    def __init__(self, vehicle: Path, data: Path, broken: str) -> None:
        """Start; raises whatever an agent that can't start raises."""
        self.clock, self.events = LeapClock(), RememberedEvents()
        self.keys, files = KeyFiles(vehicle), VehicleDir(vehicle)
        data.mkdir(exist_ok=True)
        self.journal = SqliteJournal(data / "journal.db")
        staging = StagingFiles(data / "staging", self.keys.staging_key())
        spool = SpoolFiles(data / "spool")
        apply_recovery(self.journal, staging, spool)
        policies = load_policies(vehicle)
        usable = [one for one in policies if isinstance(one, RegionPolicy)]
        self.control = Control(
            journal=self.journal, events=self.events, catalogue=CATALOGUE, cameras=[], horizon_ns=HORIZON_NS
        )
        for policy in usable:
            self.control.restore(policy)
        self.firmware = Speeds(files.registration, time.monotonic_ns())
        self.residence = Residence(self.firmware.registration, policies, clock=self.clock, events=self.events)
        self.sense = self._sense(staging)
        self.finisher = Finisher(
            journal=self.journal,
            staging=staging,
            spool=spool,
            residence=WrongSeal(self.residence, usable) if broken == "sealing" else self.residence,  # type: ignore[arg-type]
            codec=None,
            detector=None,
            sizes={},
            keys=self.keys,
            clock=self.clock,
            events=self.events,
        )
        first = self.residence.current
        self.broker = NotedBroker(
            TrustingBroker(self.keys) if broken == "tls" else MqttBroker(self.keys, OPTIONS)
        )
        self.deliverer = Deliverer(
            broker=self.broker,
            journal=self.journal,
            spool=spool,
            clock=self.clock,
            events=self.events,
            route_source=(lambda: first) if broken == "routing" else (lambda: self.residence.current),
            on_message=self.control.on_message,
            random=lambda: 0.5,
        )

    def _sense(self, staging: StagingFiles) -> Sense:
        ring = Ring(CATALOGUE, horizon_ns=HORIZON_NS, max_bytes=1 << 20)

        def new_id() -> str:
            return secrets.token_hex(16)

        return Sense(
            firmware=self.firmware,
            detector=None,
            min_score=0.0,
            engine=TriggerEngine(CATALOGUE),
            ring=ring,
            recorder=Recorder(
                ring=ring, staging=staging, journal=self.journal, events=self.events, new_id=new_id
            ),
            control=self.control,
            residence=self.residence,
            journal=self.journal,
            events=self.events,
            new_id=new_id,
        )

    def collect(self) -> None:
        """Get faster than the campaign asks for, once, and seal what it wanted."""
        for _ in range(self.firmware.drive(10.0, 50.0, 10.0)):
            self.sense.step()
        while self.finisher.step():
            pass

    def deliver(self, budget_s: float, ahead_s: float) -> None:
        """Let time pass, say something, and work on delivery until nothing more happens."""
        self.clock.ahead_ns += round(ahead_s * S)
        where = self.residence.current
        region = where.policy.region_id if isinstance(where, Route) else None
        if isinstance(where, Route):
            topics = Topics(where.policy.region_id, where.registration.vehicle)
            self.deliverer.post(topics.status, b"{}", retain=True)
        self.deliverer.notify()
        failed, quiet = self.deliverer.stats().connection_failures, 0
        end_s = time.monotonic() + budget_s
        while time.monotonic() < end_s and quiet < QUIET_STEPS:
            self.deliverer.step(STEP_S)
            now = self.deliverer.stats()
            if not now.region_id or (not now.connected and now.connection_failures > failed):
                return
            # Every region here has campaigns for everybody: without them nothing fires.
            busy = now.in_flight or now.waiting_clips or self.control.in_force(region) is None
            quiet = 0 if self.broker.dialling or (now.connected and busy) else quiet + 1

    def report(self) -> dict[str, object]:
        """What it has, for the schedule's record."""
        where, stats = self.residence.current, self.deliverer.stats()
        return {
            "where": where.policy.region_id if isinstance(where, Route) else f"hold: {where.reason}",
            "trouble": stats.trouble,
            "connections": stats.connections,
            "clips": {
                row.clip_id: (row.region_id, str(row.state)) for row in self.journal.clips(set(ClipState))
            },
        }

    def stop(self) -> None:
        """A clean end."""
        self.deliverer.close()
        self.sense.stop()
        self.journal.close()
