"""What a clip is worth: order, sides, rates and what is broken do not matter; the scores are the trigger bank's."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.rules.selection.tracks import FEATURES, LIMIT, SOURCE, sets_off, slope, track_features
from fsd_agent.rules.selection.turning import Moved, turnings
from fsd_agent.rules.selection.value import (
    MOST,
    NOBODY,
    ValueHeadError,
    chance,
    check_value_head,
    head_scores,
    score,
    steady,
    value,
)
from fsd_agent.rules.selection.window import Motion, Window, paths
from fsd_agent.rules.triggers.heads import HeadBank
from fsd_firmware.samples import Features

S = 1_000_000_000
SIZE = (1920.0, 1080.0)
Rows = list[tuple[float, int, tuple[float, float, float, float]]]


def window(rows: Rows, motion: int = Motion.FAST) -> Window:
    """Rows of seconds, track and box; the car moves alike all the time."""
    return Window(
        0,
        3 * S,
        SIZE,
        np.array([round(t * S) for t, _, _ in rows], np.int64),
        np.array([track for _, track, _ in rows], np.int64),
        np.array([box for _, _, box in rows], np.float64).reshape(-1, 4),
        np.zeros(1, np.int64),
        np.array([motion], np.uint8),
    )


def walker(track: int, places: list[float], height: float = 200.0, fps: int = 30, start: int = 0) -> Rows:
    """Somebody at these places (heights right of the middle), a look each."""
    made = []
    for at, place in enumerate(places):
        middle = 960.0 + place * height
        made.append(((start + at) / fps, track, (middle - 40, 500.0, middle + 40, 500.0 + height)))
    return made


def head(layers: list[tuple[NDArray[np.float64], list[int], int]], source: str = SOURCE) -> Head:
    """From whole numbers."""
    return Head(
        "tried",
        source,
        "front",
        10,
        tuple(
            HeadLayer(w.shape[0], w.shape[1], w.astype("<i2").tobytes(), tuple(b), shift)
            for w, b, shift in layers
        ),
        2.0**-20,
    )


def weighing(**weights: int) -> Head:
    """A linear head."""
    row = np.zeros((1, len(FEATURES)))
    for name, weight in weights.items():
        row[0, FEATURES.index(name)] = weight
    return head([(row, [0], 0)])


def random_head(seed: int) -> Head:
    rng = np.random.default_rng(seed)
    first = rng.integers(-2000, 2000, (12, len(FEATURES))).astype(float)
    return head(
        [
            (first, rng.integers(-(10**6), 10**6, 12).tolist(), 9),
            (rng.integers(-99, 99, (1, 12)).astype(float), [5], 0),
        ]
    )


def feature(found: NDArray[np.float64], name: str, row: int = 0) -> float:
    return float(found[row, FEATURES.index(name)])


boxes = st.tuples(
    st.integers(0, 89).map(lambda frame: frame / 30),
    st.integers(0, 3),
    st.tuples(st.integers(0, 900), st.integers(0, 500), st.integers(1, 900), st.integers(1, 500)).map(
        lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
    ),
)
broken = st.tuples(
    st.floats(-1, 4),
    st.integers(-(2**40), 2**40),
    st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4),
)


@settings(max_examples=60)
@given(st.lists(boxes, max_size=60), st.randoms(use_true_random=False), st.integers(0, 50))
def test_the_order_of_rows_does_not_matter(rows: Rows, random: Random, seed: int) -> None:
    shuffled = rows.copy()
    random.shuffle(shuffled)
    ours, theirs = track_features(window(rows)), track_features(window(shuffled))
    assert (ours == theirs).all()
    assert value(window(rows), random_head(seed)) == value(window(shuffled), random_head(seed))


@given(st.lists(broken | boxes, max_size=40), st.sampled_from([*Motion]), st.integers(0, 50))
def test_every_value_is_a_number_whatever_comes(rows: Rows, motion: int, seed: int) -> None:
    seen = window(rows, motion)
    features = track_features(seen)
    assert np.isfinite(features).all()
    assert (np.abs(features) <= LIMIT).all()
    worth = value(seen, random_head(seed))
    assert 0 < worth < 1 if len(features) else worth == 0


@settings(max_examples=60)
@given(st.lists(boxes, min_size=10, max_size=60))
def test_left_and_right_are_judged_alike(rows: Rows) -> None:
    mirrored = [(t, track, (1920 - x2, y1, 1920 - x1, y2)) for t, track, (x1, y1, x2, y2) in rows]
    assume(all(abs(one.place.mean()) > 1e-9 for one in paths(window(rows))))
    # Two looks of one moment are put in order by their boxes, which a mirror turns round.
    assume(len({(t, track) for t, track, _ in rows}) == len(rows))
    np.testing.assert_allclose(track_features(window(rows)), track_features(window(mirrored)), atol=1e-6)


@given(st.integers(0, 200), st.integers(1, 20))
def test_scores_are_those_of_the_trigger_bank(seed: int, count: int) -> None:
    one = random_head(seed)
    values = np.random.default_rng(seed).uniform(-LIMIT, LIMIT, (count, len(FEATURES)))
    batch = Features("front", SOURCE, np.arange(count, dtype=np.int64), values.astype(np.float32))
    (found,) = HeadBank([(0, one)]).samples([batch])
    assert (head_scores(one, values) == found.value).all()


def test_a_clip_without_a_person_is_worth_nothing() -> None:
    assert value(window([]), weighing(toward=1000)) == 0
    assert value(window(walker(1, [3.0] * 5)), weighing(toward=1000)) == 0  # a flicker
    assert value(window(walker(1, [3.0] * 6)), weighing(toward=1000)) == 0.5  # a person, and a score of 0


@settings(max_examples=40)
@given(st.floats(-2, 2), st.floats(-2, 2))
def test_a_second_person_makes_no_clip_worth_less(ours: float, theirs: float) -> None:
    alone = walker(1, [3 - ours * at / 30 for at in range(90)])
    other = walker(2, [-3 + theirs * at / 30 for at in range(90)])
    for one in (weighing(toward=3000, place_nearest=-50), random_head(3)):
        assert value(window(alone + other), one) >= value(window(alone), one)


@settings(max_examples=40)
@given(st.floats(-1.5, 1.5), st.floats(0.01, 1.5))
def test_worth_rises_with_what_a_head_weighs(slow: float, more: float) -> None:
    def worth(speed: float) -> float:
        places = [8 - speed * at / 30 for at in range(90)]
        return value(window(walker(1, places)), weighing(toward=3000))

    assert worth(slow + more) > worth(slow)


def test_features_of_somebody_who_walks_toward_the_line() -> None:
    found = track_features(window(walker(1, [-(4 - 0.8 * at / 30) for at in range(90)])))
    assert found.shape == (1, len(FEATURES))
    assert feature(found, "toward") == pytest.approx(0.8)
    assert feature(found, "toward_most") == pytest.approx(0.8)
    assert feature(found, "toward_moving") == pytest.approx(0.8)
    assert feature(found, "toward_gain") == pytest.approx(0, abs=1e-9)
    assert feature(found, "place_start") == pytest.approx(4)
    assert feature(found, "place_end") == pytest.approx(4 - 0.8 * 89 / 30)
    assert feature(found, "comes") == pytest.approx(0.8 * 89 / 30)
    assert feature(found, "goes") == 0
    assert feature(found, "height_most") == pytest.approx(np.log(200 / 1.08))
    assert feature(found, "aspect") == pytest.approx(0.4)
    assert feature(found, "bottom") == pytest.approx(700 / 1080)
    assert feature(found, "fast") == 1
    assert [feature(found, name) for name in ("seen", "late", "early", "stopped")] == [1, 0, 0, 0]


def test_presence_is_told_in_shares_of_the_window() -> None:
    found = track_features(window(walker(1, [2.0] * 45, start=30)))
    assert [feature(found, name) for name in ("seen", "late", "early")] == [45 / 90, 30 / 90, 15 / 90]


def test_who_sets_off_differs_from_who_walks() -> None:
    stands = [3.0] * 45
    sets = stands + [3.0 - 0.9 * at / 30 for at in range(45)]
    walks = [4.5 - 0.9 * at / 30 for at in range(90)]
    assert sets_off(np.array(sets)) > 0.7
    assert sets_off(np.array(walks)) < 0.05
    assert sets_off(np.array(stands)) == 0


def test_velocity_while_the_car_stands_does_not_count_as_while_it_moves() -> None:
    rows = walker(1, [3 - 0.8 * at / 30 for at in range(90)])
    assert feature(track_features(window(rows, Motion.STOPPED)), "toward_moving") == 0
    assert feature(track_features(window(rows, Motion.STOPPED)), "stopped") == 1
    # It stops after the first second: two half seconds were driven.
    stops = replace(
        window(rows),
        motion_t_ns=np.array([0, S], np.int64),
        motion=np.array([Motion.SLOW, Motion.STOPPED], np.uint8),
    )
    assert feature(track_features(stops), "toward_moving") == pytest.approx(0.8)
    assert feature(track_features(stops), "slow") == pytest.approx(1 / 3)


def test_before_the_first_sample_the_motion_is_unknown() -> None:
    late = replace(window(walker(1, [2.0] * 90)), motion_t_ns=np.array([2 * S], np.int64))
    assert feature(track_features(late), "fast") == pytest.approx(1 / 3)


def test_what_all_do_is_the_turning_of_the_picture() -> None:
    rows = [
        row for track in (1, 2, 3) for row in walker(track, [2 + track - 0.5 * at / 30 for at in range(90)])
    ]
    found = track_features(window(rows))
    assert feature(found, "sweep", 1) == pytest.approx(0.5)
    assert feature(found, "toward_own", 1) == pytest.approx(0, abs=1e-9)
    pair = track_features(window(rows[:180]))
    assert feature(pair, "sweep") == 0
    assert feature(pair, "toward_own") == pytest.approx(0.5)


def turns(first_s: float, speed: float) -> Rows:
    """A picture that turns from then on, by so many heights of 200 pixels a second; four stand, the fourth, near, walks at once."""
    rows = []
    for track, height, place, walk in (
        (1, 200, 3.0, 0),
        (2, 100, -8.0, 0),
        (3, 50, 20.0, 0),
        (4, 400, 2.0, 0.4),
    ):
        places = []
        for at in range(90):
            turned = speed * max(0.0, at / 30 - first_s) * 200 / height
            places.append(place + turned - walk * at / 30)
        rows += walker(track, places, float(height))
    return rows


def test_turning_is_the_same_pixels_for_all_and_so_less_heights_for_who_is_near() -> None:
    found = track_features(window(turns(0.0, 0.6)))
    # To the right: away from the line for who is right of it, toward it for the second, who is left.
    assert [feature(found, "sweep", row) for row in range(4)] == pytest.approx([-0.6, 1.2, -2.4, -0.3])
    assert [feature(found, "toward_own", row) for row in range(4)] == pytest.approx([0, 0, 0, 0.4], abs=1e-9)


def test_what_a_person_walks_is_told_apart_from_a_turn_that_begins_later() -> None:
    found = track_features(window(turns(1.5, 0.6)))
    for name, wanted in (("own_most", 0.4), ("own_least", 0.4), ("own_gain", 0), ("own_later", 0)):
        assert feature(found, name, 3) == pytest.approx(wanted, abs=1e-9)
    assert feature(found, "toward_gain", 3) == pytest.approx(-0.3)


def test_velocity_of_ones_own_by_half_seconds() -> None:
    stays, walks = [4.0] * 45, [4 - 0.8 * at / 30 for at in range(45)]
    names = ("own_most", "own_least", "own_gain", "own_later")
    found = track_features(window(walker(1, stays + walks)))
    assert [feature(found, name) for name in names] == pytest.approx([0.8, 0, 0.8, 0.8], abs=1e-9)
    # From 2 s on: what is not seen before is as the first half second that is.
    late = track_features(window(walker(1, stays[:15] + walks[:15], start=60)))
    assert [feature(late, name) for name in names] == pytest.approx([0.8, 0, 0.8, 0.8 / 3], abs=1e-9)
    short = track_features(window(walker(1, stays[:7])))
    assert [feature(short, name) for name in names] == [0, 0, 0, 0]


def rests(rows: list[tuple[float, float] | None]) -> Moved:
    """Of one stretch: what moves beyond growth, and heights; None is not there."""
    known = np.array([[one is not None] for one in rows])
    rest, height = (np.array([[0.0 if one is None else one[at]] for one in rows]) for at in (0, 1))
    return Moved(known, np.zeros(known.shape), rest, height)


def test_no_turning_is_told_of_two_and_of_those_who_are_not_there() -> None:
    sides = np.array([1.0, 1.0, -1.0, 1.0])
    one = (10.0, 100.0)
    assert turnings(sides, rests([one, None, None, one])).tolist() == [[0], [0], [0], [0]]
    told = turnings(sides, rests([one, None, one, one]))[:, 0]
    assert told.tolist() == pytest.approx([-0.1, 0, 0.1, -0.1])


heights = st.floats(5, 900)


@given(st.lists(st.tuples(st.floats(-500, 500), heights), min_size=3, max_size=9))
def test_the_turning_lies_between_what_the_others_say_and_who_is_told_it_has_no_say(
    rows: list[tuple[float, float]],
) -> None:
    sides = np.ones(len(rows))
    told = turnings(sides, rests([*rows]))[:, 0]
    for at, (_, height) in enumerate(rows):
        others = [rest for other, (rest, _) in enumerate(rows) if other != at]
        assert min(others) - 1e-9 <= -told[at] * height <= max(others) + 1e-9
        changed = turnings(sides, rests([*rows[:at], (9999.0, height), *rows[at + 1 :]]))
        assert changed[at, 0] == pytest.approx(told[at], abs=1e-9)


def test_a_slow_detector_is_judged_like_a_fast_one() -> None:
    fast = track_features(window(walker(1, [4 - 0.8 * at / 30 for at in range(90)])))
    slow = track_features(window(walker(1, [4 - 0.8 * at / 10 for at in range(30)], fps=10)))
    for name in ("toward", "toward_most", "place_start", "growth", "aspect"):
        assert feature(slow, name) == pytest.approx(feature(fast, name), abs=1e-6)


def test_a_look_at_the_very_end_stays_in_the_window() -> None:
    rows = [*walker(1, [2.0] * 80), (2.999, 1, (900.0, 500.0, 980.0, 700.0))]
    found = track_features(window(rows))
    assert feature(found, "seen") == 1
    assert feature(found, "early") == 0


def test_boxes_from_beyond_any_picture_are_left_out() -> None:
    absurd = [(at / 30, 1, (-1e308, -1e308, 1e308, 1e308)) for at in range(90)]
    assert track_features(window(absurd)).shape == (0, len(FEATURES))
    ours = walker(2, [2.0] * 90)
    assert (track_features(window(absurd + ours)) == track_features(window(ours))).all()


def test_slope_needs_five_points() -> None:
    assert slope(np.array([0.0, 1.0, 2.0, 3.0])) == 0
    assert slope(np.array([0.0, 1.0, 2.0, 3.0, 4.0])) == pytest.approx(30)


def test_a_head_for_other_features_is_refused() -> None:
    with pytest.raises(ValueHeadError, match=r"takes 33 features of nanodet"):
        check_value_head(replace(weighing(toward=1), source="nanodet"))
    narrow = head([(np.ones((1, 3)), [0], 0)])
    with pytest.raises(ValueHeadError, match="takes 3 features"):
        value(window([]), narrow)


scores = st.lists(st.none() | st.floats(-30, 30), max_size=12)


@given(scores)
def test_a_window_is_judged_with_its_neighbours(found: list[float | None]) -> None:
    values = steady(found)
    assert len(values) == len(found)
    for at, one in enumerate(found):
        around = [NOBODY if each is None else each for each in found[max(0, at - 1) : at + 2]]
        if one is None:
            assert values[at] == 0
        else:
            assert chance(min(around) - 1e-9) <= values[at] <= chance(max(around) + 1e-9)


@given(scores, st.floats(0, 30), st.integers(0, 11))
def test_a_higher_score_makes_no_window_worth_less(
    found: list[float | None], more: float, which: int
) -> None:
    risen = [one + more if one is not None and at == which else one for at, one in enumerate(found)]
    assert all(after >= before for before, after in zip(steady(found), steady(risen), strict=True))


def test_the_mean_is_of_three_and_of_two_at_the_ends() -> None:
    assert steady([3.0, 0.0, None]) == pytest.approx([chance(1.5), chance((3 + NOBODY) / 3), 0.0])
    assert steady([1.0]) == [chance(1.0)]
    assert steady([]) == []
    assert chance(0.0) == 0.5
    assert chance(None) == 0


def test_a_score_is_bounded_and_none_without_a_person() -> None:
    assert score(window([]), weighing(toward=1)) is None
    fast = window(walker(1, [90.0 - at for at in range(60)]))
    assert value(fast, weighing(toward=32000)) == chance(score(fast, weighing(toward=32000)))
    assert abs(score(fast, weighing(toward=32000)) or 0) <= MOST
