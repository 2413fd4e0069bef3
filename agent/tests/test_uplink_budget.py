"""Byte budgets over restarts, power cuts and clocks that are set: nothing is given twice, and nothing is blocked for good."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.byte_limits import NO_LIMITS, ByteLimits, smaller
from fsd_agent.records.reasons import Waits
from fsd_agent.records.spent import Period, Spent
from fsd_agent.rules.uplink.budget import (
    CHUNK_BYTES,
    MESSAGE_BYTES,
    STEADY_NS,
    STEP_NS,
    Meter,
    charged,
    next_day,
    next_month,
)
from fsd_agent.wire.spent import SpentError, decode_spent, encode_spent

S = 1_000_000_000
MIN, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
MB = 1_000_000
KB64 = 65_536


def wall(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * S


LIMITS = ByteLimits(10 * MB, 100 * MB)
NOON = wall("2026-03-10T12:00")


@dataclass
class Car:
    """A vehicle with a journal, clocks that can be set, and a power switch."""

    limits: ByteLimits = LIMITS
    wall_ns: int = NOON
    boot_ns: int = 5 * S
    kept: bytes | None = None
    writes: int = 0
    sent: list[tuple[int, int]] = field(default_factory=list)
    """(true time, bytes)."""
    true_ns: int = NOON

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """After a power cut or a stop; the boot clock begins anew."""
        self.boot_ns = 5 * S
        self.meter = Meter(None if self.kept is None else decode_spent(self.kept))
        self.look()

    def look(self) -> None:
        self.meter.look(boot_ns=self.boot_ns, wall_ns=self.wall_ns)

    def advance(self, by_ns: int) -> None:
        """Time goes by while the agent runs, looked at each minute."""
        while by_ns > 0:
            step = min(by_ns, MIN)
            self.boot_ns, self.wall_ns, self.true_ns = (
                self.boot_ns + step,
                self.wall_ns + step,
                self.true_ns + step,
            )
            by_ns -= step
            self.look()

    def off(self, by_ns: int) -> None:
        """The computer is off for so long, its clock goes on."""
        self.wall_ns, self.true_ns = self.wall_ns + by_ns, self.true_ns + by_ns
        self.start()

    def send(self, size: int = KB64, *, urgent: bool = False) -> bool:
        """As the gate does it."""
        self.look()
        if self.meter.used_up(self.limits, urgent=urgent) is not None:
            return False
        if not self.meter.take(size):
            more = self.meter.more(size, self.limits, urgent=urgent)
            if more is None:
                return False
            self.kept = encode_spent(self.meter.on_disk(more))
            self.writes += 1
            self.meter.keep(more)
            assert self.meter.take(size)
        self.sent.append((self.true_ns, size))
        return True

    def send_all(self, *, urgent: bool = False) -> int:
        """Until the budget ends it; how many bytes."""
        before = len(self.sent)
        while self.send(urgent=urgent):
            pass
        return sum(size for _, size in self.sent[before:])

    def settle(self) -> None:
        self.advance(STEADY_NS)


def rest_of(limit: int) -> range:
    """What goes until less than one message is left."""
    return range(limit - MESSAGE_BYTES - KB64, limit + 1)


def test_a_day_has_its_limit_and_the_next_another() -> None:
    car = Car()
    car.settle()
    assert car.send_all() in rest_of(8 * MB), "a fifth is left for urgent clips"
    assert car.meter.used_up(car.limits, urgent=False) is Waits.BUDGET_DAY
    assert car.send_all(urgent=True) in range(2 * MB - MESSAGE_BYTES, 2 * MB + MESSAGE_BYTES)
    car.advance(12 * HOUR - STEADY_NS - 1)
    assert not car.send(urgent=True)
    car.advance(1)
    assert car.send_all() in rest_of(8 * MB)


def test_a_month_has_its_limit() -> None:
    car = Car(ByteLimits(None, 10 * MB))
    car.settle()
    assert car.send_all(urgent=True) in rest_of(10 * MB)
    assert car.meter.used_up(car.limits, urgent=True) is Waits.BUDGET_MONTH
    car.advance(wall("2026-04-01T00:00") - car.wall_ns - 1)
    assert not car.send(urgent=True)
    car.advance(1)
    assert car.send_all(urgent=True) in rest_of(10 * MB)


def test_the_longer_of_two_waits_is_told() -> None:
    car = Car(ByteLimits(10 * MB, 10 * MB))
    car.settle()
    car.send_all()
    assert car.meter.used_up(car.limits, urgent=False) is Waits.BUDGET_MONTH
    assert car.meter.used_up(ByteLimits(10 * MB, None), urgent=False) is Waits.BUDGET_DAY
    assert car.meter.used_up(ByteLimits(10 * MB, 100 * MB), urgent=False) is Waits.BUDGET_DAY
    assert car.meter.used_up(NO_LIMITS, urgent=False) is None


def test_without_limits_it_is_counted_all_the_same() -> None:
    car = Car(NO_LIMITS)
    for _ in range(40):
        assert car.send()
    assert car.kept is not None
    kept = decode_spent(car.kept)
    assert 40 * KB64 <= kept.day.used_bytes == kept.month.used_bytes < 40 * KB64 + CHUNK_BYTES


def test_the_journal_is_written_once_a_chunk() -> None:
    car = Car(ByteLimits(100 * MB, 1000 * MB))
    for _ in range(160):
        assert car.send()
    assert car.writes == 10


def test_a_power_cut_gives_no_bytes_for_nothing() -> None:
    car = Car()
    for _ in range(200):
        car.send()
        car.start()
    assert sum(size for _, size in car.sent) <= 8 * MB


def test_what_was_reserved_and_not_used_comes_back_at_a_clean_end() -> None:
    car = Car()
    car.send()
    rest = car.meter.rest()
    assert rest is not None
    assert rest.day.used_bytes == rest.month.used_bytes == KB64
    car.meter.keep(rest)
    assert car.meter.rest() is None
    assert not car.meter.take(1)
    car.kept = encode_spent(car.meter.on_disk(rest))
    car.start()
    assert car.send_all() in rest_of(8 * MB - KB64)


def test_more_changes_nothing_before_it_is_kept() -> None:
    car = Car()
    assert car.meter.more(KB64, car.limits, urgent=False) == car.meter.more(KB64, car.limits, urgent=False)
    assert not car.meter.take(1)


def test_too_little_for_this_message_is_no() -> None:
    car = Car(ByteLimits(MESSAGE_BYTES * 5 // 4, None))
    assert car.meter.used_up(car.limits, urgent=False) is None
    assert car.meter.more(MESSAGE_BYTES, car.limits, urgent=False) is not None
    assert car.meter.more(MESSAGE_BYTES + 1, car.limits, urgent=False) is None
    car.limits = ByteLimits(MESSAGE_BYTES - 1, None)
    assert car.meter.used_up(car.limits, urgent=True) is Waits.BUDGET_DAY


def test_a_limit_that_was_lowered_below_what_is_used_gives_nothing() -> None:
    car = Car()
    car.send_all()
    car.limits = ByteLimits(MB, MB)
    assert not car.send(urgent=True)
    assert car.meter.more(KB64, car.limits, urgent=True) is None or car.meter.rest() is not None


# Clocks


@pytest.mark.parametrize("jump_ns", [DAY, 31 * DAY, 400 * DAY, -DAY, -31 * DAY, -2 * HOUR])
def test_a_clock_that_is_set_while_it_runs_gives_no_second_budget_and_blocks_nothing(jump_ns: int) -> None:
    car = Car()
    car.settle()
    car.send_all(urgent=True)
    car.wall_ns += jump_ns
    car.advance(12 * HOUR - STEADY_NS - 1)
    assert not car.send(urgent=True)
    car.advance(1)
    assert car.send_all(urgent=True) in rest_of(10 * MB), "midnight, by the time that has gone by"
    car.advance(DAY - 1)
    assert not car.send(urgent=True)


def test_days_go_by_while_the_computer_is_suspended() -> None:
    car = Car()
    car.settle()
    car.send_all(urgent=True)
    car.boot_ns, car.wall_ns = car.boot_ns + 3 * DAY, car.wall_ns + 3 * DAY
    assert car.send_all(urgent=True) in rest_of(10 * MB)


def test_a_restart_is_no_new_day_and_a_night_is() -> None:
    car = Car()
    car.settle()
    car.send_all(urgent=True)
    car.off(HOUR)
    car.settle()
    assert not car.send(urgent=True)
    car.off(12 * HOUR)
    assert not car.send(urgent=True), "nobody knows yet whether the clock is right"
    car.advance(STEADY_NS - 1)
    assert not car.send(urgent=True)
    car.advance(1)
    assert car.send_all(urgent=True) in rest_of(10 * MB)


def test_a_clock_that_is_wrong_at_the_start_and_is_set_changes_nothing() -> None:
    for wrong in (wall("1970-01-01T00:00"), NOON + 40 * DAY):
        car = Car()
        car.settle()
        car.send_all(urgent=True)
        right = car.wall_ns + HOUR
        car.wall_ns = wrong
        car.start()
        car.advance(STEADY_NS - MIN)
        car.wall_ns = right
        car.look()
        car.advance(STEADY_NS)
        assert not car.send(urgent=True)
        car.off(DAY)
        car.settle()
        assert car.send_all(urgent=True) in rest_of(10 * MB)


def test_a_period_of_a_clock_that_was_ahead_ends_with_the_present_one() -> None:
    car = Car(wall_ns=NOON + 400 * DAY)
    car.settle()
    car.send_all(urgent=True)
    car.wall_ns = NOON + HOUR
    car.start()
    car.settle()
    assert not car.send(urgent=True), "what was used stays used"
    car.advance(11 * HOUR)
    assert car.send_all(urgent=True) in rest_of(10 * MB)


def test_what_is_kept_is_by_the_clock_that_is_believed_now() -> None:
    car = Car(wall_ns=wall("1970-01-01T12:00"))
    car.settle()
    car.wall_ns = NOON
    car.settle()
    car.settle()
    car.send_all(urgent=True)
    assert car.kept is not None
    assert 0 < decode_spent(car.kept).day.until_wall_ns - car.wall_ns <= DAY
    car.off(HOUR)
    car.settle()
    assert not car.send(urgent=True)


def test_small_corrections_are_no_jumps() -> None:
    car = Car()
    for _ in range(10):
        car.wall_ns += STEP_NS
        car.advance(MIN)
    assert car.meter.on_disk(Spent(Period(0, 0), Period(0, 0))) == Spent(Period(0, 0), Period(0, 0))
    car.send_all(urgent=True)
    car.advance(12 * HOUR)
    assert car.send(urgent=True), "believed, and midnight is over"


def test_a_jump_begins_the_ten_minutes_anew() -> None:
    kept = encode_spent(Spent(Period(10 * MB, NOON), Period(10 * MB, next_month(NOON))))
    car = Car(kept=kept)
    car.advance(STEADY_NS - MIN)
    car.wall_ns += STEP_NS + 1
    car.advance(STEADY_NS - MIN)
    assert not car.send()
    car.advance(2 * MIN)
    assert car.send()


def test_what_nobody_can_read_counts_as_used_up_until_day_and_month_are_over() -> None:
    car = Car()
    car.meter = Meter(None, lost=True)
    assert not car.send(urgent=True)
    car.settle()
    car.advance(12 * HOUR)
    assert car.meter.used_up(ByteLimits(10 * MB, None), urgent=True) is None
    assert car.meter.used_up(ByteLimits(None, 10 * MB), urgent=True) is Waits.BUDGET_MONTH
    car.advance(31 * DAY)
    assert car.send(urgent=True)


STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 12)),
    st.tuples(st.just("urgent"), st.integers(1, 12)),
    st.tuples(st.just("advance"), st.sampled_from([MIN, STEADY_NS, 5 * HOUR, DAY])),
    st.tuples(st.just("cut"), st.just(0)),
    st.tuples(st.just("set"), st.sampled_from([-40 * DAY, -DAY, -HOUR, HOUR, DAY, 40 * DAY])),
)


@given(st.lists(STEPS, max_size=40))
def test_in_a_run_no_clock_gives_more_than_its_days_have(steps: list[tuple[str, int]]) -> None:
    """Cuts are of the agent alone: the computer, and so its boot clock, goes on."""
    car = Car(ByteLimits(3 * MB, 40 * MB))
    car.settle()
    for what, much in steps:
        if what == "advance":
            car.advance(much)
        elif what == "set":
            car.wall_ns += much
            car.look()
        elif what != "cut":
            for _ in range(much):
                car.send(urgent=what == "urgent")
    days = (car.true_ns - NOON) // DAY + 2
    assert sum(size for _, size in car.sent) <= days * 3 * MB


@given(st.lists(STEPS.filter(lambda step: step[0] != "set"), max_size=40), st.integers(0, 20 * HOUR))
def test_with_a_clock_that_is_right_no_day_has_more_than_its_limit(
    steps: list[tuple[str, int]], pause_ns: int
) -> None:
    car = Car(ByteLimits(3 * MB, 40 * MB))
    for what, much in steps:
        if what == "advance":
            car.advance(much)
        elif what == "cut":
            car.off(pause_ns)
            car.settle()
        else:
            for _ in range(much):
                car.send(urgent=what == "urgent")
    by_day: dict[int, int] = {}
    for at_ns, size in car.sent:
        by_day[at_ns // DAY] = by_day.get(at_ns // DAY, 0) + size
    assert all(size <= 3 * MB for size in by_day.values())


# Parts


@pytest.mark.parametrize(
    ("at", "day", "month"),
    [
        ("2026-03-10T12:00", "2026-03-11", "2026-04-01"),
        ("2026-03-10T00:00", "2026-03-11", "2026-04-01"),
        ("2026-12-31T23:59", "2027-01-01", "2027-01-01"),
        ("2026-11-30T00:00", "2026-12-01", "2026-12-01"),
        ("2028-02-29T01:00", "2028-03-01", "2028-03-01"),
        ("1970-01-01T00:00", "1970-01-02", "1970-02-01"),
    ],
)
def test_when_the_next_ones_begin(at: str, day: str, month: str) -> None:
    assert (next_day(wall(at)), next_month(wall(at))) == (wall(day), wall(month))


def test_what_a_message_is_charged_with() -> None:
    assert charged(0) == 256
    assert charged(KB64) == KB64 + 4096 + 256
    assert charged(128 << 10) < MESSAGE_BYTES


def test_the_smaller_limit_counts() -> None:
    assert smaller(ByteLimits(5, None), ByteLimits(3, 9)) == ByteLimits(3, 9)
    assert smaller(ByteLimits(0, 7), ByteLimits(None, 8)) == ByteLimits(0, 7)
    assert smaller(NO_LIMITS, NO_LIMITS) == NO_LIMITS


@given(
    st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)
)
def test_what_is_kept_reads_back(used: int, until: int, month_used: int, month_until: int) -> None:
    spent = Spent(Period(used, until), Period(month_used, month_until))
    assert decode_spent(encode_spent(spent)) == spent


def test_the_largest_numbers_are_kept() -> None:
    most = Period(2**63 - 1, 2**63 - 1)
    assert decode_spent(encode_spent(Spent(most, most))) == Spent(most, most)


def test_golden() -> None:
    spent = Spent(Period(5, 1_773_187_200 * S), Period(300, 1_775_001_600 * S))
    assert encode_spent(spent).hex() == "93019205cf189ba05d1845000092cd012ccf18a2128d03c00000"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x02\x92\x00\x00\x92\x00\x00",
        b"\x93\x01\x92\xff\x00\x92\x00\x00",
        b"\x92\x01\x92\x00\x00",
        b"\x94\x01\x92\x00\x00\x92\x00\x00\x00",
        b"\x93\x01\x92\x00\xcf\x80\x00\x00\x00\x00\x00\x00\x00\x92\x00\x00",
    ],
)
def test_what_was_not_written_by_us_is_refused(data: bytes) -> None:
    with pytest.raises(SpentError, match="what was sent over metered links can't be read"):
        decode_spent(data)
