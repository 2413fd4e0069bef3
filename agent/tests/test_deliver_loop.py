"""The delivering loop against a broker in memory: residency, crashes, refusals, backpressure, small messages."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.lane import CLIPS_AT_ONCE
from fsd_agent.pipeline.link import LinkLimits
from fsd_agent.pipeline.outbox import Outbox
from fsd_agent.ports.broker import Message
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.ledger import (
    Cause,
    ConsentChanged,
    Copy,
    Dropped,
    Erased,
    Fact,
    Fired,
    Receipted,
    Redacted,
    Sealed,
    Sent,
)
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, HoldReason, Route
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import Where
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection, matches
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.region import MemoryRegion
from fsd_agent.testing.sealed import as_file, seal_bytes
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.pieces import PIECE_BYTES
from fsd_agent.wire.sealed import read_manifest
from fsd_agent.wire.transfer import Topics, receiver_subscription

LIMITS = UplinkLimits(segment_bytes=1024)
SECOND = 1_000_000_000
CN, EU = ("127.0.0.1", 8883), ("127.0.0.1", 8884)


@dataclass
class Bench:
    """One vehicle between two regions."""

    regions: dict[str, MemoryRegion] = field(
        default_factory=lambda: {"cn": MemoryRegion("cn", port=8883), "eu": MemoryRegion("eu", port=8884)}
    )
    brokers: dict[tuple[str, int], MemoryBroker] = field(
        default_factory=lambda: {CN: MemoryBroker(), EU: MemoryBroker()}
    )
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    spool: MemorySpool = field(default_factory=lambda: MemorySpool(keyed("cn", "eu")))
    consent: PlainConsent = field(default_factory=PlainConsent)
    clock: ManualClock = field(default_factory=ManualClock)
    ledger: MemoryLedger = field(
        default_factory=lambda: MemoryLedger(keys=MemoryVehicleKeys(), clock=ManualClock())
    )
    events: RememberedEvents = field(default_factory=RememberedEvents)
    messages: list[tuple[str, Message]] = field(default_factory=list)
    seed: int = 0
    window: int = 4

    def __post_init__(self) -> None:
        for (_, broker), region in zip(self.brokers.items(), self.regions.values(), strict=True):
            broker.listen(receiver_subscription(region.region_id), region.handle)
        self.route: Route | Hold = self.regions["cn"].route()
        self.start()

    @property
    def cn(self) -> MemoryBroker:
        return self.brokers[CN]

    def start(self) -> None:
        """A new process on the same disk."""
        self.deliverer = Deliverer(
            broker=MemoryConnection(self.brokers, window=self.window),
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            consent=self.consent,
            clock=self.clock,
            events=self.events,
            route_source=lambda: self.route,
            on_message=lambda route, message: self.messages.append((route.policy.region_id, message)),
            random=random.Random(self.seed).random,
            limits=LIMITS,
            link_limits=LinkLimits(),
            gate=OpenGate(),
            power=AlwaysOn(),
        )

    def add(self, number: int, size: int = 5000, *, region: str = "cn", priority: int = 0) -> str:
        clip_id = f"{number:032x}"
        row = ClipRow(
            clip_id, region, Purpose.SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), priority
        )
        self.journal.accept((), (row,))
        self.journal.captured(clip_id, cut=False)
        data = random.Random(number).randbytes(size)
        self.journal.sealed(self.spool.put(at(region), clip_id, as_file(data)))
        self.deliverer.notify()
        return clip_id

    def state(self, clip_id: str) -> ClipState:
        row = self.journal.clip(clip_id)
        assert row is not None
        return row.state

    def run(self, until: Callable[[], bool], *, steps: int = 400, tick_ns: int = SECOND // 100) -> bool:
        for _ in range(steps):
            if until():
                return True
            self.deliverer.step(0)
            self.clock.advance(tick_ns)
        return until()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_clip_is_sent_receipted_recorded_and_erased(bench: Bench) -> None:
    clip = bench.add(1)
    data = bench.spool.region("cn").read(Purpose.SAFETY, clip, 0, 10_000)
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED)
    assert bench.regions["cn"].stored == {("car-1", clip): data}
    assert bench.spool.entries() == frozenset()
    assert bench.journal.receipts[clip]
    stats = bench.deliverer.stats()
    assert (stats.delivered_clips, stats.delivered_bytes, stats.connected) == (1, 5000, True)
    assert bench.events.of("delivered") == [{"clip": clip, "region": "cn", "bytes": 5000}]
    assert bench.events.of("sent") == [{"clip": clip, "region": "cn", "bytes": 5000}]
    (sent,) = stats.sent
    assert (sent.region_id, sent.port) == ("cn", 8883)
    assert sent.bytes == sum(len(each.payload) for each in bench.cn.published)


def test_nothing_goes_to_another_region_and_its_clips_stay(bench: Bench) -> None:
    foreign, own = bench.add(1, region="eu"), bench.add(2)
    assert bench.run(lambda: bench.state(own) is ClipState.DELIVERED)
    assert bench.run(lambda: False, steps=50) is False
    assert bench.state(foreign) is ClipState.SEALED
    assert bench.spool.entries() == {(at("eu"), foreign)}
    assert not bench.brokers[EU].published
    assert not any(foreign in each.topic for each in bench.cn.published)


def test_on_hold_nothing_is_connected_and_nothing_is_sent(bench: Bench) -> None:
    bench.route = Hold(HoldReason.NO_REGISTRATION, "none")
    clip = bench.add(1)
    bench.deliverer.post(Topics("cn", "car-1").status, b"status", retain=True)
    bench.run(lambda: False, steps=50)
    assert not bench.cn.published
    assert not bench.deliverer.stats().connected
    bench.route = bench.regions["cn"].route()
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED)


def test_a_new_route_ends_the_old_connection_before_anything_else_is_said(bench: Bench) -> None:
    bench.window = 1
    bench.start()
    first, second = bench.add(1, 50_000), bench.add(2, region="eu")
    bench.run(lambda: len(bench.cn.published) > 5)
    before = len(bench.cn.published)
    bench.deliverer.post(Topics("cn", "car-1").status, b"status", retain=True)
    bench.route = bench.regions["eu"].route()
    assert bench.run(lambda: bench.state(second) is ClipState.DELIVERED)
    assert len(bench.cn.published) == before
    assert bench.state(first) is ClipState.SEALED
    assert all("/eu/" in each.topic for each in bench.brokers[EU].published)
    assert bench.deliverer.stats().outbox_dropped == 1, (
        "a status made for the old route is not for the new one"
    )


def test_hold_in_the_middle_keeps_the_clip(bench: Bench) -> None:
    bench.window = 1
    bench.start()
    clip = bench.add(1, 50_000)
    bench.run(lambda: len(bench.cn.published) > 5)
    bench.route = Hold(HoldReason.BAD_REGISTRATION, "")
    before = len(bench.cn.published)
    bench.run(lambda: False, steps=50)
    assert len(bench.cn.published) == before
    assert bench.state(clip) is ClipState.SEALED


def test_the_window_is_never_exceeded_and_small_messages_overtake(bench: Bench) -> None:
    bench.cn.receive_maximum = 2
    clip = bench.add(1, 20_000)
    bench.run(lambda: len(bench.cn.published) > 6)
    bench.deliverer.post(Topics("cn", "car-1").status, b"old", retain=True)
    bench.deliverer.post(Topics("cn", "car-1").status, b"new", retain=True)
    before = len(bench.cn.published)
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED)
    later = bench.cn.published[before:]
    assert [each.payload for each in later if each.topic.endswith("/status")] == [b"new"]
    assert later[0].topic.endswith("/status")


def test_campaigns_go_to_the_callback_with_their_route(bench: Bench) -> None:
    bench.cn.publish("fsd/1/cn/campaigns", b"set", retain=True)
    bench.run(lambda: bool(bench.messages))
    assert bench.messages == [("cn", Message("fsd/1/cn/campaigns", b"set", retained=True))]


def test_a_refused_clip_is_dropped_with_the_regions_reason(bench: Bench) -> None:
    clip = bench.add(1)
    bench.regions["cn"].refuses.add(clip)
    assert bench.run(lambda: bench.state(clip) is ClipState.DROPPED)
    row = bench.journal.clip(clip)
    assert row is not None
    assert row.drop is DropReason.REFUSED_BY_REGION
    assert row.drop_detail == "not_a_clip: told to"
    assert bench.spool.entries() == frozenset()


def test_a_full_journal_keeps_the_clip_until_it_can_be_recorded(bench: Bench) -> None:
    clip = bench.add(1)
    bench.journal.full = True
    bench.run(lambda: False, steps=200, tick_ns=SECOND)
    assert bench.state(clip) is ClipState.SEALED
    assert bench.spool.entries() == {(at("cn"), clip)}
    assert "journal" in bench.deliverer.stats().trouble
    bench.journal.full = False
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND * 10)
    assert bench.regions["cn"].stores == 1


def test_a_file_that_is_not_what_was_sealed_is_dropped_and_nothing_of_it_sent(bench: Bench) -> None:
    changed, cut, good = bench.add(1), bench.add(2), bench.add(3)
    bench.spool.put(at("cn"), changed, as_file(bytes(5000)))
    bench.spool.put(at("cn"), cut, as_file(bench.spool.region("cn").read(Purpose.SAFETY, cut, 0, 4000)))
    assert bench.run(lambda: bench.state(good) is ClipState.DELIVERED)
    for clip in (changed, cut):
        row = bench.journal.clip(clip)
        assert row is not None
        assert row.drop is DropReason.SPOOL_DAMAGED
        assert not any(clip in each.topic for each in bench.cn.published)
    assert bench.deliverer.stats().damaged_clips == 2


def test_a_missing_file_is_tried_again_before_it_counts_as_damaged(bench: Bench) -> None:
    clip = bench.add(1)
    bench.spool.erase(at("cn"), clip)
    bench.deliverer.step(0)
    bench.deliverer.step(0)
    assert bench.state(clip) is ClipState.SEALED
    assert bench.run(lambda: bench.state(clip) is ClipState.DROPPED, tick_ns=SECOND)
    row = bench.journal.clip(clip)
    assert row is not None
    assert row.drop is DropReason.SPOOL_DAMAGED


class FailingErase(MemorySpool):
    """A disk that went read-only."""

    failing = False

    def erase(self, compartment: Compartment, clip_id: str) -> None:
        if self.failing:
            raise SpoolError("read-only file system")
        super().erase(compartment, clip_id)


def test_the_journal_comes_before_the_erasure() -> None:
    spool = FailingErase(keyed("cn"))
    bench = Bench(spool=spool)
    clip = bench.add(1)
    spool.failing = True
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED)
    assert spool.entries() == {(at("cn"), clip)}, "left for recovery"
    assert "read-only" in bench.deliverer.stats().trouble


def test_a_wrong_broker_is_tried_again_only_slowly(bench: Bench) -> None:
    bench.cn.refuse = "not this region's broker"
    clip = bench.add(1)
    bench.run(lambda: False, steps=100, tick_ns=SECOND)
    stats = bench.deliverer.stats()
    assert 1 <= stats.brokers_refused <= 7
    assert stats.trouble == "broker: not this region's broker"
    assert bench.events.of("refused")[0] == {"region": "cn", "reason": "not this region's broker"}
    assert not bench.cn.published
    assert bench.state(clip) is ClipState.SEALED


def test_a_publish_that_the_broker_forbids_is_backed_off_from(bench: Bench) -> None:
    bench.cn.forbid = lambda topic: "/up/" in topic
    clip = bench.add(1)
    bench.run(lambda: False, steps=60, tick_ns=SECOND)
    stats = bench.deliverer.stats()
    assert 1 <= stats.publishes_refused <= 10
    assert "not authorized" in stats.trouble
    told = bench.events.of("publish_refused")
    assert len(told) == stats.publishes_refused, (
        "so that it stays among the status' faults when the connection is lost after it"
    )
    assert told[0] == {"region": "cn", "reason": "not authorized"}
    assert bench.state(clip) is ClipState.SEALED


def test_a_broker_that_stops_acknowledging_is_left(bench: Bench) -> None:
    clip = bench.add(1)
    bench.cn.silent = True
    bench.run(lambda: bench.deliverer.stats().connection_failures > 0, steps=100, tick_ns=SECOND)
    assert bench.deliverer.stats().connection_failures == 1
    bench.cn.silent = False
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND)


def test_a_broker_that_acknowledges_and_forgets_loses_nothing(bench: Bench) -> None:
    clip = bench.add(1)
    bench.cn.forget = lambda _topic: True
    bench.run(lambda: False, steps=100, tick_ns=SECOND)
    assert bench.state(clip) is ClipState.SEALED
    assert bench.deliverer.stats().answer_timeouts > 0
    assert "no answer came" in bench.deliverer.stats().trouble
    bench.cn.forget = lambda _topic: False
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND)


def test_clips_of_other_regions_do_not_hide_those_of_this_one(bench: Bench) -> None:
    for number in range(300):
        bench.add(1000 + number, 10, region="eu", priority=9)
    clip = bench.add(1)
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_cuts_losses_and_restarts_end_in_one_receipt_a_clip(seed: int, count: int) -> None:
    chance = random.Random(seed)
    bench = Bench(seed=seed)
    clips = [bench.add(number, chance.randint(1, 9000)) for number in range(1, count + 1)]
    data = {("car-1", clip): bench.spool.region("cn").read(Purpose.SAFETY, clip, 0, 10_000) for clip in clips}
    rate = chance.choice([0.0, 0.1, 0.3])
    bench.cn.forget = lambda _topic: chance.random() < rate

    def disturb() -> bool:
        fault = chance.randrange(60)
        if fault == 0:
            bench.cn.cut()
        elif fault == 1:
            bench.start()
        elif fault == 2:
            bench.regions["cn"].restart()
        return all(bench.state(clip) is ClipState.DELIVERED for clip in clips)

    assert bench.run(disturb, steps=20_000, tick_ns=SECOND)
    assert bench.regions["cn"].stored == data
    assert bench.regions["cn"].stores == count
    assert bench.spool.entries() == frozenset()


def test_the_outbox_keeps_the_newest_of_each_topic_and_is_bounded() -> None:
    topics = Topics("cn", "car-1")
    box = Outbox(topics_max=2)
    for name, payload in (("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4")):
        box.put(topics.base + name, payload, retain=False)
    taken = box.take(topics)
    assert taken is not None
    assert (taken.topic, taken.payload) == (topics.base + "b", b"2")
    assert box.dropped == 1
    box.interrupted()
    again = box.take(topics)
    assert again is taken, "what was not acknowledged is sent again"
    box.put(taken.topic, b"5", retain=False)
    box.interrupted()
    newer = box.take(topics)
    assert newer is not None
    assert newer.payload == b"5", "but not over something newer"


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/+", "a/b/c", False),
        ("a/b", "a/b/c", False),
    ],
)
def test_the_fake_broker_matches_as_the_standard_says(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern, topic) is expected


def test_hundreds_of_clips_that_are_never_answered_do_not_hide_the_next_one(bench: Bench) -> None:
    """The loop knows only so many clips at a time; those that get nowhere must not be all of them."""
    stuck = {bench.add(number, 100, priority=1) for number in range(CLIPS_AT_ONCE + 20)}
    region = bench.regions["cn"]
    answer = region.handle

    def silent(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        return [] if any(clip in topic for clip in stuck) else answer(topic, payload)

    broker = MemoryBroker()
    broker.listen(receiver_subscription("cn"), silent)
    bench.brokers[CN] = broker
    bench.start()
    fresh = bench.add(5000, 100)
    assert bench.run(lambda: bench.state(fresh) is ClipState.DELIVERED, steps=6000, tick_ns=SECOND)
    assert all(bench.state(clip) is ClipState.SEALED for clip in stuck)


def test_a_file_that_is_damaged_after_it_was_sent_once_is_found_before_it_is_sent_again(bench: Bench) -> None:
    bench.brokers[CN] = MemoryBroker()  # takes everything, answers nothing
    bench.start()
    clip = bench.add(1)
    bench.run(lambda: False, steps=50)
    data = bench.spool.region("cn").read(Purpose.SAFETY, clip, 0, 10_000)
    bench.spool.put(at("cn"), clip, as_file(data[:-1] + bytes([data[-1] ^ 1])))
    assert bench.run(lambda: bench.state(clip) is ClipState.DROPPED, steps=200, tick_ns=SECOND)
    row = bench.journal.clip(clip)
    assert row is not None
    assert row.drop is DropReason.SPOOL_DAMAGED


def test_a_region_is_not_told_of_trouble_with_another(bench: Bench) -> None:
    del bench.brokers[CN]
    bench.run(lambda: bool(bench.deliverer.stats().trouble))
    bench.route = bench.regions["eu"].route()
    bench.deliverer.step(0)
    assert bench.deliverer.stats().trouble == ""


BACKUP = ("127.0.0.1", 9883)


def with_backup(route: Route) -> Route:
    """The region's policy with a second endpoint."""
    first = route.policy.endpoints[0]
    policy = replace(route.policy, endpoints=(first, replace(first, port=BACKUP[1])))
    return Route(route.registration, policy)


