"""What gives way when the spool is full."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.rules.spool.evict import SpoolLimits, evict

LIMITS = SpoolLimits(quota_bytes=100, reserve_bytes=50)


def row(n: int, size: int, priority: int = 0) -> ClipRow:
    return ClipRow(f"{n:032x}", "eu", ClipState.SEALED, n, n, 0, (), (), priority, size_bytes=size)


def ids(rows: tuple[ClipRow, ...]) -> list[int]:
    return [int(each.clip_id, 16) for each in rows]


def test_nothing_goes_while_there_is_room() -> None:
    eviction = evict([row(1, 60)], need_bytes=40, free_bytes=90, limits=LIMITS, sending=frozenset())
    assert (eviction.clips, eviction.fits) == ((), True)


def test_lowest_priority_then_oldest() -> None:
    rows = [row(3, 30, priority=9), row(1, 30, priority=1), row(2, 30, priority=1)]
    one = evict(rows, need_bytes=20, free_bytes=1_000, limits=LIMITS, sending=frozenset())
    assert ids(one.clips) == [1]
    assert one.why == "made room: 10 bytes over the quota"
    three = evict(rows, need_bytes=90, free_bytes=1_000, limits=LIMITS, sending=frozenset())
    assert ids(three.clips) == [
        1,
        2,
        3,
    ]  # the newest is never refused for older ones, whatever their priority


def test_what_is_being_sent_stays() -> None:
    rows = [row(1, 50), row(2, 50)]
    eviction = evict(rows, need_bytes=10, free_bytes=1_000, limits=LIMITS, sending=frozenset([f"{1:032x}"]))
    assert ids(eviction.clips) == [2]


def test_the_reserve_is_kept_for_staging() -> None:
    eviction = evict([row(1, 5), row(2, 5)], need_bytes=4, free_bytes=50, limits=LIMITS, sending=frozenset())
    assert ids(eviction.clips) == [1]
    assert "reserve" in eviction.why


def test_nothing_is_evicted_in_vain() -> None:
    rows = [row(1, 50), row(2, 40)]
    too_big = evict(rows, need_bytes=101, free_bytes=1_000, limits=LIMITS, sending=frozenset())
    assert (too_big.clips, too_big.fits) == ((), False)
    assert "whole quota" in too_big.why
    stuck = evict(rows, need_bytes=70, free_bytes=1_000, limits=LIMITS, sending=frozenset([f"{1:032x}"]))
    assert (stuck.clips, stuck.fits) == ((), False)
    assert "being sent" in stuck.why


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3), st.booleans()), max_size=8),
    st.integers(1, 120),
    st.integers(0, 200),
)
def test_room_is_made_with_the_least_valuable(
    held: list[tuple[int, int, bool]], need_bytes: int, free_bytes: int
) -> None:
    rows = sorted((row(n, size, p) for n, (size, p, _) in enumerate(held)), key=lambda each: -each.priority)
    sending = frozenset(f"{n:032x}" for n, (_, _, busy) in enumerate(held) if busy)
    eviction = evict(rows, need_bytes=need_bytes, free_bytes=free_bytes, limits=LIMITS, sending=sending)
    gone = {each.clip_id for each in eviction.clips}
    assert not gone & sending

    def fits(without: set[str]) -> bool:
        stay = sum(each.size_bytes for each in rows if each.clip_id not in without)
        freed = sum(each.size_bytes for each in rows if each.clip_id in without)
        return (
            stay + need_bytes <= LIMITS.quota_bytes
            and free_bytes + freed - need_bytes >= LIMITS.reserve_bytes
        )

    everything = {each.clip_id for each in rows} - sending
    assert eviction.fits == fits(gone)
    if not eviction.fits:
        assert not gone
        assert not fits(everything)
        return
    if gone:  # one less would not have done, and nobody of a lower value was spared
        assert not fits(gone - {eviction.clips[-1].clip_id})
        spared = everything - gone
        top = max(each.priority for each in eviction.clips)
        assert all(each.priority >= top for each in rows if each.clip_id in spared)
