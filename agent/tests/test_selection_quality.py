"""Quality by pictures that are made up: streets of rectangles, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fsd_agent.records.selection_rule import (
    KEEPS_ALL,
    SELECTS_AS_USUAL,
    USUAL,
    Cameras,
    Fault,
    SelectionRule,
    mildest,
)
from fsd_agent.rules.selection.quality import (
    DROPPED_FOR,
    GRID,
    LEAST,
    LEAST_PX,
    LIMITS,
    WIDTH_PX,
    blur,
    faults,
    reason_to_drop,
    shrunk,
)

Pictures = NDArray[np.uint8]
SIZE = (184, 320)
RULES = st.builds(
    SelectionRule, st.frozensets(st.sampled_from(Fault)), st.sampled_from(Cameras), st.booleans()
)


def street(seed: int, count: int = 4) -> Pictures:
    """Rectangles of every brightness; each picture is another place."""
    rng = np.random.default_rng(seed)
    pictures = np.empty((count, *SIZE), np.uint8)
    for picture in pictures:
        picture[:] = 110
        for _ in range(400):
            y, x = int(rng.integers(SIZE[0])), int(rng.integers(SIZE[1]))
            picture[y : y + int(rng.integers(3, 30)), x : x + int(rng.integers(3, 30))] = rng.integers(
                30, 215
            )
    return pictures


def level(pictures: Pictures, gain: float, lift: float) -> Pictures:
    return np.clip(16 + gain * (pictures.astype(np.float32) - 16) + lift, 16, 235).astype(np.uint8)


def smeared(pictures: Pictures, by: int) -> Pictures:
    """Blurred along the rows, as by moving."""
    moved = [np.roll(pictures.astype(np.float32), at, axis=2) for at in range(by)]
    return np.asarray(np.mean(moved, axis=0), np.uint8)


def dirty(pictures: Pictures, share: float, brightness: int = 90) -> Pictures:
    """Something lies on the left of the lens, but for a strip at the top."""
    spoilt = pictures.copy()
    spoilt[:, 24:, : round(share * SIZE[1])] = brightness
    return spoilt


@given(st.integers(0, 2**20))
def test_a_street_by_day_is_good(seed: int) -> None:
    assert faults(street(seed)) == frozenset()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda p: smeared(p, 15), {Fault.BLURRED}),
        (lambda p: smeared(p, 15).transpose(0, 2, 1)[:, :200], {Fault.BLURRED}),
        (lambda p: level(p, 0.0, 1.0), {Fault.BLACK, Fault.DARK}),
        (lambda p: level(p, 0.12, 0.0), {Fault.DARK}),
        (lambda p: level(p, 0.5, 0.0), set()),
        (lambda p: level(p, 3.0, 60.0), {Fault.OVEREXPOSED}),
        (lambda p: np.repeat(p[:1], 4, axis=0), {Fault.FROZEN}),
        (lambda p: dirty(p, 0.4), {Fault.DIRTY}),
        (lambda p: dirty(p, 0.1), set()),
    ],
)
def test_each_fault_is_found_and_no_other(
    spoil: Callable[[Pictures], Pictures], expected: set[Fault]
) -> None:
    assert faults(spoil(street(1))) == expected


def test_night_with_a_lamp_in_it_is_not_black() -> None:
    night = level(street(2), 0.02, 0.0)
    assert faults(night) == {Fault.BLACK, Fault.DARK}
    night[:, 40:52, 200:212] = 200
    assert faults(night) == {Fault.DARK}


def test_dirt_is_none_where_it_is_black_or_blown_as_the_night_or_a_bright_road_are() -> None:
    pictures = street(3)
    assert faults(dirty(pictures, 0.4, round(LIMITS.dead_dark) - 1)) == frozenset()
    assert faults(dirty(pictures, 0.4, round(LIMITS.dead_dark))) == {Fault.DIRTY}
    assert faults(dirty(pictures, 0.4, round(LIMITS.dead_bright) + 1)) == frozenset()
    assert faults(dirty(pictures, 0.4, round(LIMITS.dead_bright))) == {Fault.DIRTY}


def test_dirt_is_none_where_its_brightness_changes() -> None:
    pictures = dirty(street(3), 0.4)
    pictures[1, :, : round(0.4 * SIZE[1])] += round(LIMITS.steady) + 1
    assert faults(pictures) == frozenset()


def test_dirt_is_told_by_day_alone() -> None:
    pictures = np.minimum(dirty(street(3), 0.4), round(LIMITS.day))
    assert faults(pictures) == {Fault.DIRTY}
    assert faults(np.minimum(pictures, round(LIMITS.day) - 1)) == frozenset()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (slice(0, 80), set()),  # The sky, down to where the houses begin
        (slice(24, 80), {Fault.DIRTY}),
        (slice(116, None), set()),  # The road
        (slice(24, 46), set()),
        (slice(86, 115), {Fault.DIRTY}),
    ],
)
def test_what_is_empty_from_the_top_is_sky_and_what_is_below_the_horizon_road(
    rows: slice, expected: set[Fault]
) -> None:
    pictures = street(4)
    pictures[:, rows] = 120
    assert faults(pictures) == expected


def test_a_wall_before_a_car_that_stands_is_no_dirt() -> None:
    still = np.repeat(dirty(street(5), 0.5)[:1], 4, axis=0)
    still[1::2, 100:120, 200:260] += 9  # Somebody moves
    assert faults(still) == frozenset()


def test_a_car_that_drives_past_a_fixed_camera_makes_no_dirt_of_the_wall_behind() -> None:
    still = np.repeat(dirty(street(5), 0.4)[:1], 4, axis=0)
    still[1::2, 100:180, 130:260] = 200
    assert faults(still) == frozenset()


def test_nothing_but_dead_cells_is_no_dirt() -> None:
    wall = np.random.default_rng(0).integers(110, 112, (4, *SIZE), np.uint8)
    wall[1::2] += 5
    assert faults(wall) == frozenset()


def test_a_still_picture_is_frozen_where_the_car_is_known_to_move() -> None:
    still = np.repeat(street(6)[:1], 4, axis=0)
    still[1::2, 60:120, 100:180] += 4
    assert faults(still, moves=False) == frozenset()
    assert faults(still, moves=True) == {Fault.FROZEN}


def test_one_picture_that_differs_is_no_frozen_camera() -> None:
    pictures = street(7)
    pictures[1:] = pictures[1]
    assert faults(pictures) == frozenset()


def test_one_bad_picture_of_four_is_no_fault_and_three_are_one() -> None:
    good, bad = street(8), smeared(street(8), 15)
    one, three = good.copy(), bad.copy()
    one[0], three[0] = bad[0], good[0]
    assert faults(one) == frozenset()
    assert faults(three) == {Fault.BLURRED}


def test_little_contrast_is_no_blur() -> None:
    fog = level(smeared(street(9), 25), 0.3, 60.0)
    assert blur(fog.astype(np.float32)).min() > LIMITS.blurred
    assert faults(fog) == frozenset()


def test_blur_grows_with_the_blur_and_is_1_of_nothing() -> None:
    pictures = street(10)
    found = [float(blur(smeared(pictures, by).astype(np.float32)).mean()) for by in (1, 3, 7, 15)]
    assert found == sorted(found)
    assert blur(np.full((1, *SIZE), 50, np.float32)).tolist() == [1.0]


def test_few_or_tiny_pictures_tell_nothing() -> None:
    pictures = np.zeros((LEAST, *LEAST_PX), np.uint8)
    assert faults(pictures) is not None
    assert faults(pictures[1:]) is None
    assert faults(pictures[:, 1:]) is None
    assert faults(pictures[:, :, 1:]) is None


@given(st.integers(0, 2**20), st.sampled_from([0.02, 0.1, 1.0, 2.5]), st.permutations(range(4)))
def test_left_and_right_and_the_order_of_pictures_do_not_matter(
    seed: int, gain: float, order: list[int]
) -> None:
    pictures = level(street(seed), gain, 0.0)[:, : SIZE[0], : SIZE[1] // GRID[1] * GRID[1]]
    mirrored = pictures[order][:, :, ::-1]
    told_alike = frozenset(Fault) - {Fault.DIRTY}  # Cells begin at the left
    first, second = faults(pictures), faults(mirrored)
    assert first is not None
    assert second is not None
    assert first & told_alike == second & told_alike


@pytest.mark.parametrize(("width", "by"), [(1280, 4), (1242, 3), (768, 2), (320, 1), (100, 1)])
def test_pictures_are_made_small_by_whole_squares(width: int, by: int) -> None:
    luma = np.random.default_rng(0).integers(16, 235, (96, width), np.uint8)
    small = shrunk(luma)
    assert small.shape == (96 // by, width // by)
    assert small.shape[1] < 2 * WIDTH_PX
    assert small[1, 2] == round(float(luma[by : 2 * by, 2 * by : 3 * by].mean()))


BLURRED, BLACK = frozenset({Fault.BLURRED}), frozenset({Fault.BLACK, Fault.DARK})
GOOD: frozenset[Fault] = frozenset()


@pytest.mark.parametrize(
    ("rule", "by_camera", "expected"),
    [
        (SELECTS_AS_USUAL, {"front": GOOD}, None),
        (SELECTS_AS_USUAL, {"front": BLURRED}, (Fault.BLURRED, "front")),
        (SELECTS_AS_USUAL, {"front": BLURRED, "rear": GOOD}, None),
        (SELECTS_AS_USUAL, {"front": BLURRED, "rear": None}, None),
        (SELECTS_AS_USUAL, {"front": BLURRED, "rear": BLACK}, (Fault.BLURRED, "front")),
        (SELECTS_AS_USUAL, {"front": None}, None),
        (SELECTS_AS_USUAL, {"front": frozenset({Fault.DARK})}, None),
        (SELECTS_AS_USUAL, {"front": BLACK | BLURRED}, (Fault.BLACK, "front")),
        (SELECTS_AS_USUAL, {}, None),
        (SelectionRule(cameras=Cameras.ALL), {"front": GOOD, "rear": BLACK}, (Fault.BLACK, "rear")),
        (SelectionRule(cameras=Cameras.ALL), {"front": GOOD, "rear": None}, None),
        (SelectionRule(frozenset({Fault.DARK})), {"front": BLACK}, (Fault.DARK, "front")),
        (KEEPS_ALL, {"front": BLACK | BLURRED}, None),
    ],
)
def test_what_a_clip_is_dropped_for(
    rule: SelectionRule, by_camera: dict[str, frozenset[Fault] | None], expected: tuple[Fault, str] | None
) -> None:
    assert reason_to_drop(rule, by_camera) == expected


def test_every_fault_has_a_reason_of_its_own() -> None:
    assert set(DROPPED_FOR) == set(Fault)
    assert len(set(DROPPED_FOR.values())) == len(Fault)


@given(st.lists(RULES, min_size=1, max_size=4), RULES)
def test_a_clip_of_several_goes_only_where_each_lets_it_go(
    rules: list[SelectionRule], other: SelectionRule
) -> None:
    found = mildest(rules)
    assert found == mildest(reversed(rules))
    for one in rules:
        assert found.reject <= one.reject
        assert found.confirm <= one.confirm
        assert found.cameras is Cameras.ANY or one.cameras is Cameras.ALL
    assert mildest([other]) == other
    assert mildest([other, other]) == other
    assert mildest([*rules, KEEPS_ALL]).reject == frozenset()


def test_a_clip_that_nobody_speaks_for_stays_and_night_is_no_fault() -> None:
    assert mildest([]) == KEEPS_ALL
    assert SelectionRule().reject == USUAL == frozenset(Fault) - {Fault.DARK}
