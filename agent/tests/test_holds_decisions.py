"""Where the history of holds turns: what opens a hold, what ends it, and which is forgotten."""

from __future__ import annotations

from fsd_agent.records.region import HoldReason
from fsd_agent.records.status import HoldSpan
from fsd_agent.rules.residency.holds import after

EXPIRED, MISSING = HoldReason.REGISTRATION_EXPIRED, HoldReason.NO_REGISTRATION
OPEN = HoldSpan("registration_expired", 1_000, 0, 30)
CLOSED = HoldSpan("registration_expired", 1_000, 2_000, 35)


def test_nothing_is_held_and_nothing_was() -> None:
    assert after((), None, wall_ns=2_000, elapsed_ns=5) == ()


def test_the_first_hold_begins_now_and_has_lasted_no_time() -> None:
    assert after((), EXPIRED, wall_ns=1_000, elapsed_ns=5) == (HoldSpan("registration_expired", 1_000, 0, 0),)


def test_a_hold_for_the_same_reason_is_the_same_hold() -> None:
    assert after((OPEN,), EXPIRED, wall_ns=2_000, elapsed_ns=5) == (
        HoldSpan("registration_expired", 1_000, 0, 35),
    )


def test_a_hold_ends_when_the_vehicle_belongs_somewhere() -> None:
    assert after((OPEN,), None, wall_ns=2_000, elapsed_ns=5) == (CLOSED,)


def test_another_reason_ends_one_hold_and_begins_the_next_in_the_same_moment() -> None:
    assert after((OPEN,), MISSING, wall_ns=2_000, elapsed_ns=5) == (
        CLOSED,
        HoldSpan("no_registration", 2_000, 0, 0),
    )


def test_a_hold_that_ended_is_not_touched_again() -> None:
    assert after((CLOSED,), None, wall_ns=3_000, elapsed_ns=5) == (CLOSED,)
    assert after((CLOSED,), EXPIRED, wall_ns=3_000, elapsed_ns=5) == (
        CLOSED,
        HoldSpan("registration_expired", 3_000, 0, 0),
    )


def test_a_hold_that_ends_before_1970_has_ended_nevertheless() -> None:
    for wall_ns, until in ((-7, 1), (0, 1), (1, 1), (2, 2)):
        assert after((OPEN,), None, wall_ns=wall_ns, elapsed_ns=0)[0].until_wall_ns == until


def test_sixteen_are_kept_and_the_oldest_goes_first() -> None:
    spans = tuple(HoldSpan("no_registration", number, number + 1, 1) for number in range(1, 17))
    assert after(spans, None, wall_ns=99, elapsed_ns=0) == spans
    newest = HoldSpan("registration_expired", 99, 0, 0)
    assert after(spans, EXPIRED, wall_ns=99, elapsed_ns=0) == (*spans[1:], newest)
