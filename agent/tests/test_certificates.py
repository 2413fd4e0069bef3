"""How long a certificate serves, and how the vehicle says so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.pipeline.certificates import CertificateWatch
from fsd_agent.ports.events import EventName
from fsd_agent.rules.trust.certificates import DAY_NS, WARN_NS, CertificateState, certificate_life
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys

BEGIN = 1_800_000_000_000_000_000
NAMES: tuple[EventName, ...] = ("certificate_expiring", "certificate_expired")
MOMENTS = st.integers(-(10**18), 10**18)


@given(MOMENTS)
def test_the_state_is_a_matter_of_what_is_left(left_ns: int) -> None:
    life = certificate_life("cn", until_wall_ns=BEGIN + left_ns, now_wall_ns=BEGIN)
    if left_ns <= 0:
        assert life.state is CertificateState.EXPIRED
    else:
        assert life.state is (CertificateState.EXPIRING if left_ns <= WARN_NS else CertificateState.SERVES)
    assert (life.detail == "") is (life.state is CertificateState.SERVES)
    assert life.days_left * DAY_NS <= max(left_ns, 0) < (life.days_left + 1) * DAY_NS


def test_the_edges() -> None:
    states = [certificate_life("cn", until_wall_ns=BEGIN + left, now_wall_ns=BEGIN).state for left in (0, 1)]
    assert states == [CertificateState.EXPIRED, CertificateState.EXPIRING]
    states = [
        certificate_life("cn", until_wall_ns=BEGIN + left, now_wall_ns=BEGIN).state
        for left in (30 * DAY_NS, 30 * DAY_NS + 1)
    ]
    assert states == [CertificateState.EXPIRING, CertificateState.SERVES]


def test_it_is_told_once_a_day_until_it_is_renewed() -> None:
    keys, clock, events = MemoryVehicleKeys(), ManualClock(), RememberedEvents()
    watch = CertificateWatch(keys, clock, events)
    assert watch.look("cn") == 0, "enrolled nowhere"
    keys.until_ns = clock.wall_ns() + 31 * DAY_NS
    told = []
    for _ in range(33 * 4):
        assert watch.look("cn") == keys.until_ns
        clock.advance(DAY_NS // 4)
        told = [name for name in NAMES for _ in events.of(name)]
    assert told == ["certificate_expiring"] * 31 + ["certificate_expired"]
    (fields,) = events.of("certificate_expired")
    assert (fields["region"], fields["days_left"]) == ("cn", 0)
    assert "--renew" in str(fields["what"])
    keys.until_ns = clock.wall_ns() + 700 * DAY_NS
    assert watch.look("cn") == keys.until_ns
    assert sum(len(events.of(name)) for name in NAMES) == 32
