"""Which boxes of persons are one track: near, of about the same height, and not away for too long."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.privacy.tracks import GROWTH, LOST_NS, REACH, REACH_PER_S, Sightings, follow, sightings

S = 1_000_000_000
BOX = (100.0, 100.0, 140.0, 200.0)
"""40 wide, 100 high, its centre at (120, 150)."""


def seen(*rows: tuple[int, tuple[float, ...]]) -> Sightings:
    t_ns = np.array([t for t, _ in rows], np.int64)
    return sightings(t_ns, np.array([box for _, box in rows], np.float32).reshape(-1, 4))


def moved(x: float = 0.0, y: float = 0.0, grown: float = 1.0) -> tuple[float, ...]:
    """The box elsewhere, and ``grown`` times as high around the same centre."""
    x1, y1, x2, y2 = BOX
    more = (grown - 1) * (y2 - y1) / 2
    return x1 + x, y1 + y - more, x2 + x, y2 + y + more


def times(track: Sightings) -> list[int]:
    return track.t_ns.tolist()


def test_the_limits_are_these() -> None:
    assert (LOST_NS, REACH, REACH_PER_S, GROWTH) == (S, 0.1, 1.0, 1.6)


def test_nothing_seen_is_no_track() -> None:
    assert follow(seen()) == []


@pytest.mark.parametrize(
    ("second", "tracks"),
    [
        ((S // 2, BOX), 1),
        ((S, BOX), 1),  # away for as long as may be
        ((S + 1, BOX), 2),
        # The centre is 20 from the sides and 50 from top and bottom; after no time the reach is 10 px, after half a second 60.
        ((S // 2, moved(80)), 1),
        ((S // 2, moved(80.5)), 2),
        ((S // 2, moved(-80)), 1),
        ((S // 2, moved(-80.5)), 2),
        ((S // 2, moved(0, 110)), 1),
        ((S // 2, moved(0, 110.5)), 2),
        ((S // 2, moved(0, -110)), 1),
        ((S // 2, moved(0, -110.5)), 2),
        ((S // 2, moved(grown=1.6)), 1),
        ((S // 2, moved(grown=1.61)), 2),
        ((S // 2, moved(grown=1 / 1.59)), 1),
        ((S // 2, moved(grown=1 / 1.61)), 2),
    ],
)
def test_a_box_is_the_same_person_s_where_it_can_be(
    second: tuple[int, tuple[float, ...]], tracks: int
) -> None:
    assert len(follow(seen((0, BOX), second))) == tracks


def test_two_boxes_of_one_instant_are_one_track_where_they_are_in_one_place() -> None:
    assert [times(one) for one in follow(seen((0, BOX), (0, moved(29)), (9, BOX)))] == [[0, 0, 9]]
    assert [times(one) for one in follow(seen((0, BOX), (0, moved(31)), (9, BOX)))] == [[0, 9], [0]]


def test_two_persons_whom_two_models_see_are_two_tracks_and_go_on_as_two() -> None:
    pairs = [(t, moved(x + shift)) for t in (0, 9, 18) for x, shift in ((0, 0), (200, 0), (0, 8), (200, 8))]
    found = follow(seen(*pairs))
    assert [times(one) for one in found] == [[0, 0, 9, 9, 18, 18]] * 2
    assert [sorted(set(one.box[:, 0])) for one in found] == [[100.0, 108.0], [300.0, 308.0]]


def test_of_a_row_of_boxes_the_first_takes_what_is_near_itself() -> None:
    found = follow(seen((0, BOX), (0, moved(29)), (0, moved(58))))
    assert [one.box[:, 0].tolist() for one in found] == [[100.0, 129.0], [158.0]]


def test_what_the_first_of_an_instant_is_near_to_is_one_track_and_stays_so() -> None:
    (track,) = follow(seen((0, moved(29)), (0, moved(0)), (0, moved(58))))
    assert track.box[:, 0].tolist() == [129.0, 100.0, 158.0]


def test_who_is_of_a_track_already_brings_nobody_together() -> None:
    """The second is near to the third and the fourth, which are not near to each other, and is of the first's track."""
    found = follow(seen(*((0, moved(*at)) for at in ((0, 0), (29, 0), (58, -5), (31, 59)))))
    assert [len(one.t_ns) for one in found] == [2, 1, 1]


def test_boxes_of_one_instant_stay_in_their_order() -> None:
    rows = [(t, moved(float(number))) for number in range(100) for t in (S, 0)]
    found = seen(*rows)
    assert found.box[:, 0].tolist() == [100.0 + number for number in range(100)] * 2


def test_somebody_new_begins_a_track_beside_those_that_go_on() -> None:
    found = follow(seen((0, BOX), (5, BOX), (5, moved(200)), (10, moved(200)), (10, moved(400)), (15, BOX)))
    assert [times(one) for one in found] == [[0, 5, 15], [5, 10], [10]]


