"""What goes to make room: the least valuable first, no more than it takes, and never what must stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.clip import ClipState
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.room import NOTHING, Amount
from fsd_agent.rules.spool.evict import (
    Decision,
    Eviction,
    OnBoard,
    Quotas,
    Shortfall,
    evict,
    shortfalls,
)

CAPTURED, SEALED, STAGED = ClipState.CAPTURED, ClipState.SEALED, ClipState.STAGED
REGION, SPOOL, DISK = DropReason.QUOTA_REGION, DropReason.QUOTA_SPOOL, DropReason.DISK_NEEDED


def clip(
    name: str,
    *,
    priority: int = 0,
    value: float | None = 0.0,
    size: int = 10,
    region: str = "cn",
    state: ClipState = SEALED,
    is_sending: bool = False,
    is_urgent: bool = False,
) -> OnBoard:
    return OnBoard(name, region, state, priority, value, Amount(size, 1), is_sending, is_urgent)


def disk(size_bytes: int, files: int = 0) -> Shortfall:
    return Shortfall(DISK, "", Amount(size_bytes, files))


def names(decision: Decision) -> list[str]:
    return [one.clip_id for one in decision.evictions]


LACKS_20 = "the disk lacks 20 bytes and 0 files of what an event in progress may need"

# The order


def test_lowest_priority_then_lowest_value_then_oldest() -> None:
    clips = [
        clip("old", priority=1, value=2.0),
        clip("important", priority=2),
        clip("worthless", priority=1, value=1.0),
        clip("new", priority=1, value=2.0),
        clip("least", priority=-5, value=9.0),
    ]
    for count, expected in enumerate(
        (["least"], ["worthless"], ["old"], ["new"], ["important"]),
        start=1,
    ):
        assert names(evict(clips, [disk(10 * count)]))[count - 1 :] == expected


def test_what_is_urgent_goes_after_the_others_of_its_priority_and_before_a_higher_one() -> None:
    clips = [
        clip("urgent", is_urgent=True),
        clip("worth more", value=9.0),
        clip("important", priority=1),
        clip("least", priority=-1, is_urgent=True),
    ]
    assert names(evict(clips, [disk(40)])) == ["least", "worth more", "urgent", "important"]


def test_what_is_not_valued_yet_goes_after_what_is_and_before_what_is_urgent() -> None:
    clips = [
        clip("not yet", value=None),
        clip("urgent", value=0.0, is_urgent=True),
        clip("best", value=1.0),
        clip("important", priority=1, value=0.0),
    ]
    assert names(evict(clips, [disk(40)])) == ["best", "not yet", "urgent", "important"]


def test_each_says_why_it_was_its_turn() -> None:
    clips = [
        clip("a", priority=-2, value=0.25),
        clip("b", value=None),
        clip("c", value=0.125, is_urgent=True),
    ]
    turns = [one.why.rpartition("; its turn: ")[2] for one in evict(clips, [disk(30)]).evictions]
    assert turns == [
        "priority -2, value 0.250",
        "priority 0, not valued yet",
        "urgent, priority 0, value 0.125",
    ]


def test_the_state_says_nothing_about_the_worth() -> None:
    clips = [clip("a", state=SEALED), clip("b", state=CAPTURED), clip("c", state=SEALED)]
    assert evict(clips, [disk(20)]).evictions == (
        Eviction("a", SEALED, DISK, f"{LACKS_20}; its turn: priority 0, value 0.000"),
        Eviction("b", CAPTURED, DISK, f"{LACKS_20}; its turn: priority 0, value 0.000"),
    )


# What never goes


@pytest.mark.parametrize(
    "kept",
    [
        clip("kept", state=STAGED, priority=-9),
        clip("kept", state=ClipState.DELIVERED, priority=-9),
        clip("kept", state=ClipState.DROPPED, priority=-9),
        clip("kept", is_sending=True, priority=-9),
    ],
)
def test_what_is_in_progress_or_being_sent_or_over_stays_whatever_it_takes(kept: OnBoard) -> None:
    decision = evict([kept, clip("other")], [disk(1000)])
    assert names(decision) == ["other"]
    assert decision.unmet == (disk(990),)


# No more than it takes


def test_it_ends_once_the_bound_is_kept() -> None:
    clips = [clip("a", size=5), clip("b", size=5), clip("c", size=5)]
    assert names(evict(clips, [disk(0)])) == []
    assert names(evict(clips, [disk(1)])) == ["a"]
    assert names(evict(clips, [disk(5)])) == ["a"]
    assert names(evict(clips, [disk(6)])) == ["a", "b"]
    assert evict(clips, [disk(15)]).unmet == ()
    assert evict(clips, [disk(16)]).unmet == (disk(1),)


def test_files_are_room_as_bytes_are() -> None:
    clips = [clip("a", size=50), clip("b", size=50), clip("c", size=50)]
    assert names(evict(clips, [disk(0, 2)])) == ["a", "b"]
    assert names(evict(clips, [disk(60, 1)])) == ["a", "b"]
    assert evict(clips, [disk(10, 5)]).unmet == (disk(0, 2),)


def test_what_brings_nothing_stays() -> None:
    empty = replace(clip("empty"), takes=Amount(0, 1))
    assert names(evict([empty, clip("full")], [disk(5)])) == ["full"]
    assert names(evict([empty, clip("full")], [disk(5, 1)])) == ["empty", "full"]


# Bounds


def test_a_regions_quota_costs_its_own_clips_alone() -> None:
    clips = [clip("eu", region="eu", priority=-9), clip("cn1"), clip("cn2")]
    short = Shortfall(REGION, "cn", Amount(11, 0))
    decision = evict(clips, [short])
    assert names(decision) == ["cn1", "cn2"]
    assert {one.why for one in decision.evictions} == {
        "region cn has 11 bytes and 0 files more than its quota; its turn: priority 0, value 0.000"
    }
    assert evict(clips, [Shortfall(REGION, "eu", Amount(0, 2))]).unmet == (
        Shortfall(REGION, "eu", Amount(0, 1)),
    )


def test_what_one_bound_made_go_counts_for_the_next() -> None:
    clips = [clip("least", region="eu", priority=-9), clip("cn1"), clip("cn2")]
    exceeded = [
        Shortfall(REGION, "cn", Amount(10, 0)),
        Shortfall(SPOOL, "", Amount(20, 0)),
        disk(20, 2),
    ]
    decision = evict(clips, exceeded)
    assert [(one.clip_id, one.reason) for one in decision.evictions] == [("cn1", REGION), ("least", SPOOL)]
    assert (
        decision.evictions[1].why
        == "all regions have 20 bytes and 0 files more than their quota together; its turn: priority -9, value 0.000"
    )
    assert decision.unmet == ()
    assert [one.reason for one in evict(clips, [*exceeded[:2], disk(30)]).evictions] == [REGION, SPOOL, DISK]
    other = [Shortfall(REGION, "eu", Amount(10, 0)), Shortfall(REGION, "cn", Amount(10, 0))]
    assert names(evict(clips, other)) == ["least", "cn1"]


def test_bounds_are_exceeded_by_what_is_more_than_them() -> None:
    quotas = Quotas(Amount(100, 10), {"cn": Amount(60, 5), "us": Amount(1, 1)})
    assert shortfalls({}, quotas, NOTHING) == ()
    assert shortfalls({"cn": Amount(60, 5), "eu": Amount(40, 5)}, quotas, NOTHING) == ()
    assert shortfalls({"cn": Amount(61, 5), "eu": Amount(39, 5)}, quotas, NOTHING) == (
        Shortfall(REGION, "cn", Amount(1, 0)),
    )
    assert shortfalls({"cn": Amount(3, 6)}, quotas, NOTHING) == (Shortfall(REGION, "cn", Amount(0, 1)),)
    assert shortfalls({"cn": Amount(70, 9), "eu": Amount(70, 9)}, quotas, Amount(7, 0)) == (
        Shortfall(REGION, "cn", Amount(10, 4)),
        Shortfall(SPOOL, "", Amount(40, 8)),
        Shortfall(DISK, "", Amount(7, 0)),
    )
    assert shortfalls({"us": Amount(2, 1), "cn": Amount(61, 1)}, quotas, NOTHING) == (
        Shortfall(REGION, "cn", Amount(1, 0)),
        Shortfall(REGION, "us", Amount(1, 0)),
    )


# Whatever is on board

_clips = st.lists(
    st.builds(
        OnBoard,
        clip_id=st.uuids().map(lambda one: one.hex),
        region_id=st.sampled_from(["cn", "eu"]),
        state=st.sampled_from([STAGED, CAPTURED, SEALED, SEALED, SEALED]),
        priority=st.integers(-2, 2),
        value=st.sampled_from([0.0, 0.5]),
        takes=st.builds(Amount, st.integers(0, 50), st.integers(0, 1)),
        is_sending=st.booleans(),
        is_urgent=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda one: one.clip_id,
)
_amount = st.builds(Amount, st.integers(0, 300), st.integers(0, 8))


def held(clips: list[OnBoard]) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    for one in clips:
        found[one.region_id] = found.get(one.region_id, NOTHING).plus(one.takes)
    return found


@given(_clips, _amount, _amount, _amount)
def test_bounds_hold_afterwards_if_they_can_and_nothing_goes_needlessly(
    clips: list[OnBoard], everything: Amount, cn: Amount, disk_lacks: Amount
) -> None:
    quotas = Quotas(everything, {"cn": cn})
    decision = evict(clips, shortfalls(held(clips), quotas, disk_lacks))
    assert decision == evict(clips, shortfalls(held(clips), quotas, disk_lacks)), "it is not a function"
    by_id = {one.clip_id: one for one in clips}
    gone = [by_id[one.clip_id] for one in decision.evictions]
    assert len({one.clip_id for one in gone}) == len(gone)
    assert not any(one.is_sending or one.state not in {CAPTURED, SEALED} for one in gone)
    may_go = [one for one in clips if not one.is_sending and one.state in {CAPTURED, SEALED}]

    def exceeded(without: list[OnBoard]) -> dict[tuple[DropReason, str], Amount]:
        left = [one for one in clips if one not in without]
        freed = NOTHING
        for one in without:
            freed = freed.plus(one.takes)
        return {
            (one.reason, one.region_id): one.over
            for one in shortfalls(held(left), quotas, disk_lacks.beyond(freed))
        }

    after = exceeded(gone)
    assert {(one.reason, one.region_id): one.over for one in decision.unmet} == after
    for (_, region_id), over in after.items():
        rest = [one for one in may_go if one not in gone and region_id in {"", one.region_id}]
        assert all(over.beyond(one.takes) == over for one in rest), "something that helps was left"
    for at, eviction in enumerate(decision.evictions):
        own = (eviction.reason, "cn" if eviction.reason is REGION else "")
        before = exceeded(gone[:at])[own]
        assert before.beyond(gone[at].takes) != before, "it went, and brought nothing"
    for reason in (REGION, SPOOL, DISK):
        went = [by_id[one.clip_id] for one in decision.evictions if one.reason is reason]
        worth = [(one.priority, one.is_urgent, one.value, clips.index(one)) for one in went]
        assert worth == sorted(worth)


@given(_clips, _amount)
def test_the_first_of_the_order_decide_as_all_of_them_do(clips: list[OnBoard], lacks: Amount) -> None:
    """Who has very many clips asks for the first of them, and for more where those are not enough."""
    order = sorted(clips, key=lambda one: (one.priority, one.is_urgent, one.value))
    exceeded = shortfalls({}, Quotas(NOTHING), lacks)
    whole = evict(clips, exceeded)
    for count in range(len(order) + 1):
        part = evict(order[:count], exceeded)
        assert part == whole or part.unmet
