"""Where a clip turns from kept to over, and since when it is held: to the nanosecond, by example."""

from __future__ import annotations

import pytest

from fsd_agent.rules.spool.retention import held_since, is_late, is_over

DAY_NS = 86_400_000_000_000


@pytest.mark.parametrize(
    ("proved_ns", "clock_ns", "since_ns"), [(500, 700, 700), (700, 500, 700), (700, 700, 700), (0, 0, 0)]
)
def test_a_clip_that_is_seen_first_fired_now_by_the_later_of_both_clocks(
    proved_ns: int, clock_ns: int, since_ns: int
) -> None:
    for elapsed_ns in (None, 0, 90):
        assert held_since(None, elapsed_ns=elapsed_ns, proved_ns=proved_ns, clock_ns=clock_ns) == since_ns


@pytest.mark.parametrize(
    ("noted_ns", "elapsed_ns", "since_ns"),
    [
        # The clock was behind: it is no older than this run has seen it.
        (100, 90, 610),
        (609, 90, 610),
        (610, 90, 610),
        (611, 90, 611),
        # An earlier run saw it: nothing is known but what was noted.
        (100, None, 100),
        # The clock was ahead: it fired no later than now.
        (1_000, 90, 800),
        (1_000, None, 800),
        (801, None, 800),
        (800, None, 800),
        (799, None, 799),
        # Nothing has gone by since.
        (100, 0, 700),
    ],
)
def test_what_was_noted_is_moved_to_what_is_known(
    noted_ns: int, elapsed_ns: int | None, since_ns: int
) -> None:
    """700 is proved, the clock says 800."""
    assert held_since(noted_ns, elapsed_ns=elapsed_ns, proved_ns=700, clock_ns=800) == since_ns


def test_a_clock_that_goes_back_moves_nothing_behind_what_is_proved() -> None:
    assert held_since(900, elapsed_ns=None, proved_ns=700, clock_ns=100) == 700


@pytest.mark.parametrize("days", [1, 30])
def test_a_clip_is_over_once_its_days_have_passed_as_far_as_time_is_proved(days: int) -> None:
    end_ns = 1_000 + days * DAY_NS
    assert not is_over(1_000, proved_ns=end_ns - 1, retention_days=days)
    assert is_over(1_000, proved_ns=end_ns, retention_days=days)
    assert is_over(1_000, proved_ns=end_ns + 1, retention_days=days)
    assert not is_over(1_000, proved_ns=0, retention_days=days)


def test_a_clip_is_late_once_its_deadline_has_passed_as_far_as_time_is_proved() -> None:
    assert not is_late(1_000, proved_ns=1_499, deadline_ns=500)
    assert is_late(1_000, proved_ns=1_500, deadline_ns=500)
    assert is_late(1_000, proved_ns=1_501, deadline_ns=500)
    assert not is_late(1_000, proved_ns=10**18, deadline_ns=None)
