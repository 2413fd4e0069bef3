"""Retention as a rule: what may be erased when, whatever the clocks did."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.rules.spool.retention import held_since, is_over
from fsd_agent.rules.trust.registration import BELIEVE_NS, BelievedClock
from fsd_agent.wire.moments import DAY_NS

MINUTE_NS = 60_000_000_000
NOW_NS = 1_800_000_000_000_000_000
_moment = st.integers(0, 2**62)


@given(_moment, _moment, _moment, st.none() | _moment, st.none() | st.integers(0, 2**60))
def test_a_clip_never_fired_later_than_now_nor_earlier_than_was_known(
    noted_ns: int, proved_ns: int, clock_ns: int, first_ns: int | None, elapsed_ns: int | None
) -> None:
    latest_ns = max(proved_ns, clock_ns)
    assert held_since(None, elapsed_ns=0, proved_ns=proved_ns, clock_ns=clock_ns) == latest_ns
    since_ns = held_since(noted_ns, elapsed_ns=elapsed_ns, proved_ns=proved_ns, clock_ns=clock_ns)
    assert min(noted_ns, latest_ns) <= since_ns <= latest_ns
    if elapsed_ns is not None:
        assert since_ns >= proved_ns - elapsed_ns
    again_ns = held_since(since_ns, elapsed_ns=elapsed_ns, proved_ns=proved_ns, clock_ns=clock_ns)
    assert again_ns == since_ns, "what is kept is what is found again"


@given(_moment, st.integers(1, 36_500), _moment)
def test_it_is_over_at_the_moment_and_not_before(since_ns: int, days: int, later_ns: int) -> None:
    end_ns = since_ns + days * DAY_NS
    assert not is_over(since_ns, proved_ns=end_ns - 1, retention_days=days)
    assert is_over(since_ns, proved_ns=end_ns + later_ns, retention_days=days)


@dataclass
class World:
    """True time, a wall clock that is off by something, and a vehicle that is on or off."""

    true_ns: int = NOW_NS
    mono_ns: int = 0
    error_ns: int = 0
    proved_ns: int = 0
    noted_ns: int | None = None
    seen_mono_ns: int | None = None

    def __post_init__(self) -> None:
        self.believed = BelievedClock()
        self.fired_true_ns = self.true_ns

    def restart(self, off_ns: int) -> None:
        self.true_ns += off_ns
        self.mono_ns, self.believed, self.seen_mono_ns = 0, BelievedClock(), None

    def look(self) -> int:
        clock_ns = self.true_ns + self.error_ns
        believed_ns = self.believed.look(monotonic_ns=self.mono_ns, wall_ns=clock_ns) or 0
        self.proved_ns = max(self.proved_ns, believed_ns)
        if self.noted_ns is None:
            self.seen_mono_ns = self.mono_ns
        elapsed_ns = self.mono_ns - self.seen_mono_ns if self.seen_mono_ns is not None else None
        self.noted_ns = held_since(
            self.noted_ns, elapsed_ns=elapsed_ns, proved_ns=self.proved_ns, clock_ns=clock_ns
        )
        return self.noted_ns

    def run(self, minutes: int) -> bool:
        """Whether it was over at any look, once a minute."""
        over = False
        for _ in range(minutes):
            self.true_ns += MINUTE_NS
            self.mono_ns += MINUTE_NS
            since_ns = self.look()
            over = over or is_over(since_ns, proved_ns=self.proved_ns, retention_days=30)
        return over

    @property
    def age_ns(self) -> int:
        return self.true_ns - self.fired_true_ns


_error = st.sampled_from([-40 * 365, -400, -31, -1, 1, 31, 400, 4000])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(_error, st.integers(1, 3), st.integers(6, 20)), max_size=6),
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 20)), max_size=5),
)
def test_a_clock_that_is_set_right_in_time_erases_nothing_early_and_what_is_over_goes(
    wrong: list[tuple[int, int, int]], days_off: list[tuple[int, int]]
) -> None:
    """Wrong by days for some minutes, then right for some, from the firing on; then nights and drives until it is over.

    Five minutes is what a clock has to be set right in.
    """
    world = World()
    for days, minutes, right in wrong:
        world.error_ns = days * DAY_NS
        assert not world.run(minutes)
        world.error_ns = 0
        assert not world.run(right)
    world.run(20)
    for days, minutes in days_off:
        world.restart(days * DAY_NS)
        assert not (world.run(minutes) and world.age_ns < 30 * DAY_NS)
    world.restart(31 * DAY_NS)
    assert world.run(12), "it has not been forgotten"


def test_a_clock_that_was_never_set_before_makes_nothing_old() -> None:
    """It begins in 1970, fires, is set right, and is believed: the clip is minutes old."""
    world = World(error_ns=-NOW_NS)
    assert not world.run(3)
    world.error_ns = 0
    assert not world.run(60)
    assert world.noted_ns is not None
    assert abs(world.noted_ns - world.fired_true_ns) < 20 * MINUTE_NS


def test_a_clock_set_ahead_counts_once_it_is_believed_as_time_that_has_passed() -> None:
    world = World()
    world.run(10)
    world.restart(0)
    world.error_ns = 40 * DAY_NS
    assert not world.run(BELIEVE_NS // MINUTE_NS)
    assert world.run(10)


def test_a_clock_that_was_ahead_when_it_fired_keeps_nothing_longer() -> None:
    world = World(error_ns=3650 * DAY_NS)
    world.run(2)
    world.error_ns = 0
    world.run(20)
    world.restart(31 * DAY_NS)
    assert world.run(12)
