"""A bench: a vehicle with clips of two regions on board, and both regions, on fakes that behave."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.left import LeftClips as LeftEraser
from fsd_agent.pipeline.residence import LOOK_EVERY_NS, Residence
from fsd_agent.pipeline.turns import Turns
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.ledger import Cause, ConsentChanged, Copy, Erased, Fired, Redacted, Sealed
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import LeftClips, Route
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import AtRegion, RegionView
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.region import MemoryRegion
from fsd_agent.testing.regions import sample_document, sample_registration
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.wire.pieces import FileIdentity
from fsd_agent.wire.transfer import receiver_subscription

S = 1_000_000_000
JURISDICTION = {"cn": "CN", "eu": "DE"}


class Bench:
    """A vehicle with clips of two regions on board, and both regions."""

    def __init__(self, left_clips: LeftClips) -> None:
        self.regions = {
            "cn": MemoryRegion("cn", port=8883),
            "eu": MemoryRegion("eu", port=8884, jurisdictions=("DE",)),
        }
        for region in self.regions.values():
            policy = dataclasses.replace(region.sample.policy, left_clips=left_clips)
            region.sample = dataclasses.replace(region.sample, policy=policy)
        self.brokers = {"cn": MemoryBroker(), "eu": MemoryBroker()}
        for region_id, broker in self.brokers.items():
            broker.listen(receiver_subscription(region_id), self.regions[region_id].handle)
        self.journal, self.keys = MemoryJournal(), keyed("cn", "eu")
        self.spool, self.staging = MemorySpool(self.keys), MemoryStaging(self.keys)
        self.clock, self.events, self.serial = ManualClock(), RememberedEvents(), 0
        self.trust = MemoryTrust.of(*(region.sample for region in self.regions.values()))
        self.register("cn")
        self.ledger = MemoryLedger(keys=self.keys, clock=self.clock)
        self.ledger.append(ConsentChanged(Purpose.SAFETY, given=True))
        residence = Residence(
            lambda: self.document,
            self.trust,
            device_key_ids=lambda: {self.keys.device_key_id()},
            journal=self.journal,
            clock=self.clock,
            events=self.events,
        )
        self.residence = RecordedWhereabouts(residence, self.ledger, self.events)
        self.turns = Turns(self.residence, self.journal, self.clock)
        ports = {("127.0.0.1", 8883): self.brokers["cn"], ("127.0.0.1", 8884): self.brokers["eu"]}
        self.connection = MemoryConnection(ports)
        self.give_up = GiveUp(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            ledger=self.ledger,
            events=self.events,
        )
        self.deliverer = self.new_deliverer(tuple)
        self.eraser = LeftEraser(
            journal=self.journal,
            give_up=self.give_up,
            residence=self.residence,
            connected_to=lambda: self.deliverer.stats().region_id,
            clock=self.clock,
            events=self.events,
        )

    def new_deliverer(self, overdue: Callable[[], Sequence[str]]) -> Deliverer:
        return Deliverer(
            broker=self.connection,
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            consent=PlainConsent(),
            clock=self.clock,
            events=self.events,
            route_source=self.turns.current,
            on_message=lambda _route, _message: None,
            random=random.Random(1).random,
            overdue=overdue,
            gate=OpenGate(),
            power=AlwaysOn(),
        )

    def register(self, region_id: str | None) -> None:
        self.serial += 1
        jurisdiction = JURISDICTION.get(region_id or "", "US")
        self.document = sample_document(sample_registration("car-1", jurisdiction, self.serial))
        self.clock.advance(LOOK_EVERY_NS)  # until then the vehicle goes by the document before

    def add(self, number: int, region_id: str, *, sealed: bool = True) -> str:
        clip_id = f"{number:032x}"
        self.journal.accept(
            (),
            (
                ClipRow(
                    clip_id, region_id, Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 0
                ),
            ),
        )
        self.staging.open(at(region_id), clip_id).close()
        self.journal.captured(clip_id, cut=False)
        fired = Fired(clip_id, region_id, Purpose.SAFETY, f"f{number}", "c", 1)
        self.ledger.append(fired)
        if sealed:
            self.staging.erase(at(region_id), clip_id)
            file = self.spool.put(at(region_id), clip_id, as_file(random.Random(number).randbytes(3000)))
            self.ledger.append(
                Redacted(clip_id, region_id, (), (), 0, 0, "dropped"),
                Sealed(clip_id, region_id, "car-1", 1, 1, "0" * 16, file.sha256, file.size_bytes),
                Erased(clip_id, region_id, Copy.STAGED, Cause.SEALED),
            )
            self.journal.sealed(file)
        return clip_id

    def state(self, clip_id: str) -> ClipState:
        row = self.journal.clip(clip_id)
        assert row is not None
        return row.state

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        for _ in range(int(seconds * 10)):
            if until():
                return True
            self.eraser.step()
            self.deliverer.step(0)
            self.clock.advance(S // 10)
        return until()

    def route(self) -> str:
        self.clock.advance(LOOK_EVERY_NS)
        where = self.turns.current()
        return where.policy.region_id if isinstance(where, Route) else "hold"

    def check(self) -> None:
        """Every byte of a clip that any broker ever got was of its own region, and the ledger holds all of it."""
        views = {
            region_id: RegionView(
                region_id,
                region.sample.policy.identity_uri,
                region.sample.policy.receipt_public_keys,
                {
                    clip_id: AtRegion(vehicle, FileIdentity.of(data).sha256, region_id)
                    for (vehicle, clip_id), data in region.stored.items()
                },
            )
            for region_id, region in self.regions.items()
        }
        clips, findings = account([Located(entry, "memory") for entry in self.ledger.entries], views, None)
        assert not findings
        copies = {(clip_id, copy) for clip_id, clip in clips.items() for copy in clip.copies}
        files = {(clip_id, Copy.STAGED) for _, clip_id in self.staging.entries()}
        assert copies == files | {(clip_id, Copy.SEALED) for _, clip_id in self.spool.entries()}
        for region_id, broker in self.brokers.items():
            for one in broker.published:
                clip = next((part for part in one.topic.split("/") if len(part) == 32), None)
                if clip is not None:
                    row = self.journal.clip(clip)
                    assert row is not None
                    assert row.region_id == region_id
        for region_id, endpoint in self.connection.dialled:
            assert endpoint in self.regions[region_id].sample.policy.endpoints
