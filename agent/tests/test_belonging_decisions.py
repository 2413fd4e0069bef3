"""Where the vehicle belongs, look by look: what a look finds, how old it may be, what is kept and what is told."""

from __future__ import annotations

import dataclasses

import pytest

from fsd_agent.pipeline.residence import Belonging, Residence
from fsd_agent.records.region import Hold, HoldReason, LeftClips, RegionPolicy, Registration, Route
from fsd_agent.rules.trust.registration import BELIEVE_NS
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import (
    ISSUED_WALL_NS,
    SampleRegion,
    sample_document,
    sample_region,
    sample_registration,
)
from fsd_agent.testing.trust import MemoryTrust
from fsd_agent.wire.registration import encode_registration

S, DAY = 1_000_000_000, 86_400_000_000_000
T0 = 1_700_000_000_000_000_000
CN, EU, US = sample_region("cn"), sample_region("eu", ("DE",)), sample_region("us", ("US",))
UNPINNED = "the vehicle pins no root key of region 'uk'"


def having(region: SampleRegion, **changes: object) -> SampleRegion:
    policy = dataclasses.replace(region.policy, **changes)  # type: ignore[arg-type]  # as of the policy
    return dataclasses.replace(region, policy=policy)


class _Journal(MemoryJournal):
    """Counts what is written; one key may be on a bad sector."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.bad = ""

    def get_state(self, key: str) -> bytes | None:
        self.broken = key == self.bad
        try:
            return super().get_state(key)
        finally:
            self.broken = False

    def set_state(self, key: str, value: bytes) -> None:
        super().set_state(key, value)
        self.written.append(key)


class Bench:
    """A vehicle's residence, over any number of restarts."""

    def __init__(self, *regions: SampleRegion, document: bytes | None = None) -> None:
        self.document, self.asked = document, 0
        self.trust, self.journal, self.events = MemoryTrust.of(*regions), _Journal(), RememberedEvents()
        self.clock = ManualClock(monotonic_ns=7 * S, wall_ns=T0)
        self.restart()

    def restart(self) -> None:
        self.residence = Residence(
            self._read,
            self.trust,
            device_key_ids=lambda: {sample_registration().device_key_id},
            journal=self.journal,
            clock=self.clock,
            events=self.events,
        )

    def _read(self) -> bytes | None:
        self.asked += 1
        return self.document

    def register(self, jurisdiction: str, serial: int) -> Registration:
        registration = sample_registration("car-1", jurisdiction, serial)
        self.document = sample_document(registration)
        return registration

    def look(self) -> Belonging:
        self.clock.advance(S)
        return self.residence.now


def document(jurisdiction: str = "CN", serial: int = 1) -> bytes:
    return sample_document(sample_registration("car-1", jurisdiction, serial))


# What a look finds.


def test_a_vehicle_that_was_given_nothing_belongs_nowhere() -> None:
    hold = Hold(HoldReason.NO_REGISTRATION, "firmware holds no registration document")
    bench = Bench()
    assert bench.look() == Belonging(hold, (), {})
    assert bench.look() == Belonging(hold, (), {}, (), frozenset(), 0)
    assert bench.journal.state == {}


def test_a_look_finds_the_route_and_everything_that_was_left_or_refused() -> None:
    left = having(CN, left_clips=LeftClips.DELIVER), having(EU, left_clips=LeftClips.ERASE)
    never, gb = US, sample_region("gb", ("GB",))
    bench = Bench(*left, never, gb, document=document("CN", 1))
    bench.trust.lay("uk", b"")
    bench.register("DE", 2)
    assert isinstance(bench.look().where, Route)
    here = bench.register("GB", 3)
    policies = tuple(one.policy for one in (*left, gb, never))
    expected = Belonging(
        Route(here, gb.policy),
        policies,
        {"uk": UNPINNED},
        left=(Route(sample_registration("car-1", "CN", 1), left[0].policy),),
        erased=frozenset({"eu"}),
        proved_ns=ISSUED_WALL_NS,
    )
    assert bench.look() == expected
    assert bench.residence.current == expected.where
    assert bench.residence.left == expected.left
    assert bench.residence.erased == expected.erased
    assert bench.residence.policies == expected.policies
    assert bench.residence.refused_policies == expected.refused
    bench.restart()
    assert bench.look() == expected


def test_ways_back_and_erasures_are_of_every_region_that_was_left_by_region_id() -> None:
    bench = Bench(EU, US, CN, sample_region("gb", ("GB",)), document=document("US", 1))
    for serial, jurisdiction in enumerate(("CN", "DE", "GB"), 2):
        bench.register(jurisdiction, serial)
        bench.look()
    assert [way.policy.region_id for way in bench.look().left] == ["cn", "eu", "us"]
    for region in (CN, US):
        bench.trust.enrol(having(region, version=2, left_clips=LeftClips.ERASE))
    found = bench.look()
    assert [way.policy.region_id for way in found.left] == ["eu"]
    assert found.erased == {"cn", "us"}


def test_on_hold_nothing_was_left_and_policies_are_in_force_all_the_same() -> None:
    bench = Bench(CN, having(EU, left_clips=LeftClips.ERASE), document=document("CN", 1))
    bench.trust.lay("uk", b"")
    bench.register("DE", 2)
    assert bench.look().left
    bench.register("FR", 3)
    found = bench.look()
    hold = Hold(HoldReason.NO_REGION, "jurisdiction FR; known: cn (CN), eu (DE)")
    policies: tuple[RegionPolicy, ...] = (
        CN.policy,
        dataclasses.replace(EU.policy, left_clips=LeftClips.ERASE),
    )
    assert found == Belonging(hold, policies, {"uk": UNPINNED}, proved_ns=ISSUED_WALL_NS)


