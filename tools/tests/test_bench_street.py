"""How `fsdctl bench redact` judges: regions of boxes, shares of pixels, and tallies of pictures."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from fsd_tools.bench.street import REPORTED, SET, StreetPicture, covered, read_street, tally
from fsd_tools.errors import ToolError

NONE = np.empty((0, 4), np.int32)
TABLE = """image,class,x1,y1,x2,y2
b.png,Pedestrian,100,100,200,300
b.png,Car,0,100,200,200
a.png,Cyclist,-50,-100,50,0
c.png,Car,10,10,20,20
"""


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[StreetPicture, ...]:
    (tmp_path / "images").mkdir()
    for name in "abc":
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((400, 600, 3), 9, np.uint8))
    (tmp_path / "boxes.csv").write_text(TABLE, encoding="utf-8")
    return read_street(tmp_path)


def rectangles(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    return np.array(boxes, np.int32).reshape(-1, 4)


def test_regions_are_parts_of_boxes_and_halves_alternate_by_name(pictures: tuple[StreetPicture, ...]) -> None:
    a, b, c = pictures
    assert [one.path.name for one in pictures] == ["a.png", "b.png", "c.png"]
    assert [one.half for one in pictures] == [SET, REPORTED, SET]
    assert (b.heads.tolist(), b.head_of_px.tolist()) == ([[120, 100, 180, 144]], [200])
    assert (b.plates.tolist(), b.plate_of_px.tolist()) == ([[20, 150, 180, 195]], [100])
    assert (len(a.plates), len(c.heads)) == (0, 0)
    assert b.bgr().shape == (400, 600, 3)


@pytest.mark.parametrize(("reach", "share"), [(162, 0.7), (161, 41 / 60), (100, 0.0), (300, 1.0)])
def test_a_region_s_share_is_counted_in_pixels(
    pictures: tuple[StreetPicture, ...], reach: int, share: float
) -> None:
    painted = rectangles((100, 90, reach, 200))
    found = covered(pictures[1], 600, 400, for_heads=painted, for_all=painted)
    assert found.heads.tolist() == pytest.approx([share])
    assert tally([found]).heads == float(share >= 0.7)


def test_a_head_may_be_covered_by_what_was_painted_for_something_else(
    pictures: tuple[StreetPicture, ...],
) -> None:
    everything = rectangles((0, 0, 600, 400))
    found = tally([covered(pictures[1], 600, 400, for_heads=NONE, for_all=everything)])
    assert (found.heads, found.heads_by_own, found.plates) == (1, 0, 1)
    assert (found.filled_for_heads, found.filled, found.every_head) == (0, 1, 1)
    assert (found.head_count, found.plate_count) == (1, 1)


def test_filled_pixels_count_once(pictures: tuple[StreetPicture, ...]) -> None:
    twice = rectangles((0, 0, 300, 400), (0, 0, 300, 200))
    assert covered(pictures[0], 600, 400, for_heads=NONE, for_all=twice).filled == 0.5


def test_what_lies_outside_and_what_is_too_small_is_not_asked_for(
    pictures: tuple[StreetPicture, ...],
) -> None:
    found = [covered(one, 600, 400, for_heads=NONE, for_all=NONE) for one in pictures]
    assert np.isnan(found[0].heads).all()
    whole = tally(found)
    assert (whole.head_count, whole.plate_count, whole.every_head) == (1, 1, 0)
    assert tally(found, 0).plate_count == 2
    assert tally(found, 0, 100).plate_count == 1
    nothing = tally(found, 5000)
    assert nothing.head_count == 0
    assert math.isnan(nothing.heads)


def test_missing_data_and_a_damaged_picture_are_named(
    tmp_path: Path, pictures: tuple[StreetPicture, ...]
) -> None:
    with pytest.raises(ToolError, match=r"boxes\.csv: not found.*FSD_DATA"):
        read_street(tmp_path / "nowhere")
    pictures[0].path.write_bytes(b"no picture")
    with pytest.raises(ToolError, match=r"a\.png: can't be read"):
        pictures[0].bgr()