def test_the_next_endpoint_of_the_region_takes_over_and_the_first_is_tried_first_again() -> None:
    bench = Bench(brokers={CN: MemoryBroker(), EU: MemoryBroker()})
    bench.brokers[BACKUP] = MemoryBroker()
    bench.brokers[BACKUP].listen(receiver_subscription("cn"), bench.regions["cn"].handle)
    bench.start()
    bench.route = with_backup(bench.regions["cn"].route())
    bench.cn.unreachable = True
    clip = bench.add(1)
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED)
    assert {sent.port for sent in bench.deliverer.stats().sent} == {BACKUP[1]}
    bench.run(lambda: False, steps=40, tick_ns=SECOND)
    bench.cn.unreachable = False
    bench.brokers[BACKUP].cut()
    clip = bench.add(2)
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND // 10)
    assert {sent.port for sent in bench.deliverer.stats().sent} == {BACKUP[1], CN[1]}


def test_a_stranger_at_the_first_endpoint_does_not_keep_the_second_waiting() -> None:
    bench = Bench()
    bench.brokers[BACKUP] = MemoryBroker()
    bench.brokers[BACKUP].listen(receiver_subscription("cn"), bench.regions["cn"].handle)
    bench.start()
    bench.route = with_backup(bench.regions["cn"].route())
    bench.cn.refuse = "not the broker of region 'cn'"
    clip = bench.add(1)
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, steps=200)
    assert not bench.cn.published


