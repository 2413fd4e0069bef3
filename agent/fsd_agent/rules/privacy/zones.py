"""Where in a detection's box a face or a licence plate can be.

Head zone of a person's box (w wide, h high): its top 40 %, and beyond it 15 % of w on either side and 10 % of h
above. Plate band of a vehicle's box: from 45 % of its height down, and beyond it 8 % of w on either side and
8 % of h below. Measured on street images with both detectors' boxes, these zones hold 0.92 of head areas (of
persons of 60 px and more) and 0.92 of car plate bands; tighter ones lose, whole boxes double the painted area.

Who has what. Pedestrians and cyclists have heads, and so have the riders of motorcycles. Cars, trucks, buses and
motorcycles have plates. A box of unknown kind, or of a kind that this version does not know, may be either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.samples import PERSON_KINDS, VEHICLE_KINDS, Kind

HEAD_HEIGHT = 0.40
HEAD_SIDE = 0.15
HEAD_ABOVE = 0.10
PLATE_FROM = 0.45
PLATE_MARGIN = 0.08

_HEADLESS = frozenset(Kind) - PERSON_KINDS - {Kind.UNKNOWN, Kind.MOTORCYCLE}
_PLATELESS = frozenset(Kind) - VEHICLE_KINDS - {Kind.UNKNOWN}


def has_head(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which kinds may show a face, for ``kind`` of shape (n,)."""
    return ~np.isin(kind, [int(one) for one in _HEADLESS])


def has_plate(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which kinds may show a licence plate, for ``kind`` of shape (n,)."""
    return ~np.isin(kind, [int(one) for one in _PLATELESS])


def head_zones(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Head zones of person boxes: (n, 4) to (n, 4), x1, y1, x2, y2 in pixels, not clipped to the picture."""
    x1, y1, x2, y2 = upright(box).T
    width, height = x2 - x1, y2 - y1
    return np.stack(
        [
            x1 - HEAD_SIDE * width,
            y1 - HEAD_ABOVE * height,
            x2 + HEAD_SIDE * width,
            y1 + HEAD_HEIGHT * height,
        ],
        axis=1,
    )


def plate_bands(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Plate bands of vehicle boxes: (n, 4) to (n, 4), x1, y1, x2, y2 in pixels, not clipped to the picture."""
    x1, y1, x2, y2 = upright(box).T
    width, height = x2 - x1, y2 - y1
    return np.stack(
        [
            x1 - PLATE_MARGIN * width,
            y1 + PLATE_FROM * height,
            x2 + PLATE_MARGIN * width,
            y2 + PLATE_MARGIN * height,
        ],
        axis=1,
    )


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
    once: NDArray[np.int32] = np.unique(boxes, axis=0)
    starts_later = (once[:, None, :2] >= once[:, :2]).all(axis=2)
    ends_sooner = (once[:, None, 2:] <= once[:, 2:]).all(axis=2)
    hosts = np.count_nonzero(starts_later & ends_sooner, axis=1)  # each box hosts itself
    alone: NDArray[np.bool_] = hosts == 1
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
