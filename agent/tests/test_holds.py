"""The history of holds: what could be told to nobody while it lasted is told afterwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.pipeline.holds import KEEP_EVERY_NS, STATE_KEY, Holds
from fsd_agent.records.region import Hold, HoldReason
from fsd_agent.records.status import HoldSpan
from fsd_agent.rules.residency.holds import HOLDS_MAX, after
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import sample_region

S = 1_000_000_000
ROUTE = sample_region().route()
EXPIRED = Hold(HoldReason.REGISTRATION_EXPIRED, "not_after")
MISSING = Hold(HoldReason.NO_REGISTRATION, "none")


@given(
    st.lists(
        st.tuples(st.none() | st.sampled_from(HoldReason), st.integers(1, 2**62), st.integers(0, 2**40)),
        max_size=60,
    )
)
def test_the_history_is_what_happened_and_bounded(looks: list[tuple[HoldReason | None, int, int]]) -> None:
    spans: tuple[HoldSpan, ...] = ()
    expected: list[tuple[str, int]] = []
    current: HoldReason | None = None
    for reason, wall_ns, elapsed_ns in looks:
        if current is not None:
            expected[-1] = (expected[-1][0], expected[-1][1] + elapsed_ns)
        if reason is not None and reason != current:
            expected.append((str(reason), 0))
        current = reason
        spans = after(spans, reason, wall_ns=wall_ns, elapsed_ns=elapsed_ns)
        assert [(one.reason, one.held_ns) for one in spans] == expected[-HOLDS_MAX:]
        assert [bool(one.until_wall_ns) for one in spans[:-1]] == [True] * (len(spans) - 1)
        assert bool(spans and not spans[-1].until_wall_ns) == (reason is not None)


class Bench:
    def __init__(self) -> None:
        self.journal, self.clock, self.events = MemoryJournal(), ManualClock(), RememberedEvents()
        self.restart()

    def restart(self) -> None:
        self.holds = Holds(self.journal, self.clock, self.events)


def test_how_long_and_why_over_restarts_and_clocks_that_are_set() -> None:
    bench = Bench()
    assert bench.holds.look(ROUTE) == ()
    bench.holds.look(EXPIRED)
    since_ns = bench.clock.wall_ns()
    bench.clock.advance(100 * S)
    bench.clock.jump_wall(10**18)
    bench.holds.look(EXPIRED)
    bench.clock.advance(KEEP_EVERY_NS)
    bench.holds.look(EXPIRED)
    bench.restart()
    assert bench.holds.spans == (HoldSpan("registration_expired", since_ns, 0, 100 * S + KEEP_EVERY_NS),)
    bench.clock.advance(7 * S)
    bench.holds.look(MISSING)
    bench.clock.advance(5 * S)
    bench.holds.look(ROUTE)
    bench.restart()
    first, second = bench.holds.spans
    assert (first.held_ns, first.until_wall_ns) == (107 * S + KEEP_EVERY_NS, second.since_wall_ns)
    assert (second.reason, second.held_ns, second.until_wall_ns) == (
        "no_registration", 5 * S, bench.clock.wall_ns(),
    )  # fmt: skip
    bench.clock.advance(100 * S)
    assert bench.holds.look(ROUTE) == (first, second)


def test_it_is_kept_when_something_changes_and_now_and_then() -> None:
    bench = Bench()
    bench.holds.look(EXPIRED)
    kept = bench.journal.state[STATE_KEY]
    for _ in range(20):
        bench.clock.advance(5 * S)
        bench.holds.look(EXPIRED)
    assert bench.journal.state[STATE_KEY] == kept, "not every few seconds"
    bench.clock.advance(KEEP_EVERY_NS)
    bench.holds.look(EXPIRED)
    assert bench.journal.state[STATE_KEY] != kept


def test_a_history_that_can_not_be_kept_or_read_costs_nothing_else() -> None:
    bench = Bench()
    bench.journal.full = True
    bench.holds.look(EXPIRED)
    bench.holds.look(MISSING)
    assert len(bench.events.of("journal_failed")) == 1, "told once"
    assert len(bench.holds.spans) == 2
    bench.journal.full = False
    bench.journal.set_state(STATE_KEY, b"\xc1")
    bench.restart()
    assert bench.holds.spans == ()
    assert len(bench.events.of("journal_failed")) == 2
