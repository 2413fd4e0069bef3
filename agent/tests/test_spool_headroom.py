"""Levels of room: where each begins and ends, what goes on at each, and that nothing flaps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.room import NOTHING, Amount, DiskLook
from fsd_agent.rules.spool.headroom import (
    LOOKS,
    Band,
    Headroom,
    HeadroomLimits,
    Level,
    follow,
    headroom_limits,
    lacks,
    refuses,
)

AMPLE, TIGHT, SCARCE, NONE, BROKEN = Level
PLENTY = 10**6
LIMITS = headroom_limits(Amount(100, 10), Amount(400, 40), slow_ns=1000)
SLOW = LIMITS.slow_ns + 1


def look(
    size_bytes: int = PLENTY, files: int = PLENTY, *, write_ns: int | None = None, fault: str = ""
) -> DiskLook:
    return DiskLook(Amount(size_bytes, files), is_read_only=False, write_ns=write_ns, fault=fault)


READ_ONLY = replace(look(), is_read_only=True)


def after(*looks: DiskLook, start: Headroom | None = None) -> Headroom:
    now = start or Headroom()
    for one in looks:
        now = follow(now, one, NOTHING, LIMITS)
    return now


def test_the_bounds_come_from_the_reserve_and_from_what_is_to_be_free() -> None:
    assert (
        HeadroomLimits(
            tight=Band(Amount(500, 50), Amount(600, 60)),
            scarce=Band(Amount(300, 30), Amount(400, 40)),
            none=Band(Amount(50, 5), Amount(100, 10)),
            slow_ns=1000,
        )
        == LIMITS
    )


@pytest.mark.parametrize(
    ("level", "enter", "leave", "better"),
    [(TIGHT, 500, 600, AMPLE), (SCARCE, 300, 400, TIGHT), (NONE, 50, 100, SCARCE)],
)
def test_a_level_is_entered_below_one_bound_and_left_at_the_other(
    level: Level, enter: int, leave: int, better: Level
) -> None:
    assert after(look(enter)).level == better
    entered = after(look(enter - 1))
    assert entered.level == level
    assert after(look(leave - 1), start=entered).level == level
    assert after(look(leave), start=entered).level == better
    assert after(look(files=enter // 10)).level == better
    few = after(look(files=enter // 10 - 1))
    assert few.level == level
    assert after(look(files=leave // 10 - 1), start=few).level == level
    assert after(look(files=leave // 10), start=few).level == better


def test_levels_are_not_passed_one_by_one() -> None:
    assert after(look(0)).level == NONE
    assert after(look(0), look(PLENTY)).level == AMPLE
    assert after(look(0), look(400)).level == TIGHT


def test_what_the_reserve_holds_is_room() -> None:
    assert follow(Headroom(), look(400, 40), Amount(100, 10), LIMITS).level == AMPLE
    assert follow(Headroom(), look(400, 40), Amount(99, 10), LIMITS).level == TIGHT


# Read-only, failing, slow


@pytest.mark.parametrize("bad", [READ_ONLY, look(fault="disk: input/output error")])
def test_a_disk_that_can_not_be_written_to_is_broken_at_once_until_three_writes_worked(bad: DiskLook) -> None:
    broken = after(look(write_ns=1), bad)
    assert broken.level == BROKEN
    assert after(*[look()] * 9, start=broken).level == BROKEN, "nothing was written"
    twice = after(*[look(write_ns=1)] * (LOOKS - 1), start=broken)
    assert twice.level == BROKEN
    assert after(look(write_ns=1), start=twice).level == AMPLE
    assert after(bad, look(write_ns=1), start=twice).level == BROKEN, "in a row"
    assert after(look(), look(write_ns=1), start=twice).level == AMPLE, "a look without a write says nothing"


def test_what_is_broken_is_followed_by_its_room_all_the_same() -> None:
    broken = after(READ_ONLY, look(0))
    assert (broken.level, broken.space) == (BROKEN, NONE)
    assert after(*[look(0, write_ns=1)] * LOOKS, start=broken).level == NONE


def test_a_disk_is_slow_after_three_slow_writes_and_fast_again_after_three_twice_as_fast() -> None:
    assert after(*[look(write_ns=SLOW)] * (LOOKS - 1)).level == AMPLE
    assert after(*[look(write_ns=SLOW - 1)] * 9).level == AMPLE
    slow = after(*[look(write_ns=SLOW)] * LOOKS)
    assert (slow.level, slow.is_slow) == (SCARCE, True)
    assert after(*[look(write_ns=501)] * 9, start=slow).is_slow
    assert after(*[look(write_ns=500)] * (LOOKS - 1), start=slow).is_slow
    fast = after(*[look(write_ns=500)] * LOOKS, start=slow)
    assert (fast.level, fast.is_slow) == (AMPLE, False)
    assert after(look(write_ns=1), *[look(write_ns=SLOW)] * LOOKS).is_slow, "what was before does not count"
    one_of_three = [look(write_ns=SLOW), look(write_ns=SLOW), look(write_ns=SLOW - 1)]
    assert after(*one_of_three * 3).level == AMPLE
    assert after(look(write_ns=SLOW), look(), look(write_ns=SLOW), look(), look(write_ns=SLOW)).is_slow


def test_the_worse_of_room_and_speed_counts() -> None:
    assert after(*[look(0, write_ns=SLOW)] * LOOKS).level == NONE
    assert after(*[look(450, write_ns=SLOW)] * LOOKS).level == SCARCE


def test_a_slow_disk_that_breaks_is_slow_when_it_is_sound_again() -> None:
    slow = after(*[look(write_ns=SLOW)] * LOOKS, READ_ONLY)
    assert slow.level == BROKEN
    again = after(*[look(write_ns=1)] * LOOKS, start=slow)
    assert again.is_slow
    assert after(*[look(write_ns=1)] * (LOOKS - 1), start=again).is_slow
    assert after(*[look(write_ns=1)] * LOOKS, start=again).level == AMPLE


# What goes on


def test_what_is_lacking_is_what_it_takes_to_leave_tight() -> None:
    assert lacks(Headroom(), look(599), NOTHING, LIMITS) == NOTHING
    for space in (TIGHT, SCARCE, NONE):
        now = Headroom(space)
        assert lacks(now, look(250, 70), Amount(50, 5), LIMITS) == Amount(300, 0)
        assert lacks(now, look(700, 50), Amount(50, 5), LIMITS) == Amount(0, 5)
        assert lacks(replace(now, is_broken=True), look(0), NOTHING, LIMITS) == NOTHING
    assert lacks(Headroom(is_slow=True), look(0), NOTHING, LIMITS) == NOTHING


@pytest.mark.parametrize(
    ("now", "refused", "with_room"),
    [
        (Headroom(), (None, None), (None, None)),
        (Headroom(TIGHT), (None, None), (None, None)),
        (Headroom(SCARCE), (DropReason.DISK_SCARCE, None), (None, None)),
        (Headroom(NONE), (DropReason.DISK_FULL, DropReason.DISK_FULL), (None, None)),
        (Headroom(is_slow=True), (DropReason.DISK_SCARCE, None), (DropReason.DISK_SCARCE, None)),
        (Headroom(NONE, is_slow=True), (DropReason.DISK_FULL,) * 2, (DropReason.DISK_SCARCE, None)),
        (Headroom(is_broken=True), (DropReason.DISK_FAILED,) * 2, (DropReason.DISK_FAILED,) * 2),
        (Headroom(NONE, is_broken=True), (DropReason.DISK_FAILED,) * 2, (DropReason.DISK_FAILED,) * 2),
    ],
)
def test_who_is_refused_of_low_and_of_high_priority_without_and_with_something_that_may_go(
    now: Headroom,
    refused: tuple[DropReason | None, DropReason | None],
    with_room: tuple[DropReason | None, DropReason | None],
) -> None:
    for can_make_room, expected in ((False, refused), (True, with_room)):
        found = tuple(
            refuses(now, priority=priority, scarce_priority=50, can_make_room=can_make_room)
            for priority in (49, 50)
        )
        assert found == expected


# Whatever the disk does

_looks = st.lists(
    st.builds(
        DiskLook,
        st.builds(Amount, st.integers(0, 700), st.integers(0, 70)),
        st.booleans(),
        st.none() | st.integers(0, 3000),
        st.sampled_from(["", "", "", "failed"]),
    ),
    max_size=12,
)


@given(_looks, st.integers(0, 700))
def test_room_that_stays_gives_a_level_that_stays(looks: list[DiskLook], size_bytes: int) -> None:
    now = after(*looks, look(size_bytes, write_ns=1))
    for _ in range(3):
        assert after(look(size_bytes), start=now) == now


@given(_looks, st.lists(st.integers(500, 599), min_size=1), st.sampled_from([499, 600]))
def test_nothing_flaps_between_two_bounds(looks: list[DiskLook], inside: list[int], first: int) -> None:
    before = after(*looks, look(first))
    for size_bytes in inside:
        assert after(look(size_bytes), start=before) == before


@given(_looks, _looks, st.integers(0, 700))
def test_less_room_is_never_a_better_level(
    looks: list[DiskLook], more: list[DiskLook], size_bytes: int
) -> None:
    now = after(*looks)
    assert after(look(size_bytes), start=now).space >= after(look(size_bytes + 1), start=now).space
    assert after(look(size_bytes), start=now).space in {AMPLE, TIGHT, SCARCE, NONE}
