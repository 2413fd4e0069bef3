"""One agent's life without its threads: everything real but the samples and the clock, one step at a time.

Real are residence, control, sensing, recording, redaction, sealing, spool, journal, ledger, the delivering loop with what is
told of firings, TLS and MQTT; regions that were left get no turns here. Time can be made to pass (retries, looks at the registration) without waiting for it.

``broken`` takes a wall down, to show that the proof would notice: see :data:`BROKEN`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.mqtt import MqttBroker
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.adapters.trust_files import TrustFiles
from fsd_agent.pipeline.check import Means
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.control import Control
from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.finish import Finisher
from fsd_agent.pipeline.firings import FiringTeller
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.recover import apply_recovery
from fsd_agent.pipeline.residence import Residence
from fsd_agent.pipeline.sense import Sense
from fsd_agent.pipeline.video_work import AtAnyTime
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.ports.broker import Message
from fsd_agent.records.clip import ClipState
from fsd_agent.records.region import Hold, Route
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.unlimited import (
    AlwaysOn,
    EverythingIsNew,
    KeepsEverything,
    KeepsWhole,
    NoReserve,
    OpenGate,
)
from fsd_agent.wire.transfer import Topics
from hil_tests.wire.stand_ins import (
    CATALOGUE,
    OPTIONS,
    LeapClock,
    NotedBroker,
    S,
    Speeds,
    TrustingBroker,
    WrongSeal,
)

HORIZON_NS = 10 * S
BROKEN = ("tls", "routing", "sealing")
"""tls: whoever answers is trusted. routing: the first route is kept whatever the registration says. sealing: to the
key of another region than the clip's."""
QUIET_STEPS = 3
STEP_S = 0.01


class Life:
    """From a start to a stop or a kill."""

    def __init__(self, vehicle: Path, data: Path, broken: str) -> None:
        """Start; raises whatever an agent that can't start raises."""
        self.clock, self.events = LeapClock(), RememberedEvents()
        self.keys, files = KeyFiles(vehicle), VehicleDir(vehicle)
        data.mkdir(exist_ok=True)
        self.journal = SqliteJournal(data / "journal.db")
        staging, spool = StagingFiles(data / "staging", self.keys), SpoolFiles(data / "spool", self.keys)
        self.ledger = LedgerFiles(data / "ledger", keys=self.keys, clock=self.clock, events=self.events)
        self.firmware = Speeds(files, time.monotonic_ns())
        self.consent = ConsentKeeper(
            self.firmware.consent,
            keys=self.keys,
            journal=self.journal,
            ledger=self.ledger,
            clock=self.clock,
            events=self.events,
        )
        apply_recovery(self.journal, staging, spool, self.ledger, keys=self.keys, consent=self.consent)
        residence = Residence(
            self.firmware.registration,
            TrustFiles(vehicle),
            device_key_ids=lambda: {self.keys.device_key_id()},
            journal=self.journal,
            clock=self.clock,
            events=self.events,
        )
        self.residence = RecordedWhereabouts(residence, self.ledger, self.events)
        self.control = Control(
            journal=self.journal, events=self.events, catalogue=CATALOGUE, cameras=[], horizon_ns=HORIZON_NS
        )
        for policy in residence.policies:
            self.control.restore(policy)
        self.firings = FiringTeller(
            journal=self.journal,
            ledger=self.ledger,
            keys=self.keys,
            clock=self.clock,
            random=lambda: 0.5,
        )
        self.sense = self._sense(staging)
        sealing = WrongSeal(self.residence, residence.policies) if broken == "sealing" else self.residence
        self.finisher = self._finisher(staging, spool, sealing)
        self.broker = NotedBroker(
            TrustingBroker(self.keys) if broken == "tls" else MqttBroker(self.keys, OPTIONS)
        )
        first = self.residence.current
        self.deliverer = self._deliverer(
            spool, (lambda: first) if broken == "routing" else (lambda: self.residence.current)
        )

    def _finisher(
        self, staging: StagingFiles, spool: SpoolFiles, residence: WrongSeal | RecordedWhereabouts
    ) -> Finisher:
        return Finisher(
            journal=self.journal,
            staging=staging,
            spool=spool,
            ledger=self.ledger,
            residence=residence,
            consent=self.consent,
            means=Means(None, (), (), {}),
            keep=KeepsWhole(),
            select=KeepsEverything(),
            novelty=EverythingIsNew(),
            keys=self.keys,
            clock=self.clock,
            events=self.events,
            power=AlwaysOn(),
            video=AtAnyTime(),
        )

    def _deliverer(self, spool: SpoolFiles, route_source: Callable[[], Route | Hold]) -> Deliverer:
        return Deliverer(
            broker=self.broker,
            journal=self.journal,
            spool=spool,
            ledger=self.ledger,
            consent=self.consent,
            clock=self.clock,
            events=self.events,
            route_source=route_source,
            on_message=self._hear,
            random=lambda: 0.5,
            gate=OpenGate(),
            power=AlwaysOn(),
            firings=self.firings,
        )

    def _hear(self, route: Route, message: Message) -> None:
        if not self.firings.heard(route, message):
            self.control.on_message(route, message)

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
                ring=ring,
                staging=staging,
                journal=self.journal,
                ledger=self.ledger,
                events=self.events,
                new_id=new_id,
                room=NoReserve(),
                accepted=self.firings.noted,
            ),
            control=self.control,
            residence=self.residence,
            consent=self.consent,
            journal=self.journal,
            events=self.events,
            new_id=new_id,
            power=AlwaysOn(),
            video=AtAnyTime(),
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
            busy = now.in_flight or now.waiting_clips or self.firings.pending
            busy = busy or self.control.in_force(region) is None
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
        self.ledger.close()
        self.journal.close()
