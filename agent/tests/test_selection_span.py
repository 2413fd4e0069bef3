"""Which seconds of a clip are kept: the most promising ones, inside of the clip, the same each time."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import LIMITS
from fsd_agent.rules.selection.span import (
    STEP_NS,
    WINDOW_NS,
    WINDOWS_MOST,
    kept_span,
    most_promising,
    windows,
)

S, MS = 1_000_000_000, 1_000_000
NINE = [(at * S, (at + 3) * S) for at in range(9)]
"""Begins at 0 to 8 s of a clip of 11."""
starts = st.integers(0, 2**40)
lengths = st.integers(0, 120 * S)
keeps = st.integers(LIMITS.keep_min_ns, LIMITS.keep_max_ns)


def test_no_campaign_can_ask_for_less_than_what_is_judged() -> None:
    assert LIMITS.keep_min_ns >= WINDOW_NS


# Windows


@given(st.integers(0, 2**40), st.integers(0, 200 * S))
def test_windows_cover_the_clip_and_are_few(start_ns: int, length_ns: int) -> None:
    end_ns = start_ns + length_ns
    found = list(windows(start_ns, end_ns))
    assert len(found) <= WINDOWS_MOST
    if length_ns < S // 2:
        assert not found
        return
    assert (found[0][0], found[-1][1]) == (start_ns, end_ns)
    assert {end - begin for begin, end in found} == {min(length_ns, WINDOW_NS)}
    steps = {later - begin for (begin, _), (later, _) in pairwise(found)}
    assert all(0 < step <= max(STEP_NS, length_ns // (WINDOWS_MOST - 1)) + 1 for step in steps)


@pytest.mark.parametrize(
    ("length_ns", "count"),
    [
        (S // 2 - 1, 0),
        (S // 2, 1),
        (3 * S, 1),
        (3 * S + 1, 2),
        (3 * S + STEP_NS, 2),
        (3 * S + STEP_NS + 1, 3),
        (3 * S + 95 * STEP_NS, 96),
        (90 * S, 96),
    ],
)
def test_a_third_of_a_second_apart_as_long_as_that_is_few_enough(length_ns: int, count: int) -> None:
    found = list(windows(7 * S, 7 * S + length_ns))
    assert len(found) == count
    assert {begin for begin, _ in found} >= ({7 * S} if count else set())


# Which window


@pytest.mark.parametrize(
    ("values", "moments_s", "best_s"),
    [
        ([0, 0, 0, 0, 0, 0, 0.2, 0.1, 0], [1.5], 6),
        ([0, 0, 0.2, 0.2, 0.2, 0.2, 0, 0, 0], [0.0], 3),
        ([0, 0, 0.2, 0.2, 0.2, 0.2, 0, 0, 0], [9.0], 4),
        ([0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0, 0], [9.0], 4),
        ([0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0], [9.0], 5),
        ([0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0], [], 3),
        ([0.2, 0.2, 0.2, 0.2, 0.2, 0, 0, 0, 0], [9.0], 2),
        ([0.2, 0.2, 0, 0, 0, 0, 0, 0, 0], [9.0], 0),
        ([0, 0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.2], [0.0], 6),
        ([0, 0, 0, 0, 0, 0, 0, 0.2, 0.2], [0.0], 8),
        ([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5], [7.0], 8),
        ([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5], [2.0], 0),
        ([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5], [5.5], 0),
        ([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5], [5.5, 9.0], 8),
        ([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5], [1.5, 30.0], 0),
        ([0] * 9, [6.4], 5),
        ([0] * 9, [6.0], 4),
        ([0] * 9, [], 0),
        ([0.3] * 9, [60.0], 8),
    ],
)
def test_the_best_counts_then_what_holds_it_whole_then_what_is_around_a_firing(
    values: list[float], moments_s: list[float], best_s: int
) -> None:
    moments_ns = [round(one * S) for one in moments_s]
    assert most_promising(NINE, values, moments_ns) == best_s * S


@given(starts, st.integers(8 * S, 31 * S), st.integers(0, 3 * S), st.data())
def test_what_makes_a_window_the_best_is_kept_whole(
    start_ns: int, length_ns: int, event_ns: int, data: st.DataObject
) -> None:
    """Something short anywhere in the clip, at which every window looks that has a moment of it."""
    end_ns = start_ns + length_ns
    from_ns = data.draw(st.integers(start_ns, end_ns - event_ns))
    until_ns = from_ns + event_ns
    moments_ns = data.draw(st.lists(st.integers(start_ns, end_ns), max_size=2))
    judged = list(windows(start_ns, end_ns))
    values = [float(begin_ns <= until_ns and from_ns <= stop_ns) for begin_ns, stop_ns in judged]
    best_ns = most_promising(judged, values, moments_ns)
    assert best_ns is not None
    # Windows are a third of a second apart: of what is hardly shorter than one so much may be lost
    off_ns = 0 if event_ns <= WINDOW_NS - 2 * STEP_NS else STEP_NS
    assert best_ns <= from_ns + off_ns
    assert best_ns + WINDOW_NS >= until_ns - off_ns


def test_what_is_as_long_as_windows_are_apart_leaves_the_middle() -> None:
    apart = [(at * S, (at + 3) * S) for at in range(0, 12, 2)]
    assert most_promising(apart, [0, 0, 0.2, 0.2, 0, 0], ()) == 6 * S
    assert most_promising(apart, [0, 0.2, 0.2, 0.2, 0, 0], [0]) == 4 * S


def test_where_there_is_no_window_nobody_can_say() -> None:
    assert most_promising([], [], [3 * S]) is None


@pytest.mark.parametrize("values", [[], [0.5, 0.5], [0.5, 0.5, 0.5, 0.9]])
def test_each_window_has_a_value(values: list[float]) -> None:
    with pytest.raises(ValueError, match="zip"):
        most_promising([(0, 3 * S), (S, 4 * S), (2 * S, 5 * S)], values, [])


@given(
    st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=9, max_size=9),
    st.lists(lengths, max_size=3),
    st.randoms(use_true_random=False),
)
def test_it_is_one_of_the_best_and_the_order_of_firings_does_not_matter(
    values: list[float], moments_ns: list[int], random: Random
) -> None:
    best_ns = most_promising(NINE, values, moments_ns)
    assert best_ns is not None
    assert values[best_ns // S] == max(values)
    assert most_promising(NINE, values, random.sample(moments_ns, len(moments_ns))) == best_ns


# Which seconds


@pytest.mark.parametrize(
    ("best_s", "keep_s", "kept"),
    [
        (4, 3, (4, 7)),
        (4, 5, (3, 8)),
        (0, 5, (0, 5)),
        (1, 7, (0, 7)),
        (8, 5, (6, 11)),
        (7, 4, (6.5, 10.5)),
        (4, 11, (0, 11)),
        (4, 12, (0, 11)),
        (None, 3, (0, 11)),
        (4, None, (0, 11)),
    ],
)
def test_the_best_window_is_in_the_middle_unless_the_clip_ends_before(
    best_s: int | None, keep_s: int | None, kept: tuple[float, float]
) -> None:
    best_ns, keep_ns = (None if one is None else one * S for one in (best_s, keep_s))
    assert kept_span((0, 11 * S), best_ns, keep_ns) == tuple(round(one * S) for one in kept)


@given(starts, lengths, keeps, st.data())
def test_what_is_kept_lies_in_the_clip_holds_the_best_window_and_is_as_long_as_asked(
    start_ns: int, length_ns: int, keep_ns: int, data: st.DataObject
) -> None:
    clip = start_ns, start_ns + length_ns
    begins = [begin_ns for begin_ns, _ in windows(*clip)]
    best_ns = data.draw(st.sampled_from(begins)) if begins else None
    begin_ns, end_ns = kept_span(clip, best_ns, keep_ns)
    assert clip[0] <= begin_ns <= end_ns <= clip[1]
    assert end_ns - begin_ns == min(length_ns, keep_ns)
    if best_ns is not None:
        assert begin_ns <= best_ns
        assert end_ns >= min(best_ns + WINDOW_NS, clip[1])
        before_ns, after_ns = best_ns - begin_ns, end_ns - best_ns - WINDOW_NS
        centred = abs(before_ns - after_ns) <= 1
        assert centred or clip[0] == begin_ns or clip[1] == end_ns


@given(starts, lengths, st.integers(-(2**41), 2**41), keeps)
def test_whatever_the_journal_says_is_best_the_span_lies_in_the_clip(
    start_ns: int, length_ns: int, best_ns: int, keep_ns: int
) -> None:
    begin_ns, end_ns = kept_span((start_ns, start_ns + length_ns), best_ns, keep_ns)
    assert start_ns <= begin_ns <= end_ns <= start_ns + length_ns
    assert end_ns - begin_ns == min(length_ns, keep_ns)


@given(starts, lengths, st.none() | keeps)
def test_where_nobody_can_say_what_is_best_all_is_kept(
    start_ns: int, length_ns: int, keep_ns: int | None
) -> None:
    clip = start_ns, start_ns + length_ns
    assert kept_span(clip, None, keep_ns) == clip
    assert kept_span(clip, start_ns, None) == clip


@given(starts, lengths, st.integers(0, 120 * S), keeps)
def test_a_clip_that_was_cut_is_not_cut_again(
    start_ns: int, length_ns: int, best_ns: int, keep_ns: int
) -> None:
    once = kept_span((start_ns, start_ns + length_ns), start_ns + best_ns, keep_ns)
    assert kept_span(once, start_ns + best_ns, keep_ns) == once
