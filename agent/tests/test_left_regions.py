"""Clips of a region that the vehicle has left: to that region or nowhere, and never in the way of the own one."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.left import LeftClips as LeftEraser
from fsd_agent.pipeline.residence import LOOK_EVERY_NS, Residence
from fsd_agent.pipeline.turns import FIRST_REST_NS, REST_NS, TURN_NS, Turns
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.ledger import Cause, Copy, Erased, Fired, Redacted, Sealed
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, LeftClips, Route
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import AtRegion, RegionView
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.region import MemoryRegion
from fsd_agent.testing.regions import sample_document, sample_registration
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
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
        self.journal, self.spool, self.staging = MemoryJournal(), MemorySpool(), MemoryStaging()
        self.clock, self.events, self.serial = ManualClock(), RememberedEvents(), 0
        self.trust = MemoryTrust.of(*(region.sample for region in self.regions.values()))
        self.register("cn")
        self.ledger = MemoryLedger(keys=MemoryVehicleKeys(), clock=self.clock)
        residence = Residence(
            lambda: self.document,
            self.trust,
            device_key_ids=lambda: {MemoryVehicleKeys().device_key_id()},
            journal=self.journal,
            clock=self.clock,
            events=self.events,
        )
        self.residence = RecordedWhereabouts(residence, self.ledger, self.events)
        self.turns = Turns(self.residence, self.journal, self.clock)
        ports = {("127.0.0.1", 8883): self.brokers["cn"], ("127.0.0.1", 8884): self.brokers["eu"]}
        self.connection = MemoryConnection(ports)
        self.deliverer = Deliverer(
            broker=self.connection,
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            clock=self.clock,
            events=self.events,
            route_source=self.turns.current,
            on_message=lambda _route, _message: None,
            random=random.Random(1).random,
        )
        self.eraser = LeftEraser(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            ledger=self.ledger,
            residence=self.residence,
            connected_to=lambda: self.deliverer.stats().region_id,
            clock=self.clock,
            events=self.events,
        )

    def register(self, region_id: str | None) -> None:
        self.serial += 1
        jurisdiction = JURISDICTION.get(region_id or "", "US")
        self.document = sample_document(sample_registration("car-1", jurisdiction, self.serial))
        self.clock.advance(LOOK_EVERY_NS)  # until then the vehicle goes by the document before

    def add(self, number: int, region_id: str, *, sealed: bool = True) -> str:
        clip_id = f"{number:032x}"
        self.journal.accept(
            (), (ClipRow(clip_id, region_id, ClipState.STAGED, number, number + 1, 0, (), (), 0),)
        )
        self.staging.open(clip_id).close()
        self.journal.captured(clip_id, cut=False)
        fired = Fired(clip_id, region_id, f"f{number}", "c", 1)
        self.ledger.append(fired)
        if sealed:
            self.staging.erase(clip_id)
            file = self.spool.put(region_id, clip_id, [random.Random(number).randbytes(3000)])
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
                    clip_id: AtRegion(vehicle, hashlib.sha256(data).digest(), region_id)
                    for (vehicle, clip_id), data in region.stored.items()
                },
            )
            for region_id, region in self.regions.items()
        }
        clips, findings = account([Located(entry, "memory") for entry in self.ledger.entries], views, None)
        assert not findings
        copies = {(clip_id, copy) for clip_id, clip in clips.items() for copy in clip.copies}
        files = {(clip_id, Copy.STAGED) for clip_id in self.staging.entries()}
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


def test_a_clip_that_was_left_behind_still_goes_to_its_region() -> None:
    bench = Bench(LeftClips.DELIVER)
    left, own = bench.add(1, "cn"), bench.add(2, "eu")
    assert bench.residence.current
    bench.register("eu")
    assert bench.run(5, lambda: bench.state(own) is ClipState.DELIVERED), "the own region comes first"
    assert bench.state(left) is ClipState.SEALED
    assert bench.run(FIRST_REST_NS / S + TURN_NS / S, lambda: bench.state(left) is ClipState.DELIVERED)
    assert ("car-1", left) in bench.regions["cn"].stored
    assert bench.run(10, lambda: bench.deliverer.stats().region_id == "eu"), "and then back home"
    bench.check()


def test_a_region_that_can_not_be_reached_costs_less_and_less() -> None:
    bench = Bench(LeftClips.DELIVER)
    bench.brokers["cn"].unreachable = True
    bench.add(1, "cn")
    assert bench.residence.current
    bench.register("eu")
    home = sum(bench.route() == "eu" for _ in range(3600))
    assert home > 3000, f"{home} of 3600 s in the own region"
    own = bench.add(2, "eu")
    assert bench.run(2 * TURN_NS / S, lambda: bench.state(own) is ClipState.DELIVERED)
    bench.check()


def test_on_hold_nobody_has_a_turn() -> None:
    bench = Bench(LeftClips.DELIVER)
    left = bench.add(1, "cn")
    assert bench.residence.current
    bench.register(None)
    assert not bench.run(REST_NS / S * 2, lambda: bench.state(left) is not ClipState.SEALED)
    assert bench.connection.dialled == []
    assert isinstance(bench.residence.current, Hold)


def test_a_clip_of_a_region_that_wants_it_erased_is_erased_and_sent_nowhere() -> None:
    bench = Bench(LeftClips.ERASE)
    sealed, captured = bench.add(1, "cn"), bench.add(2, "cn", sealed=False)
    own = bench.add(3, "eu")
    assert bench.residence.current
    bench.register("eu")
    both = (sealed, captured)
    assert bench.run(10, lambda: all(bench.state(clip) is ClipState.DROPPED for clip in both))
    for clip in both:
        row = bench.journal.clip(clip)
        assert row is not None
        assert row.drop is DropReason.LEFT_REGION
    assert bench.spool.entries() <= {("eu", own)}
    assert bench.staging.entries() == frozenset()
    assert bench.run(5, lambda: bench.state(own) is ClipState.DELIVERED)
    assert not bench.brokers["cn"].published
    bench.check()


def test_nothing_is_erased_before_the_vehicle_has_arrived_elsewhere() -> None:
    bench = Bench(LeftClips.ERASE)
    clip = bench.add(1, "cn")
    bench.brokers["cn"].unreachable = True
    bench.run(10)
    bench.register(None)
    bench.run(10)
    assert bench.state(clip) is ClipState.SEALED
    bench.journal.full = True
    bench.register("eu")
    bench.run(10)
    bench.journal.full = False
    assert bench.state(clip) is ClipState.SEALED
    assert bench.run(10, lambda: bench.state(clip) is ClipState.DROPPED)


@pytest.mark.parametrize("fault", ["journal", "ledger", "spool"])
def test_what_can_not_be_erased_now_is_told(fault: str) -> None:
    bench = Bench(LeftClips.ERASE)
    clip = bench.add(1, "cn")
    assert bench.residence.current
    bench.register("eu")
    assert bench.residence.erased == {"cn"}
    if fault == "journal":
        bench.journal.full = True
        bench.eraser.step()
        assert bench.events.of("journal_failed")
        assert bench.state(clip) is ClipState.SEALED
    elif fault == "ledger":
        bench.ledger.broken = True
        bench.eraser.step()
        assert bench.events.of("ledger_failed")
        assert bench.state(clip) is ClipState.SEALED
        assert bench.spool.entries() == {("cn", clip)}
        bench.ledger.broken = False
        bench.run(10)
        assert bench.state(clip) is ClipState.DROPPED
        bench.check()
    else:
        bench.eraser.step()
        assert bench.state(clip) is ClipState.DROPPED


def test_a_clip_that_is_just_being_delivered_is_not_erased_before_the_connection_is_given_up() -> None:
    """Its receipt would come for a clip that was given up."""
    bench = Bench(LeftClips.ERASE)
    clip = bench.add(1, "cn")
    bench.brokers["cn"].silent = True
    bench.run(3, lambda: bench.deliverer.stats().in_flight > 0)
    bench.register("eu")
    assert bench.residence.erased == {"cn"}
    bench.eraser.step()
    assert bench.state(clip) is ClipState.SEALED
    assert bench.run(10, lambda: bench.state(clip) is ClipState.DROPPED)
    bench.check()


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["cn", "eu", None]), st.sampled_from(["cn", "eu", ""]), st.integers(1, 90)),
        min_size=1,
        max_size=6,
    ),
    rule=st.sampled_from(LeftClips),
)
def test_whatever_the_vehicle_is_registered_to_a_clip_reaches_its_own_region_or_none(
    steps: list[tuple[str | None, str, int]], rule: LeftClips
) -> None:
    """Steps: registered to, whose broker is down, for how many seconds; each adds a clip to the region it is in."""
    bench = Bench(rule)
    for number, (region_id, down, seconds) in enumerate(steps):
        bench.register(region_id)
        if region_id is not None:
            bench.add(number, region_id)
        for one, broker in bench.brokers.items():
            broker.unreachable = one == down
        bench.run(seconds)
    bench.check()
