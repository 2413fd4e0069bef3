"""Firings told ahead of clips, over a broker in memory: once, to their own region, with consent, recorded before."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.firings import AT_ONCE, FiringTeller
from fsd_agent.pipeline.link import LinkLimits
from fsd_agent.ports.broker import Message
from fsd_agent.ports.journal import MAX_UNTOLD, JournalError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring, Telling, ToldFiring
from fsd_agent.records.ledger import ConsentChanged, FiringSent
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, HoldReason, Route
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.rules.audit.clip_account import RegionView
from fsd_agent.rules.audit.findings import FindingKind
from fsd_agent.rules.uplink.transfer import UplinkLimits
from fsd_agent.testing.broker import MemoryBroker, MemoryConnection
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import PlainConsent
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.region import MemoryRegion
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.unlimited import AlwaysOn, OpenGate
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.firing import About, open_firing
from fsd_agent.wire.firing_ack import encode_firing_ack
from fsd_agent.wire.transfer import Topics, receiver_subscription

S = 1_000_000_000
CN, EU = ("127.0.0.1", 8883), ("127.0.0.1", 8884)
SAFETY, DRIVING = Purpose.SAFETY, Purpose.AUTOMATED_DRIVING


class TornJournal(MemoryJournal):
    """Whose queue of firings can't be read while ``torn``."""

    torn = False

    def untold(self, region_id: str, *, limit: int) -> tuple:  # type: ignore[type-arg]
        if self.torn:
            raise JournalError("memory journal: its firings can't be read")
        return super().untold(region_id, limit=limit)


@dataclass
class Bench:
    """One vehicle between two regions."""

    window: int = 4
    journal: TornJournal = field(default_factory=TornJournal)
    consent: PlainConsent = field(default_factory=PlainConsent)
    clock: ManualClock = field(default_factory=ManualClock)
    keys: MemoryVehicleKeys = field(default_factory=MemoryVehicleKeys)
    events: RememberedEvents = field(default_factory=RememberedEvents)
    others: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cn, self.eu = MemoryRegion("cn", port=8883), MemoryRegion("eu", port=8884, jurisdictions=("DE",))
        self.brokers = {CN: MemoryBroker(), EU: MemoryBroker()}
        for broker, region in zip(self.brokers.values(), (self.cn, self.eu), strict=True):
            broker.listen(receiver_subscription(region.region_id), region.handle)
        self.broker = self.brokers[CN]
        self.spool = MemorySpool(keyed("cn", "eu"))
        self.ledger = MemoryLedger(keys=self.keys, clock=self.clock)
        for purpose in Purpose:
            self.ledger.append(ConsentChanged(purpose, given=True))
        self.route: Route | Hold = self.cn.route()
        self.start()

    def start(self) -> None:
        """A new process on the same disk."""
        self.firings = FiringTeller(
            journal=self.journal,
            ledger=self.ledger,
            keys=self.keys,
            clock=self.clock,
            random=random.Random(1).random,
        )
        self.deliverer = Deliverer(
            broker=MemoryConnection(self.brokers, window=self.window),
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            consent=self.consent,
            clock=self.clock,
            events=self.events,
            route_source=lambda: self.route,
            on_message=self._hear,
            random=random.Random(2).random,
            limits=UplinkLimits(segment_bytes=1024),
            link_limits=LinkLimits(),
            gate=OpenGate(),
            power=AlwaysOn(),
            firings=self.firings,
        )

    def _hear(self, route: Route, message: Message) -> None:
        if not self.firings.heard(route, message):
            self.others.append(message)

    def fire(self, number: int, *, region: str = "cn", purpose: Purpose = SAFETY) -> str:
        """Nothing is kept for it."""
        firing_id = f"{number:032x}"
        firing = Firing("walker", 3, number, (("Vehicle.Speed", 8.5), ("Vehicle.Secret", 1.0)))
        telling = Telling(purpose, ("Vehicle.Speed",))
        drop = DropReason.SAMPLED_OUT
        self.journal.accept([JudgedFiring(firing_id, firing, number + 7, None, drop, region, telling)], ())
        self.firings.noted()
        return firing_id

    def add_clip(self, number: int, size: int) -> str:
        clip_id = f"{number:032x}"
        row = ClipRow(clip_id, "cn", SAFETY, ClipState.STAGED, number, number + 1, 0, (), (), 9)
        self.journal.accept((), (row,))
        self.journal.captured(clip_id, cut=False)
        data = random.Random(number).randbytes(size)
        self.journal.sealed(self.spool.put(at("cn"), clip_id, as_file(data)))
        self.deliverer.notify()
        return clip_id

    def untold(self, region: str = "cn") -> list[str]:
        return [one.judged.firing_id for one in MemoryJournal.untold(self.journal, region, limit=10_000)]

    def opened(self, firing_id: str) -> ToldFiring:
        """As the region reads it."""
        return open_firing(
            self.cn.told["car-1", firing_id],
            About("cn", "car-1", firing_id),
            sealing_keys={self.cn.sample.policy.sealing_key_id: self.cn.sample.sealing_key},
            device_keys={self.keys.device_key_id(): self.keys.device_public_key},
        )

    def recorded(self) -> list[str]:
        return [entry.fact.firing_id for entry in self.ledger.entries if isinstance(entry.fact, FiringSent)]

    def run(
        self, until: Callable[[], bool] = lambda: False, *, steps: int = 400, tick_ns: int = S // 20
    ) -> bool:
        for _ in range(steps):
            if until():
                return True
            self.deliverer.step(0)
            self.clock.advance(tick_ns)
        return until()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_firing_is_told_acknowledged_and_forgotten_as_untold(bench: Bench) -> None:
    one = bench.fire(1)
    assert bench.run(lambda: not bench.untold())
    told = bench.opened(one)
    assert (told.campaign_id, told.drop, told.evidence) == (
        "walker",
        DropReason.SAMPLED_OUT,
        (("Vehicle.Speed", 8.5),),
    )
    assert bench.cn.tellings == [one]
    assert bench.recorded() == [one]
    assert not bench.others, "the answer is nobody else's"
    bench.run(steps=50, tick_ns=60 * S)
    assert bench.cn.tellings == [one], "and never again"


