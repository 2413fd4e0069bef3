"""When the history of holds is kept, told and given, over restarts, full disks and clocks that are set."""

from __future__ import annotations

import pytest

from fsd_agent.pipeline.holds import KEEP_EVERY_NS, STATE_KEY, Holds
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.region import Hold, HoldReason
from fsd_agent.records.status import HoldSpan
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.holds import decode_holds, encode_holds

S = 1_000_000_000
T = 1_700_000_000 * S
ROUTE = sample_region().route()
EXPIRED = Hold(HoldReason.REGISTRATION_EXPIRED, "not_after")
MISSING = Hold(HoldReason.NO_REGISTRATION, "none")
FULL = {"clip": "", "what": "the history of holds: memory journal: no space left"}


class Bench:
    def __init__(self) -> None:
        self.journal, self.events = MemoryJournal(), RememberedEvents()
        self.clock = ManualClock(monotonic_ns=50 * S, wall_ns=T)
        self.start()

    def start(self) -> None:
        self.holds = Holds(self.journal, self.clock, self.events)

    def kept(self) -> tuple[HoldSpan, ...] | None:
        data = self.journal.state.get("holds")
        return None if data is None else decode_holds(data)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def span(hold: Hold, since_s: int, until_s: int | None, held_s: int) -> HoldSpan:
    """In seconds from the beginning on; None while it lasts."""
    return HoldSpan(str(hold.reason), T + since_s * S, 0 if until_s is None else T + until_s * S, held_s * S)


def test_where_and_how_often_it_is_kept() -> None:
    assert (STATE_KEY, KEEP_EVERY_NS) == ("holds", 600 * S)


def test_a_vehicle_that_belongs_somewhere_has_no_history_and_keeps_none(bench: Bench) -> None:
    assert bench.holds.spans == ()
    for _ in range(3):
        assert bench.holds.look(ROUTE) == ()
        bench.clock.advance(600 * S)
    assert bench.kept() is None


def test_a_hold_is_kept_when_it_begins_and_when_it_ends(bench: Bench) -> None:
    bench.clock.advance(5 * S)
    begun = (span(EXPIRED, 5, None, 0),)
    assert bench.holds.look(EXPIRED) == bench.holds.spans == bench.kept() == begun
    bench.clock.advance(7 * S)
    ended = (span(EXPIRED, 5, 12, 7),)
    assert bench.holds.look(ROUTE) == bench.holds.spans == bench.kept() == ended
    bench.clock.advance(S)
    again = (*ended, span(EXPIRED, 13, None, 0))
    assert bench.holds.look(EXPIRED) == bench.kept() == again
    bench.clock.advance(S)
    assert (
        bench.holds.look(MISSING)
        == bench.kept()
        == (
            *ended,
            span(EXPIRED, 13, 14, 1),
            span(MISSING, 14, None, 0),
        )
    )
    bench.clock.advance(2 * S)
    bench.holds.look(ROUTE)
    assert bench.kept() == (*ended, span(EXPIRED, 13, 14, 1), span(MISSING, 14, 16, 2))


def test_reasons_that_change_within_one_moment_are_kept_also_when_the_history_is_full(bench: Bench) -> None:
    for number in range(20):
        bench.holds.look(MISSING if number % 2 else EXPIRED)
        assert bench.kept() == bench.holds.spans
    assert bench.kept() == (span(EXPIRED, 0, 0, 0), span(MISSING, 0, 0, 0)) * 7 + (
        span(EXPIRED, 0, 0, 0),
        span(MISSING, 0, None, 0),
    )


def test_how_long_a_hold_lasts_is_kept_every_ten_minutes(bench: Bench) -> None:
    bench.holds.look(EXPIRED)
    for seconds, held_s, kept_s in ((599, 599, 0), (1, 600, 600), (599, 1199, 600), (1, 1200, 1200)):
        bench.clock.advance(seconds * S)
        assert bench.holds.look(EXPIRED) == (span(EXPIRED, 0, None, held_s),)
        assert bench.kept() == (span(EXPIRED, 0, None, kept_s),)
    bench.clock.advance(600 * S - 1)
    bench.holds.look(EXPIRED)
    assert bench.kept() == (span(EXPIRED, 0, None, 1200),)


def test_how_long_a_later_hold_lasts_is_kept_too(bench: Bench) -> None:
    bench.holds.look(EXPIRED)
    bench.holds.look(MISSING)
    bench.clock.advance(600 * S)
    bench.holds.look(MISSING)
    assert bench.kept() == (span(EXPIRED, 0, 0, 0), span(MISSING, 0, None, 600))


