"""No region before the ledger holds that it is the vehicle's: what is recorded, when again, and what if it can't be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from fsd_agent.pipeline.residence import Belonging
from fsd_agent.pipeline.whereabouts import RecordedWhereabouts
from fsd_agent.records.ledger import Fact, Held, PolicyRefused, Registered
from fsd_agent.records.region import Hold, HoldReason, Registration, Route
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import sample_region, sample_registration
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys

CN, EU = sample_region("cn").policy, sample_region("eu", ("DE",)).policy
AT_CN = Route(sample_registration("car-1", "CN", 4), CN)
AT_EU = Route(sample_registration("car-1", "DE", 5), EU)
MISSING = Hold(HoldReason.NO_REGISTRATION, "firmware holds no registration document")
BROKEN = "ledger: an fsync failed earlier"


@dataclass
class Source:
    """Whoever finds out; a test says what it found."""

    now: Belonging


def found(where: Route | Hold, **others: object) -> Belonging:
    return dataclasses.replace(Belonging(where, (CN, EU), {}), **others)  # type: ignore[arg-type]  # as of Belonging


class Bench:
    def __init__(self, now: Belonging) -> None:
        self.source, self.events = Source(now), RememberedEvents()
        self.ledger = MemoryLedger(keys=MemoryVehicleKeys(), clock=ManualClock())
        self.where = RecordedWhereabouts(self.source, self.ledger, self.events)

    def recorded(self) -> list[Fact]:
        """All facts, once whoever asks has asked twice."""
        assert self.where.current == self.where.current
        return [entry.fact for entry in self.ledger.entries]

    def told(self) -> list[dict[str, object]]:
        return [dict(fields) for fields in self.events.of("ledger_failed")]

    def finds(self, now: Belonging) -> Bench:
        self.source.now = now
        return self


REGISTERED_CN = Registered("car-1", "CN", 4, "cn", 1)
REGISTERED_EU = Registered("car-1", "DE", 5, "eu", 1)


def test_where_the_vehicle_belongs_is_recorded_once_and_then_said() -> None:
    bench = Bench(found(AT_CN))
    assert bench.ledger.entries == ()
    assert bench.where.current == AT_CN
    assert bench.recorded() == [REGISTERED_CN]
    assert bench.finds(found(AT_EU)).recorded() == [REGISTERED_CN, REGISTERED_EU]
    assert bench.where.current == AT_EU
    assert bench.told() == []


def test_everything_that_a_look_found_is_said() -> None:
    now = found(AT_CN, left=(AT_EU,), erased=frozenset({"us"}), refused={"us": "torn"}, proved_ns=7)
    bench = Bench(now)
    assert bench.where.left == (AT_EU,)
    assert bench.where.erased == {"us"}
    assert bench.where.refused_policies == {"us": "torn"}
    assert bench.where.policies == (CN, EU)
    assert bench.where.proved_ns == 7


@pytest.mark.parametrize("name", ["left", "erased", "refused_policies", "policies", "proved_ns"])
def test_whatever_is_asked_it_is_recorded_first(name: str) -> None:
    bench = Bench(found(AT_CN))
    assert getattr(bench.where, name) is not None
    assert [entry.fact for entry in bench.ledger.entries] == [REGISTERED_CN]


def test_a_hold_is_recorded_by_its_reason_and_not_for_each_detail() -> None:
    bench = Bench(found(MISSING))
    assert bench.where.current == MISSING
    other = Hold(MISSING.reason, "in other words")
    assert bench.finds(found(other)).recorded() == [Held(HoldReason.NO_REGISTRATION)]
    assert bench.where.current == other
    expired = Hold(HoldReason.REGISTRATION_EXPIRED, "")
    assert bench.finds(found(expired)).recorded() == [
        Held(HoldReason.NO_REGISTRATION),
        Held(HoldReason.REGISTRATION_EXPIRED),
    ]


@pytest.mark.parametrize(
    ("registration", "policy", "fact"),
    [
        ({"serial": 5}, {}, Registered("car-1", "CN", 5, "cn", 1)),
        ({"jurisdiction": "HK"}, {}, Registered("car-1", "HK", 4, "cn", 1)),
        ({"vehicle": "car-2"}, {}, Registered("car-2", "CN", 4, "cn", 1)),
        ({"not_after_wall_ns": 1}, {}, REGISTERED_CN),
        ({}, {"version": 2}, Registered("car-1", "CN", 4, "cn", 2)),
        ({}, {"retention_days": 7}, REGISTERED_CN),
    ],
)
def test_a_route_is_recorded_anew_when_anything_about_it_changes(
    registration: dict[str, object], policy: dict[str, object], fact: Fact
) -> None:
    changed: Registration = dataclasses.replace(AT_CN.registration, **registration)  # type: ignore[arg-type]
    route = Route(changed, dataclasses.replace(CN, **policy))  # type: ignore[arg-type]  # as of the policy
    bench = Bench(found(AT_CN))
    assert bench.where.current == AT_CN
    assert bench.finds(found(route)).recorded() == [REGISTERED_CN, fact]
    assert bench.where.current == route


# What was laid down and refused.


def test_a_refusal_is_recorded_once_with_the_version_that_goes_on() -> None:
    refused = {"us": "torn", "eu": "older", "cn": "forged"}
    newer = dataclasses.replace(EU, version=8)
    bench = Bench(found(AT_CN, refused=refused, policies=(CN, newer)))
    facts = [PolicyRefused("cn", 1), PolicyRefused("eu", 8), PolicyRefused("us", 0), REGISTERED_CN]
    assert bench.recorded() == facts
    now = found(AT_CN, refused={**refused, "eu": "forged"}, policies=(CN, newer))
    assert bench.finds(now).recorded() == [*facts, PolicyRefused("eu", 8)]


def test_what_was_taken_away_and_is_refused_again_is_recorded_again() -> None:
    bench = Bench(found(AT_CN, refused={"eu": "torn"}))
    facts = [PolicyRefused("eu", 1), REGISTERED_CN]
    assert bench.recorded() == facts
    assert bench.finds(found(AT_CN)).recorded() == facts
    now = found(AT_CN, refused={"eu": "torn"})
    assert bench.finds(now).recorded() == [*facts, PolicyRefused("eu", 1)]


# What can't be recorded.


def test_a_change_that_can_not_be_recorded_is_a_hold_until_it_can() -> None:
    bench = Bench(found(AT_CN))
    assert bench.where.current == AT_CN
    bench.ledger.broken = True
    now = found(AT_EU, left=(AT_CN,), erased=frozenset({"us"}), proved_ns=7)
    hold = Hold(HoldReason.REGISTRATION_NOT_KEPT, f"where the vehicle belongs can't be recorded: {BROKEN}")
    assert bench.finds(now).where.current == hold
    assert (bench.where.left, bench.where.erased) == ((), frozenset()), "on hold nothing was left"
    assert (bench.where.policies, bench.where.proved_ns) == ((CN, EU), 7)
    assert bench.told() == [{"clip": "", "what": BROKEN}], "once, however often somebody asks"
    bench.ledger.broken = False
    assert bench.where.current == AT_EU
    assert bench.where.left == (AT_CN,)
    assert bench.recorded() == [REGISTERED_CN, REGISTERED_EU]


def test_what_is_recorded_already_needs_no_ledger() -> None:
    bench = Bench(found(AT_CN, refused={"eu": "torn"}))
    assert bench.where.current == AT_CN
    bench.ledger.broken = True
    assert bench.where.current == AT_CN
    assert bench.told() == []


def test_a_refusal_that_can_not_be_recorded_is_a_hold_too() -> None:
    bench = Bench(found(AT_CN))
    assert bench.where.current == AT_CN
    bench.ledger.broken = True
    assert isinstance(bench.finds(found(AT_CN, refused={"eu": "torn"})).where.current, Hold)
    bench.ledger.broken = False
    assert bench.recorded() == [REGISTERED_CN, PolicyRefused("eu", 1)]


def test_each_fault_is_told_once_and_again_after_it_was_over() -> None:
    bench = Bench(found(AT_CN))
    for where in (AT_CN, AT_EU):
        bench.ledger.broken = True
        bench.finds(found(where))
        assert isinstance(bench.where.current, Hold)
        assert isinstance(bench.where.current, Hold)
        bench.ledger.broken = False
        assert bench.where.current == where
    assert [event["what"] for event in bench.told()] == [BROKEN, BROKEN]
    bench.ledger.broken = True
    bench.finds(found(AT_CN))
    assert isinstance(bench.where.current, Hold)
    bench.ledger.close()
    assert isinstance(bench.where.current, Hold)
    assert [event["what"] for event in bench.told()] == [BROKEN, BROKEN, BROKEN, "ledger: closed"]