@settings(max_examples=60, deadline=None)
@given(
    faults=st.lists(
        st.tuples(
            st.sampled_from([CN, EU, BACKUP]),
            st.sampled_from(["unreachable", "refuse", "cut", "fine"]),
            st.sampled_from(["cn", "eu", "hold"]),
        ),
        max_size=20,
    ),
    seed=st.integers(0, 2**16),
)
def test_no_endpoint_outside_the_policy_of_the_moment_is_ever_dialled(
    faults: list[tuple[tuple[str, int], str, str]], seed: int
) -> None:
    bench = Bench(seed=seed)
    bench.brokers[BACKUP] = MemoryBroker()
    connection = MemoryConnection(bench.brokers, window=4)
    bench.deliverer = Deliverer(
        broker=connection,
        journal=bench.journal,
        spool=bench.spool,
        ledger=bench.ledger,
        consent=bench.consent,
        clock=bench.clock,
        events=bench.events,
        route_source=lambda: bench.route,
        on_message=lambda _route, _message: None,
        random=random.Random(seed).random,
        limits=LIMITS,
        gate=OpenGate(),
        power=AlwaysOn(),
    )
    bench.add(1)
    bench.add(2, region="eu")
    for where, fault, target in faults:
        broker = bench.brokers[where]
        broker.unreachable, broker.refuse = fault == "unreachable", "a stranger" if fault == "refuse" else ""
        if fault == "cut":
            broker.cut()
        route = Hold(HoldReason.NO_REGISTRATION, "") if target == "hold" else bench.regions[target].route()
        bench.route = with_backup(route) if isinstance(route, Route) and target == "cn" else route
        before = len(connection.dialled)
        bench.run(lambda: False, steps=10, tick_ns=SECOND)
        allowed = bench.route.policy.endpoints if isinstance(bench.route, Route) else ()
        assert all(endpoint in allowed for _, endpoint in connection.dialled[before:])
    ports = {"cn": {CN[1], BACKUP[1]}, "eu": {EU[1]}}
    assert all(endpoint.port in ports[region_id] for region_id, endpoint in connection.dialled)


