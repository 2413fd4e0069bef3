"""Which stretches are looked at again: nobody between somebody, a track that breaks, and one that ends in mid-picture."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.privacy.again import AROUND_NS, EDGE, MIN_LOOKS, Stretch, look_again, within
from fsd_agent.rules.privacy.tracks import sightings

MS = 1_000_000
STEP = 100 * MS
LOOKS = np.arange(0, 21 * STEP, STEP, dtype=np.int64)
"""Every tenth of a second, for two seconds."""
WIDTH, HEIGHT = 1000, 500
MIDDLE = (480.0, 200.0, 520.0, 300.0)


def doubtful(*seen: tuple[float, tuple[float, ...]]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Those without anybody, and those of broken tracks, in looks."""
    t_ns = np.array([round(at * STEP) for at, _ in seen], np.int64)
    found = look_again(LOOKS, sightings(t_ns, np.array([box for _, box in seen], np.float32)), WIDTH, HEIGHT)
    empty, broken = (
        [(one.start_ns // STEP, one.end_ns // STEP) for one in kind] for kind in (found.empty, found.broken)
    )
    return empty, broken


def stretches(
    *seen: tuple[float, tuple[float, ...]],
    looks: np.ndarray = LOOKS,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> list[tuple[float, float]]:
    """All of them together, in looks, for persons at the looks of ``seen``."""
    t_ns = np.array([round(at * STEP) for at, _ in seen], np.int64)
    persons = sightings(t_ns, np.array([box for _, box in seen], np.float32).reshape(-1, 4))
    found = look_again(looks, persons, width, height)
    parts = sorted((one.start_ns / STEP, one.end_ns / STEP) for one in (*found.empty, *found.broken))
    joined: list[tuple[float, float]] = []
    for start, end in parts:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def throughout(
    box: tuple[float, ...] = MIDDLE, begin: int = 0, end: int = 20
) -> list[tuple[float, tuple[float, ...]]]:
    return [(at, box) for at in range(begin, end + 1)]


def test_the_limits_are_these() -> None:
    assert (MIN_LOOKS, AROUND_NS, EDGE) == (2, 500 * MS, 0.02)


def test_a_video_with_nobody_is_not_looked_at_again() -> None:
    assert stretches() == []


def test_somebody_who_is_always_there_needs_no_second_look() -> None:
    assert stretches(*throughout()) == []


def test_a_stretch_without_anybody_is_looked_at_from_look_to_look() -> None:
    away = [one for one in throughout() if one[0] not in {8, 9}]
    assert stretches(*away) == [(7, 10)]


def test_the_video_s_ends_without_anybody_are_looked_at() -> None:
    """At the picture's edge, so that neither end is looked at for itself."""
    edge = (0.0, 200.0, 40.0, 300.0)
    assert stretches(*throughout(edge, 4, 20)) == [(0, 4)]
    assert stretches(*throughout(edge, 0, 17)) == [(17, 20)]


def test_a_single_box_is_enough_for_the_rest_to_be_looked_at() -> None:
    assert stretches((10, MIDDLE)) == [(0, 20)]


def test_a_gap_in_a_track_is_looked_at_though_others_are_seen() -> None:
    other = throughout((100.0, 200.0, 140.0, 300.0))
    away = [one for one in throughout() if one[0] != 8]
    assert stretches(*other, *away) == [(7, 9)]


def test_a_track_that_ends_or_begins_in_mid_picture_is_looked_at_around_there() -> None:
    other = throughout((100.0, 200.0, 140.0, 300.0))
    assert stretches(*other, *throughout(end=8)) == [(8, 13)]
    assert stretches(*other, *throughout(begin=12)) == [(7, 12)]
    assert stretches(*other, *throughout(end=18)) == [(18, 20)]
    assert stretches(*other, *throughout(begin=2)) == [(0, 2)]


def test_a_box_that_was_seen_once_beside_others_is_no_track() -> None:
    other = throughout((100.0, 200.0, 140.0, 300.0))
    assert stretches(*other, (8, MIDDLE)) == []
    assert stretches(*other, (8, MIDDLE), (9, MIDDLE)) == [(3, 8), (9, 14)]


@pytest.mark.parametrize(
    ("box", "leaving"),
    [
        ((20.0, 200.0, 60.0, 300.0), True),
        ((20.5, 200.0, 60.5, 300.0), False),
        ((940.0, 200.0, 980.0, 300.0), True),
        ((939.5, 200.0, 979.5, 300.0), False),
        ((480.0, 390.0, 520.0, 490.0), True),
        ((480.0, 389.5, 520.0, 489.5), False),
        ((480.0, 0.0, 520.0, 100.0), False),  # nobody leaves upwards
    ],
)
def test_who_is_at_the_edge_may_be_leaving(box: tuple[float, ...], *, leaving: bool) -> None:
    other = throughout((200.0, 200.0, 240.0, 300.0))
    assert stretches(*other, *throughout(box, end=8)) == ([] if leaving else [(8, 13)])
    assert stretches(*other, *throughout(box, begin=12)) == ([] if leaving else [(7, 12)])


def test_one_of_two_boxes_of_an_instant_at_the_edge_is_enough() -> None:
    """Two models see the same person; one of them sees the person cut off."""
    other = throughout((200.0, 200.0, 240.0, 300.0))
    both = [*throughout((10.0, 200.0, 60.0, 300.0), end=8), *throughout((25.0, 200.0, 60.0, 300.0), end=8)]
    assert stretches(*other, *both) == []


def test_only_the_places_of_its_ends_say_whether_a_track_came_or_left() -> None:
    other = throughout((200.0, 400.0, 240.0, 480.0))
    boxes = [(260.0 - 30 * step, 200.0, 300.0 - 30 * step, 300.0) for step in range(9)]  # to the left edge
    assert stretches(*other, *((6 + step, box) for step, box in enumerate(boxes))) == [(1, 6)]
    assert stretches(*other, *((6 + step, box) for step, box in enumerate(reversed(boxes)))) == [(14, 19)]


def test_a_gap_is_looked_at_from_the_first_look_of_a_track_to_its_last() -> None:
    other, edge = throughout((200.0, 200.0, 240.0, 300.0)), (10.0, 200.0, 50.0, 300.0)
    assert stretches(*other, (7, edge), (9, edge)) == [(7, 9)]


def test_two_boxes_of_one_look_are_no_track() -> None:
    other = throughout((200.0, 200.0, 240.0, 300.0))
    assert stretches(*other, (8, MIDDLE), (8, MIDDLE)) == []


def test_whom_others_saw_between_the_looks_was_there() -> None:
    """Firmware sees the person between the models' looks: neither a stretch without anybody nor a gap."""
    slow = LOOKS[::3]
    assert stretches(*((at + 0.5, MIDDLE) for at in range(18)), (0, MIDDLE), (18, MIDDLE), looks=slow) == []


def test_an_empty_stretch_is_told_from_a_broken_track() -> None:
    other = throughout((200.0, 200.0, 240.0, 300.0))
    gap = [one for one in throughout() if one[0] not in {8, 9}]
    assert doubtful(*other, *gap) == ([], [(7, 10)])
    assert doubtful(*gap) == ([(7, 10)], [(7, 10)])
    assert doubtful(*throughout(end=4)) == ([(4, 20)], [(4, 9)])
    assert doubtful(*throughout(end=4), *throughout(begin=18)) == ([(4, 18)], [(4, 9), (13, 18)])
    assert doubtful((10, MIDDLE)) == ([(0, 20)], [])


def test_stretches_that_touch_are_one() -> None:
    away = [one for one in throughout() if one[0] not in {8, 10}]
    assert stretches(*away) == [(7, 11)]


def test_of_broken_tracks_each_stretch_is_named_once() -> None:
    """Beside an earlier one: two that touch, and one that lies within another's."""
    other, third = throughout((100.0, 200.0, 140.0, 300.0)), throughout((800.0, 200.0, 840.0, 300.0), end=8)
    touching = [one for one in throughout() if one[0] not in {3, 8, 10}]
    assert doubtful(*other, *touching) == ([], [(2, 4), (7, 11)])
    inside = [one for one in throughout() if one[0] not in {3, 10}]
    assert doubtful(*other, *third, *inside) == ([], [(2, 4), (8, 13)])


def test_within_takes_both_ends() -> None:
    parts = (Stretch(10, 20), Stretch(40, 40))
    t_ns = np.array([9, 10, 15, 20, 21, 39, 40, 41])
    assert within(parts, t_ns).tolist() == [False, True, True, True, False, False, True, False]
    assert not within((), t_ns).any()


@given(st.sets(st.integers(0, 20)), st.integers(0, 900))
def test_every_look_without_anybody_is_inside_and_stretches_are_apart(seen_at: set[int], x: int) -> None:
    found = stretches(*((at, (x, 100.0, x + 40.0, 200.0)) for at in sorted(seen_at)))
    if not seen_at:
        assert found == []
        return
    for at in set(range(21)) - seen_at:
        assert any(start <= at <= end for start, end in found)
    for (_, end), (start, _) in itertools.pairwise(found):
        assert end < start
    assert all(0 <= start <= end <= 20 for start, end in found)