def test_ten_minutes_count_from_the_start_of_this_run(bench: Bench) -> None:
    bench.holds.look(EXPIRED)
    bench.clock.advance(400 * S)
    bench.start()
    bench.clock.advance(599 * S)
    bench.holds.look(EXPIRED)
    assert bench.kept() == (span(EXPIRED, 0, None, 0),)
    bench.clock.advance(S)
    bench.holds.look(EXPIRED)
    assert bench.kept() == (span(EXPIRED, 0, None, 600),)


def test_a_hold_goes_on_over_a_restart_and_the_time_between_does_not_count(bench: Bench) -> None:
    bench.holds.look(EXPIRED)
    bench.clock.advance(600 * S)
    bench.holds.look(EXPIRED)
    bench.clock.advance(1000 * S)
    bench.start()
    assert bench.holds.spans == (span(EXPIRED, 0, None, 600),)
    bench.clock.advance(3 * S)
    assert bench.holds.look(EXPIRED) == (span(EXPIRED, 0, None, 603),)


def test_a_wall_clock_that_is_set_makes_no_hold_longer(bench: Bench) -> None:
    bench.holds.look(EXPIRED)
    bench.clock.jump_wall(10**18)
    assert bench.holds.look(EXPIRED) == (span(EXPIRED, 0, None, 0),)
    bench.clock.jump_wall(-(10**18))
    bench.clock.advance(S)
    assert bench.holds.look(EXPIRED) == (span(EXPIRED, 0, None, 1),)


def test_what_can_not_be_kept_is_told_once_and_kept_ten_minutes_later(bench: Bench) -> None:
    bench.journal.full = True
    bench.holds.look(EXPIRED)
    bench.clock.advance(S)
    assert bench.holds.look(ROUTE) == (span(EXPIRED, 0, 1, 1),)
    assert bench.events.of("journal_failed") == [FULL], "told once"
    bench.journal.full = False
    bench.clock.advance(599 * S)
    bench.holds.look(ROUTE)
    assert bench.kept() is None
    bench.clock.advance(S)
    bench.holds.look(ROUTE)
    assert bench.kept() == (span(EXPIRED, 0, 1, 1),), "a hold that has ended is not forgotten"


def test_what_fails_again_later_is_told_again(bench: Bench) -> None:
    bench.journal.full = True
    bench.holds.look(EXPIRED)
    bench.journal.full = False
    bench.holds.look(MISSING)
    assert bench.events.of("journal_failed") == [FULL]
    bench.journal.full = True
    bench.holds.look(ROUTE)
    assert bench.events.of("journal_failed") == [FULL, FULL]
    bench.journal.close()
    bench.holds.look(EXPIRED)
    closed = {"clip": "", "what": "the history of holds: memory journal: closed"}
    assert bench.events.of("journal_failed") == [FULL, FULL, closed], "another fault is news"


def test_what_ended_and_is_kept_is_not_written_again(bench: Bench) -> None:
    bench.holds.look(EXPIRED)
    bench.holds.look(ROUTE)
    bench.journal.full = True
    for _ in range(3):
        bench.clock.advance(600 * S)
        bench.holds.look(ROUTE)
    assert bench.events.of("journal_failed") == []


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        (b"\xc1", "MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)"),
        (
            encode_holds((HoldSpan("x", 1, 0, 0),)).replace(b"\xa1x", b"\xa1\xff"),
            "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
    ],
    ids=["noise", "no text"],
)
def test_a_history_that_can_not_be_read_is_told_and_begun_anew(bench: Bench, kept: bytes, why: str) -> None:
    bench.journal.set_state(STATE_KEY, kept)
    bench.start()
    assert bench.holds.spans == ()
    assert bench.events.of("journal_failed") == [{"clip": "", "what": f"the history of holds: {why}"}]
    assert bench.holds.look(EXPIRED) == bench.kept() == (span(EXPIRED, 0, None, 0),)


def test_a_journal_that_can_not_be_read_costs_the_history_alone(bench: Bench) -> None:
    bench.journal.close()
    with pytest.raises(JournalError):
        bench.journal.get_state(STATE_KEY)
    bench.start()
    assert bench.events.of("journal_failed") == [
        {"clip": "", "what": "the history of holds: memory journal: closed"}
    ]
    assert bench.holds.look(EXPIRED) == (span(EXPIRED, 0, None, 0),)