def sealed_and_recorded(bench: Bench, number: int, size: int = 5000) -> str:
    """A clip as the finisher leaves it: the ledger knows it."""
    clip = bench.add(number, size)
    row = bench.journal.clip(clip)
    assert row is not None
    if bench.ledger.consent() is None:
        bench.ledger.append(ConsentChanged(Purpose.SAFETY, given=True))
    bench.ledger.append(
        Fired(clip, "cn", Purpose.SAFETY, f"f{number}", "c", 1),
        Redacted(clip, "cn", (), (), 0, 0, "dropped"),
        Sealed(clip, "cn", "car-1", 1, 1, "0" * 16, row.sha256, row.size_bytes),
        Erased(clip, "cn", Copy.STAGED, Cause.SEALED),
    )
    return clip


def of(bench: Bench, kind: type[Fact]) -> list[Fact]:
    return [entry.fact for entry in bench.ledger.entries if isinstance(entry.fact, kind)]


def test_to_whom_a_clip_is_sent_is_recorded_before_its_first_byte_once_a_connection(bench: Bench) -> None:
    bench.cn.silent = True
    clip = sealed_and_recorded(bench, 1)
    bench.run(lambda: False, steps=20)
    bench.cn.silent = False
    bench.cn.cut()
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND)
    policy = bench.regions["cn"].sample.policy
    sent = of(bench, Sent)
    assert len(sent) == 2
    for one in sent:
        assert isinstance(one, Sent)
        assert (one.host, one.port, one.identity_uri) == ("127.0.0.1", 8883, policy.identity_uri)
    (receipted,) = of(bench, Receipted)
    assert receipted == Receipted(clip, "cn", bench.journal.receipts[clip])
    clips, findings = account([Located(entry, "memory") for entry in bench.ledger.entries], {}, None)
    assert not findings
    assert clips[clip].where is Where.DELIVERED


