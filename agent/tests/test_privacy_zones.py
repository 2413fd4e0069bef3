"""Zones by example, and the counted area against counted pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.rules.privacy.zones import (
    has_head,
    has_plate,
    head_zones,
    plate_bands,
    to_pixels,
    union_area,
    without_covered,
)
from fsd_firmware.samples import Kind

BOX = np.array([[100, 200, 140, 300]], np.float32)


def test_the_head_zone_is_the_top_of_the_box_and_a_little_more() -> None:
    np.testing.assert_allclose(head_zones(BOX), [[94, 190, 146, 240]])


def test_the_plate_band_is_the_lower_part_of_the_box_and_a_little_more() -> None:
    np.testing.assert_allclose(plate_bands(BOX), [[96.8, 245, 143.2, 308]], rtol=1e-6)


def test_corners_in_the_other_order_mean_the_same_box() -> None:
    turned = BOX[:, [2, 3, 0, 1]]
    np.testing.assert_array_equal(head_zones(turned), head_zones(BOX))
    np.testing.assert_array_equal(plate_bands(turned), plate_bands(BOX))


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
