"""Since when clips are held, in columns: the same as dictionaries of their moments, round by round."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.clip_ids import pack_ids, unpack_ids
from fsd_agent.records.held_since import EARLIER_NS, HeldSince
from fsd_agent.rules.spool.held import NOBODY, HeldClips
from fsd_agent.rules.spool.retention import held_since

IDS = [f"{number:032x}" for number in range(6)]
ROUNDS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(IDS), max_size=8), st.integers(0, 9), st.integers(0, 40), st.integers(0, 40)
    ),
    max_size=5,
)


def noted_as(noted: dict[str, int]) -> HeldSince:
    return HeldSince(pack_ids(noted), array("q", noted.values()), array("q", [EARLIER_NS] * len(noted)))


def pairs(held: HeldClips) -> list[tuple[str, int]]:
    found = held.noted()
    return list(zip(unpack_ids(found.ids), found.since_ns, strict=True))


@given(st.dictionaries(st.sampled_from(IDS), st.integers(0, 40)), ROUNDS, st.booleans())
def test_they_are_dictionaries(
    noted: dict[str, int], rounds: list[tuple[list[str], int, int, int]], again: bool
) -> None:
    held, now_ns = HeldClips(noted_as(noted), of_this_run=False), 0
    seen: dict[str, int] = {}
    for met, by_ns, proved_ns, clock_ns in rounds:
        now_ns += by_ns
        before = dict(noted)
        if again:
            held = HeldClips(held.noted(), of_this_run=True)
        held.is_changed = False
        held.begin()
        for clip_id in met:
            if clip_id not in noted:
                seen[clip_id] = now_ns
            first_ns = seen.get(clip_id)
            noted[clip_id] = held_since(
                noted.get(clip_id),
                elapsed_ns=None if first_ns is None else now_ns - first_ns,
                proved_ns=proved_ns,
                clock_ns=clock_ns,
            )
            found = held.meet(clip_id, now_ns=now_ns, proved_ns=proved_ns, clock_ns=clock_ns)
            assert found == noted[clip_id]
        held.end()
        noted = {clip_id: noted[clip_id] for clip_id in met}
        seen = {clip_id: moment for clip_id, moment in seen.items() if clip_id in met}
        assert dict(pairs(held)) == noted
        assert held.is_changed or noted == before


def test_a_round_that_ends_as_it_began_changes_nothing() -> None:
    held = HeldClips(noted_as({IDS[0]: 5, IDS[1]: 7}), of_this_run=False)
    for _ in range(2):
        held.begin()
        for clip_id in IDS[:2]:
            held.meet(clip_id, now_ns=1, proved_ns=3, clock_ns=9)
        held.end()
    assert not held.is_changed
    assert pairs(held) == [(IDS[0], 5), (IDS[1], 7)]


def test_a_round_that_was_broken_off_forgets_nobody_and_the_next_one_counts_anew() -> None:
    held = HeldClips(noted_as({IDS[0]: 5, IDS[1]: 7}), of_this_run=False)
    held.begin()
    held.meet(IDS[0], now_ns=1, proved_ns=3, clock_ns=9)
    held.begin()
    held.meet(IDS[1], now_ns=1, proved_ns=3, clock_ns=9)
    held.end()
    assert pairs(held) == [(IDS[1], 7)]
    assert held.is_changed


def test_who_goes_and_comes_again_is_seen_anew() -> None:
    held = HeldClips(NOBODY, of_this_run=False)
    for now_ns, met in ((10, True), (20, False), (30, True)):
        held.begin()
        if met:
            held.meet(IDS[0], now_ns=now_ns, proved_ns=0, clock_ns=0)
        held.end()
    held.begin()
    assert held.meet(IDS[0], now_ns=31, proved_ns=100, clock_ns=0) == 99


def test_what_an_earlier_run_saw_says_nothing_of_when_this_one_did() -> None:
    held = HeldClips(NOBODY, of_this_run=False)
    held.begin()
    held.meet(IDS[0], now_ns=50, proved_ns=0, clock_ns=0)
    held.end()
    for of_this_run, since_ns in ((True, 90), (False, 0)):
        again = HeldClips(held.noted(), of_this_run=of_this_run)
        again.begin()
        assert again.meet(IDS[0], now_ns=60, proved_ns=100, clock_ns=0) == since_ns
    assert pairs(held) == [(IDS[0], 0)]
