"""What is planted is open, and nothing else; who finds it has caught it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsd_agent.records.check import Finding, Miss
from fsd_tools.bench.check import FULL, QUICK, Result, _figures, _result
from fsd_tools.bench.planted import HEAD, NOTHING, PLATE, Planted, plant, touches
from fsd_tools.bench.street import REPORTED, SET, StreetPicture

HEADS = np.array([[10, 10, 20, 20], [60, 10, 70, 20], [80, 10, 82, 12]], np.int32)
PLATES = np.array([[10, 60, 40, 70], [60, 60, 90, 70]], np.int32)
RECTANGLES = np.array([[8, 8, 22, 22], [58, 8, 72, 22], [8, 58, 42, 72], [15, 15, 17, 17]], np.int32)
BGR = np.full((100, 100, 3), 200, np.uint8)


def picture() -> StreetPicture:
    return StreetPicture(
        Path("none.jpg"), REPORTED, HEADS, np.array([80.0, 59.0, 90.0]), PLATES, np.array([60.0, 90.0])
    )


def is_black(planted: Planted, region: np.ndarray) -> bool:
    x1, y1, x2, y2 = region.tolist()
    return not planted.bgr[y1:y2, x1:x2].any()


def test_one_covered_head_and_one_covered_plate_are_opened_each_in_a_picture_of_its_own() -> None:
    """The second person is too small, the third was never covered, nor was the second plate."""
    clean, head, plate = plant(picture(), BGR, RECTANGLES, 1)
    assert [one.what for one in (clean, head, plate)] == [NOTHING, HEAD, PLATE]
    assert is_black(clean, HEADS[0])
    assert not is_black(head, HEADS[0])
    assert head.bgr[16, 16].tolist() == [200, 200, 200]
    assert is_black(head, HEADS[1])
    assert is_black(head, PLATES[0])
    assert not is_black(plate, PLATES[0])
    assert is_black(plate, HEADS[0])
    assert (head.of_px, plate.of_px, clean.of_px) == (80.0, 60.0, 0.0)
    assert head.where.tolist() == [HEADS[0].tolist()]
    assert clean.where.tolist() == [HEADS[2].tolist(), PLATES[1].tolist()]


def test_nothing_is_planted_where_nothing_was_covered() -> None:
    assert [one.what for one in plant(picture(), BGR, np.empty((0, 4), np.int32), 1)] == [NOTHING]


def finding(miss: Miss, box: tuple[float, float, float, float]) -> Finding:
    return Finding("front", 0, miss, "any@1", 0.9, box)


@pytest.mark.parametrize(
    ("miss", "box", "caught"),
    [
        (Miss.HEAD, (5, 5, 30, 60), True),
        (Miss.FACE, (19, 19, 30, 30), True),
        (Miss.FACE, (20, 10, 30, 20), False),
        (Miss.PLATE, (5, 5, 30, 60), False),
    ],
)
def test_a_planted_head_is_caught_by_a_finding_of_its_kind_at_its_place(
    miss: Miss, box: tuple[float, float, float, float], caught: bool
) -> None:
    _, head, _ = plant(picture(), BGR, RECTANGLES, 1)
    assert _result(REPORTED, head, [finding(miss, box)]) == Result(REPORTED, HEAD, 80.0, caught, False)


def test_with_nothing_planted_a_finding_is_a_true_miss_or_a_false_alarm() -> None:
    clean = plant(picture(), BGR, RECTANGLES, 1)[0]
    true, false = finding(Miss.HEAD, (79, 9, 90, 40)), finding(Miss.HEAD, (40, 40, 50, 50))
    assert (_result(SET, clean, []).caught, _result(SET, clean, []).alarm) == (False, False)
    assert (_result(SET, clean, [true]).caught, _result(SET, clean, [true]).alarm) == (True, False)
    assert (_result(SET, clean, [true, false]).caught, _result(SET, clean, [true, false]).alarm) == (
        True,
        True,
    )


def test_touching_needs_a_pixel_in_common() -> None:
    boxes = np.array([[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [9, 9, 12, 12]], np.int32)
    assert touches(boxes, np.array([0, 0, 10, 10])).tolist() == [True, False, False, True]


def test_figures_tell_halves_heights_and_ways_apart() -> None:
    found = [
        Result(REPORTED, HEAD, 70.0, True, False),
        Result(REPORTED, HEAD, 130.0, False, False),
        Result(SET, HEAD, 130.0, True, False),
        Result(REPORTED, PLATE, 100.0, True, False),
        Result(REPORTED, NOTHING, 0.0, False, True),
        Result(REPORTED, NOTHING, 0.0, True, False),
        Result(SET, NOTHING, 0.0, False, False),
    ]
    figures = {one.name: (one.value, one.unit) for one in _figures(QUICK, found)}
    assert figures[f"{QUICK}: planted heads caught"] == (50.0, "% of 2")
    assert figures[f"{QUICK}: planted heads caught, half that it was set on"] == (100.0, "% of 1")
    assert figures[f"{QUICK}: planted heads of 60 to 80 px caught"] == (100.0, "% of 1")
    assert figures[f"{QUICK}: planted heads of 120 px and more caught"] == (0.0, "% of 1")
    assert figures[f"{QUICK}: planted plates caught"] == (100.0, "% of 1")
    assert figures[f"{QUICK}: pictures with a false alarm"] == (50.0, "% of 2")
    assert figures[f"{QUICK}: pictures with a false alarm, half that it was set on"] == (0.0, "% of 1")
    assert figures[f"{QUICK}: pictures in which redaction's own misses were found"] == (50.0, "% of 2")
    assert all(name.startswith(FULL) for name in (one.name for one in _figures(FULL, found)))