def test_what_the_ledger_can_not_record_is_not_sent(bench: Bench) -> None:
    clip = sealed_and_recorded(bench, 1)
    bench.ledger.broken = True
    bench.run(lambda: False, steps=50, tick_ns=SECOND)
    assert not [one for one in bench.cn.published if "/up/" in one.topic]
    assert bench.events.of("ledger_failed")
    assert "ledger" in bench.deliverer.stats().trouble
    bench.ledger.broken = False
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND)


def test_a_receipt_or_an_erasure_that_can_not_be_recorded_leaves_the_file(bench: Bench) -> None:
    clip = sealed_and_recorded(bench, 1)
    bench.run(lambda: bool(of(bench, Sent)))
    bench.ledger.broken = True
    bench.run(lambda: False, steps=50)
    assert bench.regions["cn"].stores == 1
    assert bench.state(clip) is ClipState.SEALED
    assert bench.spool.entries() == {(at("cn"), clip)}
    bench.ledger.broken = False
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND)
    assert bench.spool.entries() == frozenset()
    assert bench.regions["cn"].stores == 1


def test_without_consent_nothing_of_a_clip_is_sent_and_the_others_are(bench: Bench) -> None:
    bench.consent = PlainConsent(frozenset({Purpose.DIAGNOSTICS}))
    bench.start()
    clip = bench.add(1)
    bench.run(lambda: False, steps=100, tick_ns=SECOND)
    assert not any(clip in each.topic for each in bench.cn.published)
    assert bench.state(clip) is ClipState.SEALED
    assert not of(bench, Sent)


