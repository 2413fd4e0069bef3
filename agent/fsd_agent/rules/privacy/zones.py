"""Where in a detection's box a face or a licence plate can be.

Head zone of a person's box (w wide, h high): its upper part, and beyond it a share of w on either side and of h above.
Plate band of a vehicle's box: from a share of its height down, and beyond it a margin of w on either side and of h below.
Rider zone of a bicycle's or motorcycle's box: as wide, from its height above it to 30 % of its height below its top; whoever
rides it is there, also where no person was found. The shares are those of :data:`SHAPES`, by the region's strictness;
docs/privacy.md has what they cover on street images and what they fill.

Who has what. Pedestrians and cyclists have heads, and so have the riders of motorcycles. Cars, trucks, buses and
motorcycles have plates. A box of unknown kind, or of a kind that this version does not know, may be either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.region import Strictness
from fsd_firmware.samples import PERSON_KINDS, VEHICLE_KINDS, Kind


@dataclass(frozen=True, slots=True)
class Shape:
    """How zones are cut out of boxes; shares of the box's width and height."""

    head_height: float
    head_side: float
    head_above: float
    plate_from: float
    plate_margin: float
    high_plates: bool
    """Whether whatever is no car and no motorcycle is painted from its top: trucks and buses carry plates anywhere."""
    riders: bool
    """Whether there is a rider zone above every bicycle and motorcycle."""


SHAPES: Mapping[Strictness, Shape] = {
    Strictness.STANDARD: Shape(
        head_height=0.28,
        head_side=0.15,
        head_above=0.12,
        plate_from=0.48,
        plate_margin=0.04,
        high_plates=False,
        riders=False,
    ),
    Strictness.STRICT: Shape(
        head_height=0.40,
        head_side=0.20,
        head_above=0.12,
        plate_from=0.48,
        plate_margin=0.04,
        high_plates=True,
        riders=True,
    ),
}
RIDER_ABOVE, RIDER_BELOW = 1.0, 0.3

_WHEELS = frozenset({Kind.BICYCLE, Kind.MOTORCYCLE})
_LOW_PLATED = frozenset({Kind.CAR, Kind.MOTORCYCLE})
_HEADLESS = frozenset(Kind) - PERSON_KINDS - {Kind.UNKNOWN, Kind.MOTORCYCLE}
_PLATELESS = frozenset(Kind) - VEHICLE_KINDS - {Kind.UNKNOWN}


_NUMBERS = np.array(range(256), np.uint8)


def _table(kinds: frozenset[Kind]) -> NDArray[np.bool_]:
    """Whether a number is one of these kinds, for each that fits into a column: a tenth of what ``numpy.isin`` takes for so few boxes."""
    return np.isin(_NUMBERS, list(kinds))


_IS_HEADLESS, _IS_PLATELESS, _IS_WHEELS = _table(_HEADLESS), _table(_PLATELESS), _table(_WHEELS)
_IS_LOW_PLATED = _table(_LOW_PLATED)


