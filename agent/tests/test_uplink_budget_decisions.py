"""Where a budget turns from open to used up, and a period from the same to a new one: to the byte and the nanosecond."""

from __future__ import annotations

import datetime as dt

import pytest

from fsd_agent.records.byte_limits import NO_LIMITS, ByteLimits
from fsd_agent.records.reasons import Waits
from fsd_agent.records.spent import Period, Spent
from fsd_agent.rules.uplink import budget
from fsd_agent.rules.uplink.budget import Meter

S = 1_000_000_000
MIB, KIB = 1 << 20, 1 << 10
DAY_NS = 86_400 * S
STEADY, STEP = 600 * S, 2 * S


def wall(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * S


NOON, MIDNIGHT, APRIL = wall("2026-03-10T12:00"), wall("2026-03-11T00:00"), wall("2026-04-01T00:00")
BOOT = 7 * S


def used(day: int, month: int, until: int = MIDNIGHT, month_until: int = APRIL) -> Spent:
    return Spent(Period(day, until), Period(month, month_until))


def meter(kept: Spent | None = None, *, believed: bool = False) -> Meter:
    """At noon; its clock is believed as of then, or not."""
    made = Meter(kept)
    if believed:
        made.look(boot_ns=BOOT - STEADY, wall_ns=NOON - STEADY)
    made.look(boot_ns=BOOT, wall_ns=NOON)
    return made


def reserve(made: Meter, size: int = 1, limits: ByteLimits = NO_LIMITS) -> Spent:
    spent = made.more(size, limits, urgent=True)
    assert spent is not None
    made.keep(spent)
    return spent


def kept_of(made: Meter) -> Spent:
    """What counts as used, with nothing reserved."""
    if (rest := made.rest()) is not None:
        made.keep(rest)
    spent = made.more(0, ByteLimits(0, 0), urgent=True)
    assert spent is not None
    return spent


def test_the_numbers() -> None:
    assert (budget.STEADY_NS, budget.STEP_NS) == (STEADY, STEP)
    assert (budget.CHUNK_BYTES, budget.MESSAGE_BYTES, budget.URGENT_PART) == (MIB, 256 * KIB, 5)


@pytest.mark.parametrize(("size", "cost"), [(0, 256), (15, 271), (16, 273), (65_536, 69_888)])
def test_what_a_message_costs(size: int, cost: int) -> None:
    assert budget.charged(size) == cost


def test_a_first_start_has_used_nothing_of_this_day_and_month() -> None:
    assert reserve(meter()) == used(MIB, MIB)
    lost = Meter(None, lost=True)
    lost.look(boot_ns=BOOT, wall_ns=NOON)
    assert reserve(lost) == used(2**62 + MIB, 2**62 + MIB)


def test_nobody_is_asked_before_the_time_is_known() -> None:
    with pytest.raises(AssertionError, match="nobody has looked at the time"):
        Meter(None).used_up(NO_LIMITS, urgent=False)


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize("used_bytes", [0, 3, 5 * MIB])
def test_a_message_must_have_room(urgent: bool, used_bytes: int) -> None:
    made = meter(used(used_bytes, used_bytes))
    wanted = used_bytes + 256 * KIB
    sizes = range(wanted, 2 * wanted)
    enough = wanted if urgent else next(size for size in sizes if size - size // 5 >= wanted)
    for limits, reason in (
        (lambda most: ByteLimits(most, None), Waits.BUDGET_DAY),
        (lambda most: ByteLimits(None, most), Waits.BUDGET_MONTH),
        (lambda most: ByteLimits(most, most), Waits.BUDGET_MONTH),
    ):
        assert made.used_up(limits(enough), urgent=urgent) is None
        assert made.used_up(limits(enough - 1), urgent=urgent) is reason
    assert made.used_up(NO_LIMITS, urgent=urgent) is None


@pytest.mark.parametrize(("limit", "left"), [(10, 8), (11, 9), (14, 12), (15, 12), (4, 4)])
def test_a_fifth_is_left_rounded_down(limit: int, left: int) -> None:
    made = meter()
    assert made.more(left, ByteLimits(limit, None), urgent=False) == used(left, left)
    assert made.more(left + 1, ByteLimits(limit, None), urgent=False) is None
    assert made.more(limit, ByteLimits(None, limit), urgent=True) == used(limit, limit)


def test_what_is_reserved_has_room_too() -> None:
    made = meter()
    limits = ByteLimits(MIB, MIB)
    reserve(made, limits=limits)
    assert made.used_up(limits, urgent=True) is None
    assert made.take(MIB - 256 * KIB)
    assert made.used_up(limits, urgent=True) is None
    assert made.take(1)
    assert made.used_up(limits, urgent=True) is Waits.BUDGET_MONTH
    assert made.used_up(ByteLimits(MIB, None), urgent=True) is Waits.BUDGET_DAY


def test_a_chunk_is_as_large_as_the_room_that_there_is() -> None:
    made = meter(used(100, 50))
    assert made.more(1, ByteLimits(100 + MIB, None), urgent=True) == used(100 + MIB, 50 + MIB)
    assert made.more(1, ByteLimits(99 + MIB, None), urgent=True) == used(99 + MIB, 49 + MIB)
    assert made.more(1, ByteLimits(10 * MIB, 60), urgent=True) == used(110, 60)
    assert made.more(10, ByteLimits(10 * MIB, 60), urgent=True) == used(110, 60)
    assert made.more(11, ByteLimits(10 * MIB, 60), urgent=True) is None
    assert made.more(0, ByteLimits(10, 10), urgent=True) == used(100, 50), "never less than was used"


def test_reserved_bytes_are_taken_once() -> None:
    made = meter()
    assert made.take(1) is False
    reserve(made)
    assert made.take(MIB + 1) is False
    assert made.take(MIB - 10)
    assert made.more(10, ByteLimits(MIB, None), urgent=True) == used(MIB, MIB)
    assert made.more(11, ByteLimits(MIB, None), urgent=True) is None
    assert made.rest() == used(MIB - 10, MIB - 10)
    assert made.take(10)
    assert made.rest() is None
    assert not made.take(1)


def test_what_is_given_back_can_be_taken_no_more() -> None:
    made = meter()
    reserve(made)
    made.take(1000)
    rest = made.rest()
    assert rest == used(1000, 1000)
    made.keep(rest)
    assert not made.take(1)
    assert reserve(made) == used(1000 + MIB, 1000 + MIB)


# Periods


@pytest.mark.parametrize(
    ("day_until", "month_until", "expected"),
    [
        (MIDNIGHT, APRIL, used(5, 6)),
        (NOON + 1, NOON + 1, used(5, 6, NOON + 1, NOON + 1)),
        (NOON, APRIL, used(0, 6)),
        (NOON - 1, NOON, used(0, 0)),
        (MIDNIGHT, NOON, used(5, 0)),
        (MIDNIGHT + 1, APRIL + 1, used(5, 6)),
        (MIDNIGHT + 400 * DAY_NS, APRIL + 400 * DAY_NS, used(5, 6)),
    ],
)
def test_what_was_kept_is_laid_on_the_calendar(day_until: int, month_until: int, expected: Spent) -> None:
    assert kept_of(meter(used(5, 6, day_until, month_until), believed=True)) == expected


def test_a_clock_that_is_ahead_at_a_start_ends_one_period_early_and_no_second() -> None:
    """What remains: nobody but the clock knows the time between two starts, and a proof of it may be long in coming."""
    made = Meter(used(5 * MIB, 5 * MIB))
    for after in (0, STEADY):
        made.look(boot_ns=BOOT + after, wall_ns=NOON + DAY_NS + after)
    ended = used(0, 5 * MIB, MIDNIGHT + DAY_NS)
    assert kept_of(made) == ended
    for after in (STEADY + S, 2 * STEADY + S):  # It is set
        made.look(boot_ns=BOOT + after, wall_ns=NOON + after)
    assert kept_of(made) == ended
    again = Meter(used(MIB, 6 * MIB, MIDNIGHT + DAY_NS))
    for after in (0, STEADY):
        again.look(boot_ns=BOOT + after, wall_ns=NOON + after)
    assert kept_of(again) == used(MIB, 6 * MIB), "it ends with the present day, and what was used stays used"


def test_it_goes_on_while_the_clock_is_not_believed() -> None:
    before = used(5, 6, NOON - DAY_NS, NOON - DAY_NS)
    assert kept_of(meter(before)) == before
    made = Meter(before)
    made.look(boot_ns=BOOT, wall_ns=NOON)
    made.look(boot_ns=BOOT + STEADY - 1, wall_ns=NOON + STEADY - 1)
    assert kept_of(made) == before
    made.look(boot_ns=BOOT + STEADY, wall_ns=NOON + STEADY)
    assert kept_of(made) == used(0, 0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_what_is_a_jump(sign: int) -> None:
    before = used(5, 6, NOON - DAY_NS, NOON - DAY_NS)
    for by_ns, after in ((STEP, used(0, 0)), (STEP + 1, before)):
        made = Meter(before)
        made.look(boot_ns=BOOT, wall_ns=NOON)
        made.look(boot_ns=BOOT + STEADY, wall_ns=NOON + STEADY + sign * by_ns)
        assert kept_of(made) == after


def test_a_day_ends_to_the_nanosecond_by_the_time_that_goes_by() -> None:
    made = meter(used(5, 6), believed=True)
    left_ns = MIDNIGHT - NOON
    made.look(boot_ns=BOOT + left_ns - 1, wall_ns=NOON - 99 * DAY_NS)
    assert kept_of(made) == used(5, 6)
    made.look(boot_ns=BOOT + left_ns, wall_ns=NOON - 99 * DAY_NS)
    assert kept_of(made) == used(0, 6, MIDNIGHT + DAY_NS)
    made.look(boot_ns=BOOT + left_ns + 3 * DAY_NS, wall_ns=NOON - 99 * DAY_NS)
    assert kept_of(made) == used(0, 6, MIDNIGHT + 4 * DAY_NS)


def test_what_was_reserved_for_a_day_that_is_over_is_given_back_to_the_month() -> None:
    made = meter(used(5, 6), believed=True)
    reserve(made)
    assert made.take(100)
    made.look(boot_ns=BOOT + MIDNIGHT - NOON, wall_ns=MIDNIGHT)
    assert not made.take(1)
    assert made.rest() is None
    assert kept_of(made) == used(0, 106, MIDNIGHT + DAY_NS)


def test_while_the_day_goes_on_what_is_reserved_stays_so() -> None:
    made = meter(used(5, 6), believed=True)
    reserve(made)
    made.look(boot_ns=BOOT + MIDNIGHT - NOON - 1, wall_ns=MIDNIGHT - 1)
    assert made.take(MIB)


def test_what_is_kept_goes_by_the_wall_clock_that_is_believed_then() -> None:
    made = meter(used(5, 6))
    assert made.on_disk(used(1, 2)) == used(1, 2), "nothing is believed yet"
    made = meter(used(5, 6), believed=True)
    assert made.on_disk(used(1, 2)) == used(1, 2)
    made.look(boot_ns=BOOT + S, wall_ns=NOON + S + 5 * DAY_NS)
    made.look(boot_ns=BOOT + S + STEADY - 1, wall_ns=NOON + S + 5 * DAY_NS + STEADY - 1)
    assert made.on_disk(used(1, 2)) == used(1, 2)
    made.look(boot_ns=BOOT + S + STEADY, wall_ns=NOON + S + 5 * DAY_NS + STEADY)
    assert made.on_disk(used(1, 2)) == used(1, 2, MIDNIGHT + 5 * DAY_NS, APRIL + 5 * DAY_NS)
    assert kept_of(made) == used(5, 6), "and nothing has changed in this run"


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month_ends(month: int) -> None:
    begin = dt.datetime(2027, month, 1, tzinfo=dt.UTC)
    following = dt.datetime(2028 if month == 12 else 2027, month % 12 + 1, 1, tzinfo=dt.UTC)
    begin_ns, following_ns = int(begin.timestamp()) * S, int(following.timestamp()) * S
    assert budget.next_month(begin_ns) == budget.next_month(following_ns - 1) == following_ns
    assert budget.next_month(begin_ns - 1) == begin_ns
    assert budget.next_day(begin_ns) == begin_ns + DAY_NS
    assert budget.next_day(begin_ns - 1) == begin_ns
