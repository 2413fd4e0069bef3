"""When a vehicle is told of its certificate: which event, with which words, and how often."""

from __future__ import annotations

import pytest

from fsd_agent.pipeline.certificates import CertificateWatch
from fsd_agent.ports.events import EventName, EventValue
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys

DAY_NS = 86_400_000_000_000
NOW_NS = 19_645 * DAY_NS  # 2023-10-15
UNTIL_NS = 19_675 * DAY_NS  # 2023-11-14


class Bench:
    def __init__(self) -> None:
        self.keys, self.events = MemoryVehicleKeys(), RememberedEvents()
        self.clock = ManualClock(wall_ns=NOW_NS)
        self.keys.until_ns = UNTIL_NS
        self.watch = CertificateWatch(self.keys, self.clock, self.events)

    def told(self) -> list[tuple[EventName, dict[str, EventValue]]]:
        names: tuple[EventName, ...] = ("certificate_expiring", "certificate_expired")
        return [(name, fields) for name in names for fields in self.events.of(name)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def expiring(days_left: int, region: str = "cn") -> tuple[EventName, dict[str, EventValue]]:
    return "certificate_expiring", {
        "region": region,
        "days_left": days_left,
        "what": f"this vehicle's certificate for region '{region}' expires at 2023-11-14T00:00:00Z; "
        "renew it: fsdctl vehicle enrol --renew",
    }


EXPIRED: tuple[EventName, dict[str, EventValue]] = (
    "certificate_expired",
    {
        "region": "cn",
        "days_left": 0,
        "what": "this vehicle's certificate for region 'cn' has expired at 2023-11-14T00:00:00Z; "
        "renew it: fsdctl vehicle enrol --renew",
    },
)


def test_what_serves_is_not_spoken_of(bench: Bench) -> None:
    bench.clock.jump_wall(-1)
    assert bench.watch.look("cn") == UNTIL_NS
    assert bench.told() == []


def test_what_expires_is_told_once_and_again_on_another_day(bench: Bench) -> None:
    for _ in range(2):
        assert bench.watch.look("cn") == UNTIL_NS
    assert bench.told() == [expiring(30)]
    bench.clock.advance(1)
    bench.watch.look("cn")
    bench.clock.advance(DAY_NS - 1)
    bench.watch.look("cn")
    assert bench.told() == [expiring(30), expiring(29)]
    bench.clock.advance(1)
    bench.watch.look("cn")
    assert bench.told() == [expiring(30), expiring(29), expiring(28)]


def test_what_has_expired_is_told_once(bench: Bench) -> None:
    bench.clock.advance(30 * DAY_NS)
    for _ in range(3):
        assert bench.watch.look("cn") == UNTIL_NS, "it is told until when it was valid"
        bench.clock.advance(DAY_NS)
    assert bench.told() == [EXPIRED]


def test_the_last_moment_of_a_certificate_is_told_apart_from_its_end(bench: Bench) -> None:
    bench.clock.advance(30 * DAY_NS - 1)
    bench.watch.look("cn")
    bench.clock.advance(1)
    bench.watch.look("cn")
    assert bench.told() == [expiring(0), EXPIRED]


def test_each_region_has_a_certificate_of_its_own(bench: Bench) -> None:
    for region in ("cn", "eu", "cn", "eu"):
        bench.watch.look(region)
    assert bench.told() == [expiring(30, "cn"), expiring(30, "eu")]


def test_after_a_renewal_the_same_words_are_news_again(bench: Bench) -> None:
    bench.watch.look("cn")
    bench.keys.until_ns = UNTIL_NS + DAY_NS
    assert bench.watch.look("cn") == UNTIL_NS + DAY_NS
    bench.keys.until_ns = UNTIL_NS
    bench.watch.look("cn")
    assert bench.told() == [expiring(30), expiring(30)]


def test_what_can_not_be_read_says_nothing_and_forgets_nothing(bench: Bench) -> None:
    bench.watch.look("cn")
    bench.keys.until_ns = None
    assert bench.watch.look("cn") == 0
    bench.keys.until_ns = UNTIL_NS
    bench.watch.look("cn")
    assert bench.told() == [expiring(30)]