def has_head(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which kinds may show a face, for ``kind`` of shape (n,)."""
    return ~_IS_HEADLESS[kind]


def has_plate(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which kinds may show a licence plate, for ``kind`` of shape (n,)."""
    return ~_IS_PLATELESS[kind]


def has_rider(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which kinds may have a rider above them, for ``kind`` of shape (n,)."""
    return _IS_WHEELS[kind]


def head_zones(box: NDArray[np.float32], shape: Shape) -> NDArray[np.float64]:
    """Head zones of person boxes: (n, 4) to (n, 4), x1, y1, x2, y2 in pixels, not clipped to the picture."""
    x1, y1, x2, y2 = upright(box).T
    width, height = x2 - x1, y2 - y1
    return np.stack(
        [
            x1 - shape.head_side * width,
            y1 - shape.head_above * height,
            x2 + shape.head_side * width,
            y1 + shape.head_height * height,
        ],
        axis=1,
    )


def plate_bands(box: NDArray[np.float32], kind: NDArray[np.uint8], shape: Shape) -> NDArray[np.float64]:
    """Plate bands of vehicle boxes: (n, 4) to (n, 4), x1, y1, x2, y2 in pixels, not clipped to the picture."""
    x1, y1, x2, y2 = upright(box).T
    width, height = x2 - x1, y2 - y1
    whole = ~_IS_LOW_PLATED[kind] & shape.high_plates
    return np.stack(
        [
            x1 - shape.plate_margin * width,
            np.where(whole, y1, y1 + shape.plate_from * height),
            x2 + shape.plate_margin * width,
            y2 + shape.plate_margin * height,
        ],
        axis=1,
    )


def rider_zones(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rider zones of boxes of wheels: (n, 4) to (n, 4), x1, y1, x2, y2 in pixels, not clipped to the picture."""
    x1, y1, x2, y2 = upright(box).T
    height = y2 - y1
    return np.stack([x1, y1 - RIDER_ABOVE * height, x2, y1 + RIDER_BELOW * height], axis=1)


def upright(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, 4) to (n, 4): x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, whatever corner came first."""
    wide = box.astype(np.float64)
    return np.concatenate(
        [np.minimum(wide[:, :2], wide[:, 2:]), np.maximum(wide[:, :2], wide[:, 2:])], axis=1
    )


def to_pixels(zone: NDArray[np.float64], width: int, height: int) -> NDArray[np.int32]:
    """Whole even pixels that cover ``zone`` inside the picture; what lies outside of it is left out.

    Even, because chroma of 4:2:0 video is shared by two by two pixels: (m, 4) with x2, y2 exclusive, m <= n.
    """
    limit = np.array([width, height, width, height], np.float64)
    clipped = np.clip(zone, 0.0, limit)
    low = np.floor(clipped[:, :2] / 2) * 2
    high = np.minimum(np.ceil(clipped[:, 2:] / 2) * 2, limit[2:])
    pixels = np.concatenate([low, high], axis=1).astype(np.int32)
    seen: NDArray[np.bool_] = (pixels[:, 2] > pixels[:, 0]) & (pixels[:, 3] > pixels[:, 1])
    return pixels[seen]


def without_covered(boxes: NDArray[np.int32]) -> NDArray[np.int32]:
    """``boxes`` (n, 4) without those that lie inside another one, and each only once."""
    ordered = boxes[np.lexsort(boxes.T[::-1])]
    fresh = np.ones(ordered.shape[0], np.bool_)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    once: NDArray[np.int32] = ordered[fresh]
    # A side at a time: a table of all four at once takes five times as long.
    left, top, right, bottom = once.T
    inside = (left[:, None] >= left) & (top[:, None] >= top)
    inside &= (right[:, None] <= right) & (bottom[:, None] <= bottom)
    alone: NDArray[np.bool_] = np.count_nonzero(inside, axis=1) == 1  # each box hosts itself
    return once[alone]


def union_area(boxes: NDArray[np.int32]) -> int:
    """Pixels that at least one of ``boxes`` (n, 4) covers, by coordinate compression."""
    if not boxes.shape[0]:
        return 0
    xs, ys = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    covered = np.zeros((ys.size - 1, xs.size - 1), np.bool_)
    lefts, rights = np.searchsorted(xs, boxes[:, 0]), np.searchsorted(xs, boxes[:, 2])
    tops, bottoms = np.searchsorted(ys, boxes[:, 1]), np.searchsorted(ys, boxes[:, 3])
    for left, right, top, bottom in zip(lefts, rights, tops, bottoms, strict=True):
        covered[top:bottom, left:right] = True
    cell = np.diff(ys)[:, None].astype(np.int64) * np.diff(xs).astype(np.int64)
    return int(cell[covered].sum())


def overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of every pair of boxes, (n, 4) and (m, 4) to (n, m); 0 where neither has an area."""
    a, b = upright(one), upright(other)
    return _share(_common(a[:, None], b), _area(a)[:, None], _area(b))


def overlap_of_pairs(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    mine: NDArray[np.intp],
    theirs: NDArray[np.intp],
) -> NDArray[np.float64]:
    """The same of some pairs: rows ``mine`` of the first and ``theirs`` of the second, (k,) each, to (k,)."""
    a, b = upright(one), upright(other)
    return _share(_common(a[mine], b[theirs]), _area(a)[mine], _area(b)[theirs])


def _share(
    common: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]
) -> NDArray[np.float64]:
    share: NDArray[np.float64] = common / np.maximum(one + other - common, 1e-9)
    return share


def _common(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area that is in both, of upright boxes (..., 4)."""
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    common: NDArray[np.float64] = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return common


def _area(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of upright boxes (..., 4)."""
    area: NDArray[np.float64] = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])
    return area