def test_the_nearer_of_two_tracks_is_meant_by_centres_in_both_directions() -> None:
    first, second = follow(seen((0, moved(0, 0)), (0, moved(0, 90)), (S // 4, moved(0, 50))))
    assert (times(first), times(second)) == ([0], [0, S // 4])
    first, second = follow(seen((0, moved(0, 0)), (0, moved(0, 90)), (S // 4, moved(0, 40))))
    assert (times(first), times(second)) == ([0, S // 4], [0])


def test_three_persons_side_by_side_are_three_tracks_in_the_order_of_their_boxes() -> None:
    row = [(t, moved(x)) for t in (0, 5, 10) for x in (0, 100, 200)]
    found = follow(seen(*row))
    assert [times(one) for one in found] == [[0, 5, 10]] * 3
    assert [set(one.box[:, 0]) for one in found] == [{100.0}, {200.0}, {300.0}]


def test_of_two_tracks_in_reach_the_nearer_goes_on() -> None:
    first, second = follow(seen((0, moved(0)), (0, moved(60)), (S // 2, moved(40))))
    assert (times(first), times(second)) == ([0], [0, S // 2])


def test_a_track_goes_on_from_where_it_was_seen_last() -> None:
    """Step by step the person walks further than any single step may be."""
    steps = seen(*((n * S // 10, moved(25.0 * n)) for n in range(10)))
    assert [times(one) for one in follow(steps)] == [[n * S // 10 for n in range(10)]]


def test_order_of_the_rows_and_of_corners_does_not_matter() -> None:
    upside_down = (BOX[2], BOX[3], BOX[0], BOX[1])
    (track,) = follow(seen((7, upside_down), (3, BOX)))
    assert times(track) == [3, 7]
    assert track.box.tolist() == [list(BOX), list(BOX)]


def distance(seen: Sightings, row: int, last: int) -> float:
    """By the module's words, of two boxes; infinite where they are of different tracks."""
    x1, y1, x2, y2 = seen.box[row].tolist()
    left, top, right, bottom = seen.box[last].tolist()
    gap_ns, height, last_height = int(seen.t_ns[row] - seen.t_ns[last]), y2 - y1, bottom - top
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    margin = (REACH + REACH_PER_S * (gap_ns / 1e9)) * last_height
    beyond = max(left - x, x - right, top - y, y - bottom) > margin
    grown = max(height, last_height) > GROWTH * min(height, last_height)
    aside, above = x - (left + right) / 2, y - (top + bottom) / 2
    return math.inf if gap_ns > LOST_NS or beyond or grown else math.sqrt(aside * aside + above * above)


def follow_box_by_box(seen: Sightings) -> list[list[int]]:
    """Rows of each track; every box is compared with every track that ever was."""
    tracks: list[list[int]] = []
    for t_ns in np.unique(seen.t_ns):
        rows, begun, fresh = np.flatnonzero(seen.t_ns == t_ns).tolist(), [list(one) for one in tracks], []
        for row in rows:
            far = [distance(seen, row, one[-1]) for one in begun]
            if min(far, default=math.inf) < math.inf:
                tracks[far.index(min(far))].append(row)
            else:
                fresh.append(row)
        while fresh:
            tracks.append([row for row in fresh if distance(seen, fresh[0], row) < math.inf])
            fresh = [row for row in fresh if row not in tracks[-1]]
    return tracks


SCENES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 9), st.integers(0, 4), st.integers(1, 6)), max_size=40
)


def scene(rows: list[tuple[int, int, int, int]]) -> list[tuple[int, tuple[float, ...]]]:
    """Boxes at half seconds, many of them at one instant and near each other."""
    return [(t * S // 2, (30.0 * x, 30.0 * y, 30.0 * x + 20, 30.0 * y + 20 * h)) for t, x, y, h in rows]


@given(SCENES)
def test_tracks_that_may_not_go_on_are_as_if_they_were_still_compared(
    rows: list[tuple[int, int, int, int]],
) -> None:
    boxes = seen(*scene(rows))
    found = [(times(one), one.box.tolist()) for one in follow(boxes)]
    wanted = [boxes.take(np.array(one)) for one in follow_box_by_box(boxes)]
    assert found == [(times(one), one.box.tolist()) for one in wanted]


@given(SCENES)
def test_every_box_is_in_one_track_and_no_track_pauses_for_longer_than_it_may(
    rows: list[tuple[int, int, int, int]],
) -> None:
    boxes = scene(rows)
    tracks = follow(seen(*boxes))
    found = sorted((t, *box) for one in tracks for t, box in zip(times(one), one.box.tolist(), strict=True))
    assert found == sorted((t, *box) for t, box in boxes)
    for one in tracks:
        assert one.t_ns.size > 0
        assert (np.diff(one.t_ns) >= 0).all()
        assert (np.diff(one.t_ns) <= LOST_NS).all()