def test_a_region_without_a_policy_in_force_holds_and_the_sound_ones_are_still_known() -> None:
    bench = Bench(CN, EU, document=document())
    bench.trust.lay("jp", b"")
    bench.trust.pinned["jp"] = bench.trust.pinned["cn"]
    found = bench.look()
    assert isinstance(found.where, Hold)
    assert found.where.reason is HoldReason.NO_POLICY
    assert found.refused == {"jp": found.where.detail}
    assert found == Belonging(found.where, (CN.policy, EU.policy), found.refused, proved_ns=ISSUED_WALL_NS)


def test_the_way_back_is_the_newest_registration_there_with_the_policy_of_now() -> None:
    bench = Bench(CN, EU, document=document("CN", 1))
    newest = bench.register("CN", 2)
    bench.look()
    bench.register("DE", 3)
    newer = having(CN, version=2, retention_days=7)
    bench.trust.enrol(newer)
    assert bench.look().left == (Route(newest, newer.policy),)


# Time that is proved.


def test_time_is_proved_by_the_newest_signature_or_by_a_clock_that_is_believed() -> None:
    bench = Bench(having(CN, issued_wall_ns=T0 - DAY), EU, document=document())
    assert bench.look().proved_ns == T0 - DAY
    bench.clock.advance(BELIEVE_NS)
    then_ns = bench.clock.wall_ns() - BELIEVE_NS - S
    assert bench.look().proved_ns == then_ns == T0
    bench.document = None
    assert bench.look().proved_ns == T0, "on hold too"
    bench.trust.enrol(having(EU, version=2, issued_wall_ns=T0 + DAY))
    assert bench.look().proved_ns == T0 + DAY
    bench.document = document()
    assert bench.look().proved_ns == T0 + DAY


def test_a_signature_of_the_future_ends_a_document_that_is_over_by_then() -> None:
    registration = dataclasses.replace(sample_registration(), not_after_wall_ns=T0 + DAY)
    bench = Bench(CN, having(EU, issued_wall_ns=T0 + DAY), document=sample_document(registration))
    hold = Hold(HoldReason.REGISTRATION_EXPIRED, "not_after: 2023-11-15T22:13:20Z, it is 2023-11-15")
    assert bench.residence.current == hold


# How old an answer may be.


def test_an_answer_is_at_most_a_second_old_and_nobody_is_asked_more_often() -> None:
    bench = Bench(CN, document=document())
    assert bench.asked == 1
    bench.document = None
    for _ in range(3):
        bench.clock.advance(S - 1)
        assert isinstance(bench.residence.current, Route), "still the answer of the last look"
        bench.clock.advance(1)
        assert isinstance(bench.residence.current, Hold)
        asked = bench.asked
        assert isinstance(bench.residence.current, Hold)
        assert bench.asked == asked
        bench.document = document()
        assert isinstance(bench.look().where, Route)
        bench.document = None
    assert bench.asked == 7


# What is kept before anything is collected.


def test_under_which_registration_it_belongs_there_is_kept_once() -> None:
    bench = Bench(CN, document=document())
    bench.look()
    assert bench.journal.state["registered/cn"] == encode_registration(sample_registration())
    bench.restart()
    bench.look()
    assert bench.journal.written.count("registered/cn") == 1, "a write each second would wear the disk out"
    newer = bench.register("CN", 2)
    bench.look()
    assert bench.journal.state["registered/cn"] == encode_registration(newer)
    assert bench.journal.written.count("registered/cn") == 2


def test_where_that_can_not_be_kept_the_vehicle_holds() -> None:
    bench = Bench(CN, sample_region("greedy", ("CN",)), document=document())
    assert isinstance(bench.look().where, Hold)
    bench.journal.full = True
    del bench.trust.pinned["greedy"]
    hold = Hold(HoldReason.REGISTRATION_NOT_KEPT, "memory journal: no space left")
    found = bench.look()
    assert (found.where, found.left, found.erased) == (hold, (), frozenset())
    bench.journal.full = False
    assert bench.look().where == Route(sample_registration(), CN.policy)


@pytest.mark.parametrize(
    "fault", ["memory journal: can't be read", "not JSON: Expecting value: line 1 column 1 (char 0)"]
)
def test_a_way_back_that_is_lost_is_told_once_and_goes_nowhere(fault: str) -> None:
    bench = Bench(CN, EU, document=document())
    kept = bench.journal.state["registered/cn"]
    bench.register("DE", 2)
    ways = bench.look().left
    for times in (1, 2):
        if "JSON" in fault:
            bench.journal.state["registered/cn"] = b""
        else:
            bench.journal.bad = "registered/cn"
        for _ in range(3):
            found = bench.look()
            assert isinstance(found.where, Route), "the own region goes on"
            assert found.left == ()
        told = {"clip": "", "what": f"registered/cn: {fault}"}
        assert bench.events.of("journal_failed") == [told] * times
        bench.journal.bad, bench.journal.state["registered/cn"] = "", kept
        assert bench.look().left == ways


# What is told.


def test_a_route_and_a_hold_are_told_whole_and_once() -> None:
    bench = Bench(CN, EU, document=document())
    bench.look()
    bench.document = None
    bench.look()
    bench.look()
    bench.register("DE", 2)
    bench.look()
    bench.look()
    routes = [
        {"vehicle": "car-1", "jurisdiction": "CN", "region": "cn"},
        {"vehicle": "car-1", "jurisdiction": "DE", "region": "eu"},
    ]
    assert bench.events.of("route") == routes
    hold = {"reason": "no_registration", "detail": "firmware holds no registration document"}
    assert bench.events.of("hold") == [hold]