def test_a_clip_that_is_being_sent_stops_at_the_withdrawal(bench: Bench) -> None:
    bench.window = 1
    bench.start()
    clip = sealed_and_recorded(bench, 1, size=50_000)
    assert bench.run(lambda: len(bench.cn.published) > 5)
    bench.consent.withdraw(Purpose.SAFETY)
    before = len(bench.cn.published)
    bench.run(lambda: False, steps=200, tick_ns=SECOND)
    assert not [each for each in bench.cn.published[before:] if clip in each.topic]
    assert bench.state(clip) is ClipState.SEALED, "who withdraws gives it up, not who sends"
    assert not of(bench, Dropped)


def test_of_a_clip_that_is_withdrawn_before_its_last_segments_the_region_has_nothing_that_opens_it(
    bench: Bench,
) -> None:
    """Not even with what is left on the vehicle's disk: the wrapped key is in the first piece, which goes last."""
    keys, region = MemoryVehicleKeys(), bench.regions["cn"]
    clip = f"{1:032x}"
    content = seal_bytes(region.route(), keys, clip, random.Random(1).randbytes(200_000))
    wrapped = read_manifest(io.BytesIO(content)).wrapped_key
    bench.window = 1
    bench.start()
    row = ClipRow(clip, "cn", Purpose.SAFETY, ClipState.STAGED, 1, 2, 0, (), (), 0)
    bench.journal.accept((), (row,))
    bench.journal.captured(clip, cut=False)
    bench.journal.sealed(bench.spool.put(at("cn"), clip, as_file(content)))
    bench.deliverer.notify()
    before_first = -(-len(content) // LIMITS.segment_bytes) - -(-PIECE_BYTES // LIMITS.segment_bytes)

    def segments() -> list[Message]:
        return [each for each in bench.cn.published if f"/up/seg/{clip}/" in each.topic]

    assert bench.run(lambda: len(segments()) == before_first, steps=2000)
    bench.consent.withdraw(Purpose.SAFETY)
    bench.run(lambda: False, steps=200, tick_ns=SECOND)
    sent = {int(each.topic.split("/")[-2]): each.payload for each in segments()}
    assert len(sent) == before_first
    assert min(sent) >= PIECE_BYTES
    assert b"".join(payload for _, payload in sorted(sent.items())) == content[min(sent) :]
    on_disk = bench.spool.files[at("cn"), clip]
    assert all(wrapped not in held for held in (on_disk, *sent.values()))


def test_consent_that_is_withdrawn_while_segments_are_read_lets_none_of_them_go(bench: Bench) -> None:
    """They are read together and given together: what is asked is asked in between, not before."""
    clip = sealed_and_recorded(bench, 1, size=50_000)
    region, reads = bench.spool.region("cn"), list[int]()

    class Watched:
        """As the user would press a button in the middle of it."""

        read, erase, identity = region.read, region.erase, region.identity

        def parts(self, *what: Any) -> tuple[bytes, ...]:
            reads.append(what[2])
            bench.consent.withdraw(Purpose.SAFETY)
            return region.parts(*what)

    class Spool(MemorySpool):
        def region(self, _region_id: str) -> Any:
            return Watched()

    bench.spool = Spool(keyed("cn"))
    bench.start()
    bench.run(lambda: False, steps=50, tick_ns=SECOND)
    assert reads
    assert [each.topic for each in bench.cn.published if clip in each.topic] == [
        Topics("cn", "car-1").init(clip)
    ]


class Passing(ManualClock):
    """Time goes by while somebody works: so much at each look."""

    def __init__(self, tick_ns: int) -> None:
        super().__init__()
        self.tick_ns = tick_ns

    def monotonic_ns(self) -> int:
        self.advance(self.tick_ns)
        return super().monotonic_ns()


@pytest.mark.parametrize(("tick_us", "windows"), [(200, 10), (6_000, 1)])
def test_on_a_fast_link_one_step_fills_the_window_again_and_again_for_a_while(
    tick_us: int, windows: int
) -> None:
    """What a step asks beside that, it asks after at most 5 ms, or at once where anything but an acknowledgement comes."""
    bench = Bench(clock=Passing(1000 * tick_us))
    clip = bench.add(1, size=200_000)
    assert bench.run(lambda: any(f"/seg/{clip}" in each.topic for each in bench.cn.published), tick_ns=0)
    before, asked = len(bench.cn.published), list[int]()
    route = bench.route

    def look() -> Route | Hold:
        asked.append(1)
        return route

    bench.deliverer._route_source = look
    bench.deliverer.step(0)
    assert len(asked) == 1
    sent = len(bench.cn.published) - before
    if windows == 1:
        assert sent == bench.window
    else:
        assert windows * bench.window <= sent < 25 * bench.window
    bench.cn.publish(bench.deliverer._lane.topics.campaigns, b"news")  # type: ignore[union-attr]
    before = len(bench.cn.published)
    bench.deliverer.step(0)
    assert len(bench.cn.published) - before <= bench.window
    assert [message.payload for _, message in bench.messages] == [b"news"]


def test_segments_that_follow_each_other_go_together_as_far_as_the_window_reaches(bench: Bench) -> None:
    """And what is small goes before them, whenever there is any."""
    clip = sealed_and_recorded(bench, 1, size=50_000)
    assert bench.run(lambda: bool(bench.cn.published))
    most = 0
    for number in range(40):
        before = len(bench.cn.published)
        status = Topics("cn", "car-1").status
        bench.deliverer.post(status, b"%d" % number, retain=True)
        bench.deliverer.step(0)
        told = [each.topic for each in bench.cn.published[before:]]
        most = max(most, len(told))
        assert len(told) <= bench.window
        assert not told or told[0] == status
    assert most == bench.window
    assert bench.state(clip) is ClipState.DELIVERED


def test_a_receipt_after_the_withdrawal_changes_nothing(bench: Bench) -> None:
    region = bench.regions["cn"]

    def handle(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
        answers = region.handle(topic, payload)
        if region.stores and Purpose.SAFETY in bench.consent.now.given:
            bench.consent.withdraw(Purpose.SAFETY)  # while the receipt is on its way
        return answers

    bench.brokers[CN] = MemoryBroker()
    bench.cn.listen(receiver_subscription("cn"), handle)
    bench.start()
    clip = sealed_and_recorded(bench, 1)
    bench.run(lambda: False, steps=200)
    assert bench.regions["cn"].stores == 1, "what was sent before stands"
    assert bench.state(clip) is ClipState.SEALED
    assert not of(bench, Receipted)


def test_on_hold_a_clip_waits_and_its_receipt_is_taken(bench: Bench) -> None:
    waiting = bench.add(2, 50_000)
    bench.consent.hold()
    bench.run(lambda: False, steps=50, tick_ns=SECOND)
    assert not any(waiting in each.topic for each in bench.cn.published)
    bench.consent.give()
    assert bench.run(lambda: bench.state(waiting) is ClipState.DELIVERED, tick_ns=SECOND)
    clip = bench.add(3)
    bench.run(lambda: len(bench.events.of("sent")) == 2, tick_ns=1)
    bench.consent.hold()
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED)


def test_clips_that_were_given_up_meanwhile_are_not_touched_again(bench: Bench) -> None:
    """Withdrawn, erased and given again while the delivering loop was elsewhere: it looks everything up anew."""
    bench.window = 1
    bench.start()
    clip = sealed_and_recorded(bench, 1, size=50_000)
    assert bench.run(lambda: len(bench.cn.published) > 5)
    bench.consent.withdraw(Purpose.SAFETY)
    bench.ledger.append(
        ConsentChanged(Purpose.SAFETY, given=False),
        Dropped(clip, "cn", DropReason.CONSENT_WITHDRAWN),
        Erased(clip, "cn", Copy.SEALED, Cause.CONSENT),
        ConsentChanged(Purpose.SAFETY, given=True),
    )
    bench.journal.dropped(clip, DropReason.CONSENT_WITHDRAWN, "")
    bench.spool.erase(at("cn"), clip)
    bench.consent.give(Purpose.SAFETY)
    other = sealed_and_recorded(bench, 2)
    assert bench.run(lambda: bench.state(other) is ClipState.DELIVERED, tick_ns=SECOND)
    assert len(of(bench, Dropped)) == 1
    assert not account([Located(entry, "memory") for entry in bench.ledger.entries], {}, None)[1]


def test_a_key_that_can_not_be_read_for_a_while_costs_no_clip() -> None:
    keys = keyed("cn")
    bench = Bench(spool=MemorySpool(keys))
    clip = bench.add(1)
    keys.broken = "safety.key: others may read or change it"
    bench.run(lambda: False, steps=300, tick_ns=SECOND * 10)
    assert bench.state(clip) is ClipState.SEALED
    assert "safety.key" in bench.deliverer.stats().trouble
    keys.broken = ""
    assert bench.run(lambda: bench.state(clip) is ClipState.DELIVERED, tick_ns=SECOND * 10)