def test_it_overtakes_a_clip_that_was_there_before(bench: Bench) -> None:
    clip = bench.add_clip(1, 200_000)
    assert bench.run(lambda: sum("/seg/" in one.topic for one in bench.broker.published) > 20)
    one = bench.fire(1)
    assert bench.run(lambda: ("car-1", one) in bench.cn.told)
    at_arrival = sum("/seg/" in each.topic for each in bench.broker.published)
    assert at_arrival < 60, "most of the clip's 196 segments were still to come"
    assert bench.run(lambda: ("car-1", clip) in bench.cn.stored), "and the clip goes on"


def test_many_firings_and_the_status_go_by_turns(bench: Bench) -> None:
    for number in range(1, 6):
        bench.fire(number)
    status = Topics("cn", "car-1").status
    for n in range(3):
        bench.deliverer.post(f"{status}/{n}", b"status", retain=True)
    assert bench.run(lambda: not bench.untold())
    order = ["firing" if "/up/firing/" in one.topic else "status" for one in bench.broker.published]
    assert order[:6] == ["status", "firing"] * 3


def test_a_broker_that_takes_it_and_loses_it_ends_nothing(bench: Bench) -> None:
    bench.broker.forget = lambda topic: "/up/firing/" in topic
    one = bench.fire(1)
    bench.run(steps=20)
    assert bench.untold() == [one], "a PUBACK is no delivery"
    bench.broker.forget = lambda _: False
    assert bench.run(lambda: not bench.untold(), tick_ns=S)
    assert bench.cn.tellings == [one]


def test_a_region_that_does_not_answer_is_told_again_more_and_more_seldom(bench: Bench) -> None:
    bench.cn.answers_firings = False
    bench.fire(1)
    bench.run(steps=8 * 3600, tick_ns=S)
    assert 9 <= len(bench.cn.tellings) <= 40, "eight hours"
    assert bench.recorded() == [f"{1:032x}"], "once for the connection"
    assert bench.untold()


