"""`street_eval`: real street pictures with boxes of persons and cars, and how much of their heads and plates is painted.

What must be covered. A person's or cyclist's head is the top 22 % of the box and the middle 60 % of its width; a car's
plate is somewhere between 50 and 95 % of the height and 10 and 90 % of the width. A region is covered when at least 70 % of
its pixels are painted, by whatever rectangle. What lies outside of the picture is not asked for.

Halves. Pictures in the order of their names, alternating: thresholds are set on ``SET``, and reported on ``REPORTED``.
These pictures evaluate; no model is trained on them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_tools.errors import ToolError

COVERED = 0.7
TALL_PX = 60
"""Persons and cars from this height on are asked for."""
SET, REPORTED = 0, 1

Boxes = NDArray[np.int32]
Heights = NDArray[np.float64]
_HEAD = (0.2, 0.0, 0.8, 0.22)
_PLATE = (0.1, 0.5, 0.9, 0.95)
"""x1, y1, x2, y2 as shares of the box."""


@dataclass(frozen=True, slots=True, eq=False)
class StreetPicture:
    """One picture and what must be covered in it."""

    path: Path
    half: int
    heads: Boxes
    """Shape (n, 4), x2 and y2 exclusive, not clipped."""
    head_of_px: Heights
    """Shape (n,): how high the whole person is."""
    plates: Boxes
    plate_of_px: Heights

    def bgr(self) -> NDArray[np.uint8]:
        """The pixels, (height, width, 3). Raises :class:`ToolError`."""
        read = cv2.imread(str(self.path))
        if read is None:
            raise ToolError(f"{self.path}: can't be read as a picture")
        return np.asarray(read, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """How one picture fares; shares are 0 to 1, and NaN for what lies outside of the picture."""

    picture: StreetPicture
    heads: NDArray[np.float64]
    """Shape (n,): painted share of each head, by whatever rectangle."""
    heads_by_own: NDArray[np.float64]
    """The same, by what was painted for heads alone."""
    plates: NDArray[np.float64]
    filled_for_heads: float
    filled: float
    """Shares of the picture."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Many pictures together. Shares are 0 to 1."""

    heads: float
    heads_by_own: float
    plates: float
    filled_for_heads: float
    filled: float
    every_head: float
    """Share of the pictures with a head in which all are covered."""
    head_count: int
    plate_count: int


def read_street(folder: Path) -> tuple[StreetPicture, ...]:
    """All pictures, by name. Raises :class:`ToolError` when there are none."""
    table = folder / "boxes.csv"
    if not table.is_file():
        raise ToolError(
            f"{table}: not found. This benchmark needs `street_eval`; FSD_DATA names the data's folder"
        )
    rows: dict[str, list[tuple[str, list[float]]]] = {}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            box = [float(row[side]) for side in ("x1", "y1", "x2", "y2")]
            rows.setdefault(row["image"], []).append((row["class"], box))
    return tuple(
        _picture(folder / "images" / name, at % 2, rows[name]) for at, name in enumerate(sorted(rows))
    )


def covered(picture: StreetPicture, width: int, height: int, *, for_heads: Boxes, for_all: Boxes) -> Covered:
    """Compare rectangles, (n, 4) with x2 and y2 exclusive, with what must be covered."""
    own, everything = _mask(for_heads, width, height), _mask(for_all, width, height)
    return Covered(
        picture,
        heads=_shares(everything, picture.heads),
        heads_by_own=_shares(own, picture.heads),
        plates=_shares(everything, picture.plates),
        filled_for_heads=float(own.mean()),
        filled=float(everything.mean()),
    )


def tally(pictures: Sequence[Covered], lowest_px: float = TALL_PX, below_px: float = np.inf) -> Tally:
    """Over the persons and cars whose height is in the range."""
    heads = [_within(one.heads, one.picture.head_of_px, lowest_px, below_px) for one in pictures]
    own = [_within(one.heads_by_own, one.picture.head_of_px, lowest_px, below_px) for one in pictures]
    plates = [_within(one.plates, one.picture.plate_of_px, lowest_px, below_px) for one in pictures]
    peopled = [bool((some >= COVERED).all()) for some in heads if some.size]
    return Tally(
        heads=_share(np.concatenate(heads) >= COVERED),
        heads_by_own=_share(np.concatenate(own) >= COVERED),
        plates=_share(np.concatenate(plates) >= COVERED),
        filled_for_heads=float(np.mean([one.filled_for_heads for one in pictures])),
        filled=float(np.mean([one.filled for one in pictures])),
        every_head=_share(np.array(peopled, np.bool_)),
        head_count=sum(some.size for some in heads),
        plate_count=sum(some.size for some in plates),
    )


def heads_of(persons: NDArray[np.float64]) -> Boxes:
    """Heads (n, 4) of persons' boxes (n, 4)."""
    return _part(persons, _HEAD)


def plate_bands_of(cars: NDArray[np.float64]) -> Boxes:
    """Plate bands (n, 4) of cars' boxes (n, 4)."""
    return _part(cars, _PLATE)


def _picture(path: Path, half: int, rows: Sequence[tuple[str, list[float]]]) -> StreetPicture:
    persons = np.array([box for name, box in rows if name != "Car"]).reshape(-1, 4)
    cars = np.array([box for name, box in rows if name == "Car"]).reshape(-1, 4)
    return StreetPicture(
        path,
        half,
        heads=heads_of(persons),
        head_of_px=persons[:, 3] - persons[:, 1],
        plates=plate_bands_of(cars),
        plate_of_px=cars[:, 3] - cars[:, 1],
    )


def _part(box: NDArray[np.float64], share: tuple[float, float, float, float]) -> Boxes:
    low, size = np.tile(box[:, :2], 2), np.tile(box[:, 2:] - box[:, :2], 2)
    part: Boxes = np.rint(low + size * np.array(share)).astype(np.int32)
    return part


def _mask(boxes: Boxes, width: int, height: int) -> NDArray[np.bool_]:
    mask = np.zeros((height, width), np.bool_)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = True
    return mask


def _shares(mask: NDArray[np.bool_], regions: Boxes) -> NDArray[np.float64]:
    seen = [mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] for x1, y1, x2, y2 in regions.tolist()]
    return np.array([part.mean() if part.size else np.nan for part in seen], np.float64)


def _within(
    share: NDArray[np.float64], of_px: Heights, lowest_px: float, below_px: float
) -> NDArray[np.float64]:
    return share[(of_px >= lowest_px) & (of_px < below_px) & ~np.isnan(share)]


def _share(true: NDArray[np.bool_]) -> float:
    """NaN of nothing."""
    return float(true.mean()) if true.size else float("nan")
