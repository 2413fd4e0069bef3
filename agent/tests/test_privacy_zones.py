"""Zones by example, and the counted area against counted pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.region import Strictness
from fsd_agent.rules.privacy.zones import (
    SHAPES,
    has_head,
    has_plate,
    has_rider,
    head_zones,
    overlap,
    overlap_of_pairs,
    plate_bands,
    rider_zones,
    to_pixels,
    union_area,
    without_covered,
)
from fsd_firmware.samples import Kind

BOX = np.array([[100, 200, 140, 300]], np.float32)
CAR = np.array([Kind.CAR], np.uint8)
STANDARD, STRICT = SHAPES[Strictness.STANDARD], SHAPES[Strictness.STRICT]


def test_the_head_zone_is_the_top_of_the_box_and_a_little_more() -> None:
    np.testing.assert_allclose(head_zones(BOX, STANDARD), [[94, 188, 146, 228]])


def test_the_plate_band_is_the_lower_part_of_the_box_and_a_little_more() -> None:
    np.testing.assert_allclose(plate_bands(BOX, CAR, STANDARD), [[98.4, 248, 141.6, 304]], rtol=1e-6)


def test_corners_in_the_other_order_mean_the_same_box() -> None:
    turned = BOX[:, [2, 3, 0, 1]]
    np.testing.assert_array_equal(head_zones(turned, STANDARD), head_zones(BOX, STANDARD))
    np.testing.assert_array_equal(plate_bands(turned, CAR, STANDARD), plate_bands(BOX, CAR, STANDARD))


def test_who_has_a_head_and_who_a_plate() -> None:
    kinds = np.array([*(int(kind) for kind in Kind), 200], np.uint8)
    heads = dict(zip(kinds.tolist(), has_head(kinds).tolist(), strict=True))
    plates = dict(zip(kinds.tolist(), has_plate(kinds).tolist(), strict=True))
    assert {kind for kind, has in heads.items() if has} == {
        Kind.UNKNOWN,
        Kind.PEDESTRIAN,
        Kind.CYCLIST,
        Kind.MOTORCYCLE,
        200,
    }
    assert {kind for kind, has in plates.items() if has} == {
        Kind.UNKNOWN,
        Kind.CAR,
        Kind.TRUCK,
        Kind.BUS,
        Kind.MOTORCYCLE,
        200,
    }


def test_pixels_are_even_cover_the_zone_and_stay_inside() -> None:
    zone = np.array([[3.2, 5.0, 7.1, 9.9], [-50, -50, 1.5, 1.5], [630, 470, 900, 900], [700, 10, 800, 20]])
    assert to_pixels(zone, 640, 480).tolist() == [[2, 4, 8, 10], [0, 0, 2, 2], [630, 470, 640, 480]]


RECTANGLE = st.tuples(*(st.integers(0, 30) for _ in range(4))).map(
    lambda r: (min(r[0], r[2]), min(r[1], r[3]), max(r[0], r[2]) + 1, max(r[1], r[3]) + 1)
)


@settings(max_examples=50, deadline=None)
@given(rectangles=st.lists(RECTANGLE, max_size=8))
def test_overlapping_rectangles_count_once(rectangles: list[tuple[int, int, int, int]]) -> None:
    canvas = np.zeros((40, 40), np.bool_)
    for x1, y1, x2, y2 in rectangles:
        canvas[y1:y2, x1:x2] = True
    assert union_area(np.array(rectangles, np.int32).reshape(-1, 4)) == canvas.sum()


@settings(max_examples=50, deadline=None)
@given(rectangles=st.lists(RECTANGLE, max_size=8))
def test_leaving_out_what_others_cover_covers_the_same(rectangles: list[tuple[int, int, int, int]]) -> None:
    boxes = np.array(rectangles, np.int32).reshape(-1, 4)
    fewer = without_covered(np.concatenate([boxes, boxes]))
    assert union_area(fewer) == union_area(boxes)
    assert len(fewer) <= len(set(rectangles))


def test_a_box_inside_another_is_left_out() -> None:
    boxes = np.array([[0, 0, 10, 10], [2, 2, 8, 10], [2, 2, 8, 12], [0, 0, 10, 10]], np.int32)
    assert without_covered(boxes).tolist() == [[0, 0, 10, 10], [2, 2, 8, 12]]


def test_strict_zones_are_larger() -> None:
    np.testing.assert_allclose(head_zones(BOX, STRICT), [[92, 188, 148, 240]])
    np.testing.assert_allclose(plate_bands(BOX, CAR, STRICT), [[98.4, 248, 141.6, 304]])


def test_strict_paints_whole_boxes_of_what_may_carry_its_plate_high() -> None:
    kinds = np.array(list(Kind), np.uint8)
    many = np.repeat(BOX, len(kinds), axis=0)
    tops = plate_bands(many, kinds, STRICT)[:, 1]
    low = {Kind.CAR, Kind.MOTORCYCLE}
    assert [(kind, top) for kind, top in zip(Kind, tops.tolist(), strict=True)] == [
        (kind, 248 if kind in low else 200) for kind in Kind
    ]
    assert set(plate_bands(many, kinds, STANDARD)[:, 1].tolist()) == {248}


def test_the_rider_zone_reaches_the_height_of_the_wheels_above_them() -> None:
    np.testing.assert_allclose(rider_zones(BOX), [[100, 100, 140, 230]])
    np.testing.assert_allclose(rider_zones(BOX[:, [2, 3, 0, 1]]), [[100, 100, 140, 230]])


def test_bicycles_and_motorcycles_have_riders() -> None:
    kinds = np.array([*Kind, 99], np.uint8)
    assert [int(kind) for kind in kinds[has_rider(kinds)]] == [Kind.BICYCLE, Kind.MOTORCYCLE]


def test_what_is_not_covered_is_in_the_order_of_left_sides_then_of_tops() -> None:
    boxes = np.array([[5, 0, 9, 4], [0, 10, 4, 30], [0, 0, 4, 8], [5, 0, 9, 4]], np.int32)
    assert without_covered(boxes).tolist() == [[0, 0, 4, 8], [0, 10, 4, 30], [5, 0, 9, 4]]


def test_overlap_of_pairs_is_of_those_alone_whatever_corner_came_first() -> None:
    one = np.array([[10, 0, 20, 10], [40, 30, 20, 0], [0, 5, 8, 9]], np.float32)
    other = np.array([[15, 0, 25, 10], [20, 0, 40, 30], [100, 0, 108, 9]], np.float32)
    each = np.arange(3)
    np.testing.assert_allclose(overlap_of_pairs(one, other, each, each), [1 / 3, 1, 0])
    np.testing.assert_allclose(overlap_of_pairs(other, one, each, each), [1 / 3, 1, 0])
    mine, theirs = np.array([1, 0, 0, 2, 1]), np.array([1, 0, 1, 2, 0])
    np.testing.assert_array_equal(
        overlap_of_pairs(one, other, mine, theirs), overlap(one, other)[mine, theirs]
    )
    assert overlap_of_pairs(one[:0], other, each[:0], each[:0]).shape == (0,)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2]])
def test_boxes_that_share_less_than_a_pixel_and_that_share_none(order: list[int]) -> None:
    """Along either side."""
    one = np.array([[0, 0, 10, 10]], np.float32)
    other = np.array([[9.5, 0, 19.5, 10], [10, 0, 20, 10], [14, 0, 24, 10], [14, 14, 24, 24]], np.float32)
    each = np.arange(4)
    expected = [5 / 195, 0, 0, 0]
    np.testing.assert_allclose(overlap(one[:, order], other[:, order]), [expected])
    np.testing.assert_allclose(overlap_of_pairs(one[:, order], other[:, order], 0 * each, each), expected)


def test_a_number_that_is_no_kind_has_a_head_and_a_plate_and_no_rider() -> None:
    """Of whatever nobody knows everything is painted."""
    unknown = np.array([99, 255], np.uint8)
    assert has_head(unknown).all()
    assert has_plate(unknown).all()
    assert not has_rider(unknown).any()


def test_overlap_is_of_every_pair_whatever_corner_came_first() -> None:
    one = np.array([[0, 0, 10, 10], [10, 10, 0, 0], [20, 20, 20, 30]], np.float32)
    other = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [30, 30, 40, 40]], np.float32)
    np.testing.assert_allclose(overlap(one, other), [[1 / 3, 1, 0], [1 / 3, 1, 0], [0, 0, 0]])
    assert overlap(one[:0], other).shape == (0, 3)