def test_a_process_that_is_killed_before_the_answer_tells_it_again_and_the_region_has_it_once(
    bench: Bench,
) -> None:
    bench.cn.answers_firings = False
    one = bench.fire(1)
    assert bench.run(lambda: bool(bench.cn.tellings))
    bench.cn.answers_firings = True
    bench.start()
    assert bench.run(lambda: not bench.untold())
    assert bench.cn.tellings == [one, one]
    assert list(bench.cn.told) == [("car-1", one)]
    assert bench.recorded() == [one, one], "once for each connection"


def test_after_a_cut_what_has_no_answer_is_told_over_the_next_connection(bench: Bench) -> None:
    bench.broker.forget = lambda topic: "/up/firing/" in topic
    one = bench.fire(1)
    bench.run(steps=5)
    bench.broker.forget = lambda _: False
    bench.broker.cut()
    assert bench.run(lambda: not bench.untold())
    assert bench.recorded() == [one, one]


def test_without_consent_it_stays_and_with_it_goes(bench: Bench) -> None:
    bench.consent.hold()
    one = bench.fire(1)
    bench.run(steps=50, tick_ns=S)
    assert not bench.cn.tellings
    assert not bench.recorded()
    bench.consent.give(SAFETY)
    assert bench.run(lambda: bench.cn.tellings == [one], tick_ns=S)


def test_only_the_purpose_that_is_consented_to_is_told_of(bench: Bench) -> None:
    bench.consent.withdraw(SAFETY)
    bench.fire(1)
    other = bench.fire(2, purpose=DRIVING)
    bench.run(steps=50, tick_ns=S)
    assert bench.cn.tellings == [other]


def test_a_withdrawal_while_it_waits_for_its_answer_stops_the_telling(bench: Bench) -> None:
    bench.cn.answers_firings = False
    one = bench.fire(1)
    assert bench.run(lambda: bool(bench.cn.tellings))
    bench.consent.withdraw(SAFETY)
    bench.journal.untell(purposes=[SAFETY])  # as who carries the withdrawal out does
    bench.run(steps=100, tick_ns=60 * S)
    assert bench.cn.tellings == [one]


def test_another_regions_firing_waits_for_its_own_region(bench: Bench) -> None:
    own, other = bench.fire(1), bench.fire(2, region="eu")
    assert bench.run(lambda: not bench.untold())
    bench.run(steps=50, tick_ns=S)
    assert bench.cn.tellings == [own]
    assert bench.untold("eu") == [other]
    bench.route = bench.eu.route()
    assert bench.run(lambda: not bench.untold("eu"))
    assert (bench.cn.tellings, bench.eu.tellings) == ([own], [other])


def test_on_hold_nobody_is_told(bench: Bench) -> None:
    bench.route = Hold(HoldReason.NO_REGISTRATION, "none")
    bench.fire(1)
    bench.run(steps=50, tick_ns=S)
    assert not any(broker.published for broker in bench.brokers.values())


def test_nothing_is_given_that_the_ledger_does_not_hold(bench: Bench) -> None:
    bench.ledger.full = True
    one = bench.fire(1)
    bench.run(steps=50, tick_ns=S)
    assert not bench.cn.tellings
    assert "no space left" in bench.firings.trouble
    bench.ledger.full = False
    assert bench.run(lambda: bench.cn.tellings == [one], tick_ns=S)
    assert bench.firings.trouble == ""


@pytest.mark.parametrize("fault", ["key", "journal"])
def test_a_fault_keeps_it_and_clips_go_on(bench: Bench, fault: str) -> None:
    bench.keys.away, bench.journal.torn = fault == "key", fault == "journal"
    one, clip = bench.fire(1), bench.add_clip(1, 5000)
    assert bench.run(lambda: ("car-1", clip) in bench.cn.stored)
    assert bench.firings.trouble
    assert not bench.cn.tellings
    bench.keys.away = bench.journal.torn = False
    assert bench.run(lambda: bench.cn.tellings == [one], tick_ns=S)


