"""The delivering loop over links that cost, vanish and change, within budgets, and until the car sleeps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.deliver import Deliverer
from fsd_agent.pipeline.gate import SMALL, STATE_KEY, LinkGate
from fsd_agent.pipeline.lane import CLIPS_AT_ONCE
from fsd_agent.pipeline.power import Loop, PowerKeeper
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.byte_limits import NO_LIMITS, ByteLimits
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.link_rule import EVERYTHING, LinkRule, Links
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import Waits
from fsd_agent.rules.uplink.budget import MESSAGE_BYTES, STEADY_NS, charged
from fsd_agent.rules.uplink.power import Phase
from fsd_agent.rules.uplink.rate import Rate
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
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.spent import decode_spent
from fsd_agent.wire.transfer import Topics, receiver_subscription
from fsd_firmware.contract import FirmwareError
from fsd_firmware.surroundings import (
    POWERED,
    UNKNOWN_LINK,
    LinkKind,
    LinkState,
    PowerState,
    Surroundings,
)

S = 1_000_000_000
DAY = 86_400 * S
MB = 1_000_000
WIFI = LinkState(LinkKind.WIFI, metered=False, roaming=False)
CELLULAR = LinkState(LinkKind.CELLULAR, metered=True, roaming=False)
ABROAD = LinkState(LinkKind.CELLULAR, metered=True, roaming=True)
NO_LINK = LinkState(LinkKind.NONE, metered=True, roaming=False)
ANY, FREE, HOME = LinkRule(Links.ANY), LinkRule(), LinkRule(Links.WIFI)
URGENT = LinkRule(Links.ANY, urgent=True)


@dataclass
class Car:
    """One vehicle, its firmware and one region."""

    link: LinkState = WIFI
    limits: ByteLimits = NO_LIMITS
    rates: dict[LinkKind, Rate] = field(default_factory=dict)
    power_state: PowerState = POWERED
    clock: ManualClock = field(default_factory=ManualClock)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    spool: MemorySpool = field(default_factory=lambda: MemorySpool(keyed("cn")))
    events: RememberedEvents = field(default_factory=RememberedEvents)
    region: MemoryRegion = field(default_factory=MemoryRegion)
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    given_back: int = 0
    stuck: str = ""
    """Why a window can't be given back."""

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(keys=MemoryVehicleKeys(), clock=self.clock)
        self.broker.listen(receiver_subscription("cn"), self.region.handle)
        self.route = self.region.route()
        self.start()

    def start(self) -> None:
        """A new process on the same disk."""
        self.power = PowerKeeper(
            lambda: self.power_state,
            work_left=lambda: bool(self.journal.clips({ClipState.SEALED}, admits=self.gate.admits())),
            give_back=self.give_back,
            clock=self.clock,
            events=self.events,
        )
        self.gate = LinkGate(
            surroundings=lambda: Surroundings(self.link, self.power_state),
            asleep=self.power.asleep,
            journal=self.journal,
            clock=self.clock,
            own=self.limits,
            rates=self.rates,
        )
        self.connection = MemoryConnection({("127.0.0.1", 8883): self.broker}, window=4)
        self.deliverer = Deliverer(
            broker=self.connection,
            journal=self.journal,
            spool=self.spool,
            ledger=self.ledger,
            consent=PlainConsent(),
            clock=self.clock,
            events=self.events,
            route_source=lambda: self.route,
            on_message=lambda _route, _message: None,
            random=random.Random(1).random,
            limits=UplinkLimits(segment_bytes=1024),
            gate=self.gate,
            power=self.power,
        )

    def give_back(self) -> None:
        if self.stuck:
            raise FirmwareError(self.stuck)
        self.given_back += 1

    def add(self, number: int, rule: LinkRule, size: int = 5000, *, priority: int = 0) -> str:
        clip_id = f"{number:032x}"
        row = ClipRow(
            clip_id,
            "cn",
            Purpose.SAFETY,
            ClipState.STAGED,
            number,
            number + 1,
            0,
            (),
            (),
            priority,
            link=rule,
        )
        self.journal.accept((), (row,))
        self.journal.captured(clip_id, cut=False)
        self.journal.sealed(self.spool.put(at("cn"), clip_id, as_file(random.Random(number).randbytes(size))))
        self.deliverer.notify()
        return clip_id

    def has(self, clip_id: str) -> bool:
        row = self.journal.clip(clip_id)
        assert row is not None
        return row.state is ClipState.DELIVERED

    def run(self, until: Callable[[], bool], *, steps: int = 400, tick_ns: int = S // 20) -> bool:
        for _ in range(steps):
            if until():
                return True
            self.deliverer.step(0)
            self.clock.advance(tick_ns)
        return until()

    def rest(self, seconds: int = 20) -> None:
        self.run(lambda: False, steps=seconds * 20)

    @property
    def waits(self) -> dict[str, int]:
        return dict(self.deliverer.stats().waits)

    def cost(self) -> int:
        """What the region's broker saw of clips, as it is charged."""
        return sum(
            charged(len(one.topic) + len(one.payload)) for one in self.broker.published if "/up/" in one.topic
        )


def test_clips_that_may_not_go_now_hold_up_nobody() -> None:
    car = Car(CELLULAR)
    for number in range(2, CLIPS_AT_ONCE + 60):
        car.add(number, HOME, priority=9)
    free, small = car.add(1001, FREE, priority=9), car.add(1000, ANY)
    assert car.run(lambda: car.has(small))
    assert not car.has(free)
    assert not any(f"{2:032x}" in one.topic for one in car.broker.published), "not even asked about"
    car.rest(6)
    assert car.waits == {Waits.FOR_WIFI: CLIPS_AT_ONCE + 58, Waits.FOR_UNMETERED: 1}
    assert car.deliverer.stats().waiting_clips == 0


def test_they_go_when_their_link_is_there_over_a_connection_of_its_own() -> None:
    car = Car(CELLULAR)
    home, free = car.add(1, HOME), car.add(2, FREE)
    car.rest()
    assert len(car.connection.dialled) == 1
    car.link = WIFI
    assert car.run(lambda: car.has(home) and car.has(free), steps=40)
    assert len(car.connection.dialled) == 2
    car.rest(6)
    assert car.waits == {}


def test_a_clip_under_way_is_left_when_the_link_begins_to_cost_and_goes_on_without_what_arrived() -> None:
    car = Car(WIFI)
    clip = car.add(1, FREE, 60_000)
    car.run(lambda: len(car.broker.published) > 20, tick_ns=0)
    car.link = CELLULAR
    before = len(car.broker.published)
    car.rest()
    assert len(car.broker.published) == before
    assert not car.has(clip)
    assert car.waits == {Waits.FOR_UNMETERED: 1}
    car.link = WIFI
    assert car.run(lambda: car.has(clip))
    segments = [one.topic for one in car.broker.published if "/seg/" in one.topic]
    assert len(segments) <= -(-60_000 // 1024) + 4, "at most what was in the window is sent again"


def test_a_receipt_counts_though_its_clip_may_not_go_any_more() -> None:
    car = Car(WIFI)
    clip = car.add(1, FREE)
    car.broker.forget = lambda topic: "/fin/" in topic  # The region is slow
    assert car.run(lambda: any("/fin/" in one.topic for one in car.broker.published), tick_ns=0)
    car.link = UNKNOWN_LINK
    car.rest(6)
    (fin,) = (one for one in car.broker.published if "/fin/" in one.topic)
    for topic, payload in car.region.handle(fin.topic, fin.payload):
        car.broker.publish(topic, payload)
    assert car.run(lambda: car.has(clip), steps=3)
    assert car.deliverer.stats().unknown_clips == 0


def test_a_link_of_which_nothing_is_known_is_no_other_link() -> None:
    car = Car(WIFI)
    far = car.add(1, LinkRule(Links.ANY, roaming=True))
    assert car.run(lambda: car.has(far))
    car.link = UNKNOWN_LINK
    clip = car.add(2, FREE)
    far = car.add(3, LinkRule(Links.ANY, roaming=True))
    assert car.run(lambda: car.has(far))
    car.link = WIFI
    assert car.run(lambda: car.has(clip))
    assert len(car.connection.dialled) == 1


@pytest.mark.parametrize(
    ("link", "reason"), [(ABROAD, Waits.ROAMING), (NO_LINK, Waits.NO_LINK), (UNKNOWN_LINK, Waits.ROAMING)]
)
def test_why_nothing_goes_is_told(link: LinkState, reason: Waits) -> None:
    car = Car(link)
    clip = car.add(1, ANY)
    car.rest()
    assert not car.has(clip)
    assert car.waits == {reason: 1}


def test_urgent_clips_go_first_whatever_their_priority() -> None:
    car = Car(WIFI)
    slow, urgent = car.add(1, ANY, 20_000, priority=9), car.add(2, URGENT, 20_000, priority=-9)
    assert car.run(lambda: car.has(urgent), tick_ns=0)
    assert not car.has(slow)


# Budgets


def test_a_budget_ends_in_the_middle_of_a_clip_and_the_next_day_goes_on() -> None:
    car = Car(CELLULAR, ByteLimits(2 * MB, None))
    car.run(lambda: False, steps=STEADY_NS // S, tick_ns=S)
    first, second = car.add(1, ANY, 900_000), car.add(2, ANY, 900_000)
    car.run(lambda: False, steps=4000)
    assert car.has(first)
    assert not car.has(second)
    assert car.waits == {Waits.BUDGET_DAY: 1}
    assert 2 * MB * 4 // 5 - MESSAGE_BYTES - 2000 <= car.cost() <= 2 * MB * 4 // 5
    car.clock.advance(DAY)
    assert car.run(lambda: car.has(second), steps=2000)
    assert car.cost() <= 900_000 * 2 * 1.5, "what had arrived is not sent again"


def test_the_last_fifth_is_for_urgent_clips() -> None:
    car = Car(CELLULAR, ByteLimits(2 * MB, None))
    car.add(1, ANY, 3 * MB)
    car.run(lambda: False, steps=3000)
    assert car.waits == {Waits.BUDGET_DAY: 1}
    urgent = car.add(2, URGENT)
    assert car.run(lambda: car.has(urgent))
    assert car.cost() <= 2 * MB


def test_a_region_may_allow_less_than_the_owner() -> None:
    car = Car(CELLULAR, ByteLimits(50 * MB, 500 * MB))
    metered = ByteLimits(None, MESSAGE_BYTES - 1)
    car.route = replace(car.route, policy=replace(car.route.policy, metered=metered))
    clip = car.add(1, URGENT)
    car.rest()
    assert not car.has(clip)
    assert car.waits == {Waits.BUDGET_MONTH: 1}


def test_a_link_that_costs_nothing_has_no_budget() -> None:
    car = Car(WIFI, ByteLimits(0, 0))
    clip = car.add(1, HOME)
    assert car.run(lambda: car.has(clip))
    assert STATE_KEY not in car.journal.state


@settings(max_examples=8)
@given(st.lists(st.integers(1, 60), max_size=8), st.integers(0, 2**16))
def test_power_cuts_give_no_bytes_for_nothing(lives: list[int], seed: int) -> None:
    """Whenever the power goes: what the broker saw is never more than what was kept as used."""
    chance = random.Random(seed)
    car = Car(CELLULAR, ByteLimits(4 * MB, None))
    for number in range(1, 4):
        car.add(number, chance.choice([ANY, URGENT]), 300_000)
    for steps in lives:
        car.run(lambda: False, steps=steps)
        kept = car.journal.get_state(STATE_KEY)
        used = decode_spent(kept).day.used_bytes if kept is not None else 0
        assert car.cost() <= used <= 4 * MB
        car.broker.cut()
        car.start()


def test_bytes_that_cannot_be_kept_as_used_are_not_given() -> None:
    car = Car(CELLULAR, ByteLimits(10 * MB, None))
    clip = car.add(1, ANY)
    car.journal.full = True
    car.rest()
    assert not any("/up/" in one.topic for one in car.broker.published)
    assert "no space left" in car.deliverer.stats().trouble
    car.journal.full = False
    assert car.run(lambda: car.has(clip), tick_ns=S)


def test_what_was_charged_and_not_given_comes_back_at_a_clean_end() -> None:
    car = Car(CELLULAR, ByteLimits(10 * MB, None))
    clip = car.add(1, ANY)
    assert car.run(lambda: car.has(clip))
    car.deliverer.close()
    assert decode_spent(car.journal.state[STATE_KEY]).day.used_bytes == car.cost()
    car.deliverer.close()


def test_a_clean_end_on_a_full_disk_counts_them_as_used() -> None:
    car = Car(CELLULAR, ByteLimits(10 * MB, None))
    clip = car.add(1, ANY)
    assert car.run(lambda: car.has(clip))
    car.journal.full = True
    car.deliverer.close()
    assert decode_spent(car.journal.state[STATE_KEY]).day.used_bytes > car.cost()
    assert "no space left" in car.deliverer.stats().trouble


def test_a_count_that_cannot_be_read_is_told_and_costs_nothing_more() -> None:
    car = Car(CELLULAR, ByteLimits(10 * MB, None))
    car.journal.state[STATE_KEY] = b"?"
    car.start()
    clip = car.add(1, URGENT)
    car.rest()
    assert not car.has(clip)
    assert "what was sent over metered links can't be read" in car.deliverer.stats().trouble
    car.link = WIFI
    assert car.run(lambda: car.has(clip))


def test_a_journal_that_cannot_be_read_is_no_gate() -> None:
    car = Car(CELLULAR)
    car.journal.broken = True
    with pytest.raises(JournalError):
        car.start()


# Rates and small messages


def test_clips_go_no_faster_than_the_rate_of_their_link() -> None:
    rate = Rate(bytes_per_s=10_000, burst_ns=S // 4)
    car = Car(WIFI, rates={LinkKind.CELLULAR: rate})
    clip = car.add(1, ANY, 200_000)
    assert car.run(lambda: car.has(clip), steps=100), "Wi-Fi has none"
    car.link = CELLULAR
    clip = car.add(2, ANY, 200_000)
    before = car.clock.monotonic_ns()
    assert car.run(lambda: car.has(clip), steps=1000)
    took_s = (car.clock.monotonic_ns() - before) / S
    assert 20 <= took_s <= 26


def test_a_wait_for_the_rate_is_no_spin() -> None:
    car = Car(CELLULAR, rates={LinkKind.CELLULAR: Rate(1000, 0)})
    car.add(1, ANY, 50_000)
    car.rest(3)
    due = car.gate.due_ns(small=False)
    assert due > car.clock.monotonic_ns()


def status(car: Car) -> list[bytes]:
    return [one.payload for one in car.broker.published if one.topic.endswith("/status")]


def test_on_a_metered_link_statuses_keep_to_their_allowance_and_the_newest_counts() -> None:
    car = Car(CELLULAR, ByteLimits(0, 0))
    for number in range(4000):
        car.deliverer.post(Topics("cn", "car-1").status, b"%04d" % number + bytes(4000), retain=True)
        car.deliverer.step(0)
        car.clock.advance(5 * S)
    came = status(car)
    took_s = 4000 * 5
    assert sum(map(len, came)) <= SMALL.bytes_per_s * (took_s + SMALL.burst_ns // S) + 5000
    assert len(came) > 80
    assert came == sorted(came)
    assert STATE_KEY not in car.journal.state, "and none of the budget"


def test_elsewhere_they_go_at_once() -> None:
    car = Car(WIFI)
    for number in range(200):
        car.deliverer.post(Topics("cn", "car-1").status, b"%04d" % number + bytes(4000), retain=True)
        car.run(lambda: False, steps=2)
    assert len(status(car)) > 190


# Ignition off


def off(left_s: float) -> PowerState:
    return PowerState(ignition_on=False, drain_left_ns=round(left_s * S))


def test_after_ignition_off_what_may_go_goes_and_the_window_is_given_back_early() -> None:
    car = Car(WIFI)
    clip, late = car.add(1, HOME, 50_000), car.add(2, LinkRule(Links.ANY), 50_000)
    car.run(lambda: len(car.broker.published) > 5, tick_ns=0)
    for loop in (Loop.SENSE, Loop.FINISH):
        car.power.rest(loop)
    car.power_state = off(100)
    assert car.run(lambda: car.power.phase is Phase.ASLEEP)
    assert car.has(clip)
    assert car.has(late)
    car.rest(2)
    assert not car.deliverer.stats().connected
    assert car.given_back == 0, "the other two loops have not rested"
    for loop in (Loop.SENSE, Loop.FINISH):
        car.power.rest(loop)
    assert car.given_back == 1
    car.rest(2)
    assert car.given_back == 1
    assert [one["phase"] for one in car.events.of("power")] == ["draining", "asleep", "given_back"]


def test_at_the_end_of_the_window_nothing_more_is_said_and_ignition_on_resumes() -> None:
    car = Car(WIFI, rates={LinkKind.WIFI: Rate(1000, 0)})
    clip = car.add(1, HOME, 20_000)
    car.rest(2)
    car.power_state = off(10)
    car.rest(2)
    assert car.deliverer.stats().connected
    car.power_state = off(3)
    car.rest(1)
    before = len(car.broker.published)
    car.rest(5)
    assert len(car.broker.published) == before
    assert not car.deliverer.stats().connected
    car.power_state = POWERED
    assert car.run(lambda: car.has(clip), steps=1000)
    assert [one["phase"] for one in car.events.of("power")] == ["draining", "asleep", "on"]


def test_a_window_that_cannot_be_given_back_is_told_and_tried_again() -> None:
    car = Car(WIFI)
    car.stuck = "the bus is silent"
    car.power_state = off(0)
    car.rest(1)
    for loop in Loop:
        car.power.rest(loop)
    assert (car.power.trouble, car.given_back) == ("the bus is silent", 0)
    car.stuck = ""
    car.rest(1)
    assert (car.power.trouble, car.given_back) == ("", 1)


def test_a_car_that_starts_with_the_ignition_off_uses_what_is_left_of_the_window() -> None:
    car = Car(WIFI)
    clip = car.add(1, HOME)
    car.power_state = off(60)
    car.start()
    assert car.power.phase is Phase.DRAINING
    assert car.run(lambda: car.has(clip))
    assert car.run(lambda: car.power.phase is Phase.ASLEEP)


def test_before_the_first_look_any_clip_may_turn_out_to_go_and_none_is_said_to_wait() -> None:
    car = Car(CELLULAR)
    assert car.gate.admits() is EVERYTHING
    assert car.gate.link is UNKNOWN_LINK
    with pytest.raises(AssertionError, match="nobody has looked"):
        car.gate.waits(ANY)