def test_an_answer_that_is_forged_or_about_another_ends_nothing(bench: Bench) -> None:
    bench.cn.answers_firings = False
    one = bench.fire(1)
    assert bench.run(lambda: bool(bench.cn.tellings))
    topics = Topics("cn", "car-1")
    for about, key in (
        (About("cn", "car-1", one), bench.eu.sample.receipt_key),
        (About("cn", "car-2", one), bench.cn.sample.receipt_key),
        (About("cn", "car-1", "f" * 32), bench.cn.sample.receipt_key),
    ):
        bench.broker.publish(topics.firing_ack, encode_firing_ack(about, key))
    bench.run(steps=20)
    assert bench.untold() == [one]
    bench.broker.publish(
        topics.firing_ack, encode_firing_ack(About("cn", "car-1", one), bench.cn.sample.receipt_key)
    )
    assert bench.run(lambda: not bench.untold())


def test_those_that_the_region_never_takes_hold_up_nobody(bench: Bench) -> None:
    bad = {bench.fire(number) for number in range(1, AT_ONCE + 10)}
    bench.broker.forget = lambda topic: topic.rpartition("/")[2] in bad
    good = bench.fire(1000)
    assert bench.run(lambda: good in bench.cn.tellings, steps=2000, tick_ns=S)


def test_the_flush_waits_for_what_is_under_way(bench: Bench) -> None:
    bench.cn.answers_firings = False
    bench.fire(1)
    assert bench.run(lambda: bool(bench.cn.tellings))
    assert not bench.deliverer.flushed()
    bench.cn.answers_firings = True
    assert bench.run(bench.deliverer.flushed, tick_ns=S)


def test_the_oldest_of_too_many_go_and_are_counted_by_region(bench: Bench) -> None:
    bench.fire(1, region="eu")
    for number in range(2, MAX_UNTOLD + 4):
        bench.fire(number)
    assert bench.untold("eu") == []
    assert len(bench.untold()) == MAX_UNTOLD
    assert (bench.journal.never_told("eu"), bench.journal.never_told("cn")) == (1, 2)


def test_the_audit_holds_what_was_told_to_consent_and_to_the_region(bench: Bench) -> None:
    bench.fire(1)
    assert bench.run(lambda: not bench.untold())
    entries = [Located(entry, "memory") for entry in bench.ledger.entries]
    policy = bench.cn.sample.policy
    view = RegionView("cn", policy.identity_uri, policy.receipt_public_keys, {})
    assert account(entries, {"cn": view}, None)[1] == []
    elsewhere = RegionView("cn", "urn:fsd:region:eu", policy.receipt_public_keys, {})
    assert [one.kind for one in account(entries, {"cn": elsewhere}, None)[1]] == [FindingKind.WRONG_REGION]
    unconsented = [one for one in entries if not isinstance(one.entry.fact, ConsentChanged)]
    assert [one.kind for one in account(unconsented, {"cn": view}, None)[1]] == [FindingKind.NO_CONSENT]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["fire", "fire", "cut", "kill", "lose", "withdraw", "give", "run"]), max_size=14
    ),
    st.integers(0, 99),
)
def test_whatever_happens_each_is_told_or_still_untold_and_never_without_consent(
    acts: list[str], seed: int
) -> None:
    bench, fired, number = Bench(), set(), 0
    withdrawn: set[str] = set()
    lose = random.Random(seed)
    for act in acts:
        match act:
            case "fire" if SAFETY in bench.consent.now.given:
                number += 1
                fired.add(bench.fire(number))
            case "cut":
                bench.broker.cut()
            case "kill":
                bench.start()
            case "lose":
                bench.broker.forget = lambda _: lose.random() < 0.5
            case "withdraw":
                bench.consent.withdraw(SAFETY)
                withdrawn |= set(bench.untold())
                bench.journal.untell(purposes=[SAFETY])
            case "give":
                bench.consent.give(SAFETY)
            case "run":
                bench.run(steps=4)
        told = {firing for _, firing in bench.cn.told}
        assert told <= set(bench.recorded()), "recorded before"
        assert fired <= told | set(bench.untold()) | withdrawn
    bench.broker.forget = lambda _: False
    bench.consent.give(SAFETY)
    before = list(bench.cn.tellings)
    assert bench.run(lambda: not bench.untold(), steps=2000, tick_ns=S)
    assert not {*bench.cn.tellings[len(before) :]} & withdrawn, (
        "what was withdrawn is not told, whatever comes later"
    )
