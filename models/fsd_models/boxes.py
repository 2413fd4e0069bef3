"""Boxes as arrays: overlap, suppression, and joining what was seen in two halves of a picture.

A box is x1, y1, x2, y2 in pixels. All functions take and give float32 of shape (n, 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]

MAX_CANDIDATES = 1000
"""Best-scored boxes that suppression looks at; bounds the pairwise table at 4 MB (as the zoo's reference)."""
CUT_PX = 6.0
"""A box this near to the cut between halves may go on behind it. Measured in the picture's own pixels."""
JOIN_OVERLAP = 0.6
"""Two cut boxes are one object when their heights overlap by this share of the smaller one."""
COVERED = 0.7
"""A cut box with this share of its area inside a whole box of its class is that box's fragment."""


@dataclass(frozen=True, slots=True, eq=False)
class RawBoxes:
    """Boxes of one picture, best score first. All arrays have length n."""

    box: Boxes
    """Shape (n, 4), in pixels of the whole picture and inside it."""
    score: NDArray[np.float32]
    cls: NDArray[np.int32]
    """Index into the manifest's ``classes``."""

    def __len__(self) -> int:
        """Count boxes."""
        return int(self.score.shape[0])

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> RawBoxes:
        """The boxes of ``rows``, an index or a mask."""
        return RawBoxes(self.box[rows], self.score[rows], self.cls[rows])


def no_boxes() -> RawBoxes:
    """Nothing seen."""
    return RawBoxes(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32))


def concatenate(a: RawBoxes, b: RawBoxes) -> RawBoxes:
    """Both, ``a`` first."""
    return RawBoxes(
        np.concatenate([a.box, b.box]),
        np.concatenate([a.score, b.score]),
        np.concatenate([a.cls, b.cls]),
    )


def area(box: Boxes) -> NDArray[np.float32]:
    """Square pixels; zero where a box is empty or inside out."""
    size: NDArray[np.float32] = np.maximum(box[:, 2:] - box[:, :2], 0)
    return size[:, 0] * size[:, 1]


def intersection(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Common area of every pair, shape (len(a), len(b))."""
    common, high = (_shared(a, b, axis) for axis in (0, 1))
    common *= high
    return common


def _shared(a: Boxes, b: Boxes, axis: int) -> NDArray[np.float32]:
    """Common length along x (0) or y (1), shape (len(a), len(b)).

    An axis at a time and in place: of a thousand candidates a third of the time of both at once.
    """
    length: NDArray[np.float32] = np.minimum(a[:, None, axis + 2], b[:, axis + 2])
    length -= np.maximum(a[:, None, axis], b[:, axis])
    return np.maximum(length, 0, out=length)


def iou(a: Boxes, b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of every pair, shape (len(a), len(b)); 0 for empty boxes."""
    common = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - common
    share: NDArray[np.float32] = np.divide(common, union, out=np.zeros_like(common), where=union > 0)
    return share


def suppress(found: RawBoxes, max_iou: float) -> RawBoxes:
    """Class-wise non-maximum suppression: best first, dropping what overlaps a kept box of its class."""
    order = np.argsort(-found.score, kind="stable")[:MAX_CANDIDATES]
    found = found.take(order)
    rivals = (iou(found.box, found.box) > max_iou) & (found.cls[:, None] == found.cls[None, :])
    alive = np.ones(len(found), np.bool_)
    kept = []
    for row in range(len(found)):
        if alive[row]:
            kept.append(row)
            alive &= ~rivals[row]
    return found.take(np.array(kept, np.intp))


def merge_halves(
    left: RawBoxes, right: RawBoxes, *, left_end: float, right_start: float, max_iou: float
) -> RawBoxes:
    """One set from the boxes of two overlapping halves, all in pixels of the whole picture.

    ``left`` saw columns up to ``left_end``, ``right`` from ``right_start`` (< ``left_end``). A box that ends at
    its half's cut may be a part. Two parts, one from each side, whose heights overlap become one box around
    both. A part that lies inside a whole box of its class is dropped. In both cases the better score stays.
    Then suppression as usual.
    """
    left_cut = left.box[:, 2] >= left_end - CUT_PX
    right_cut = right.box[:, 0] <= right_start + CUT_PX
    left, right, left_cut, right_cut = _join_parts(left, right, left_cut, right_cut)
    both, cut = concatenate(left, right), np.concatenate([left_cut, right_cut])
    return suppress(_drop_parts(both, cut), max_iou)


def _drop_parts(found: RawBoxes, cut: NDArray[np.bool_]) -> RawBoxes:
    """Without the cut boxes that lie inside whole ones, which take over their scores."""
    if not cut.any() or cut.all():
        return found
    part, whole = np.flatnonzero(cut), np.flatnonzero(~cut)
    inside = intersection(found.box[part], found.box[whole]) >= COVERED * area(found.box[part])[:, None]
    inside &= found.cls[part][:, None] == found.cls[whole][None, :]
    score = found.score.copy()
    lent = np.where(inside, found.score[part][:, None], 0).max(axis=0)
    score[whole] = np.maximum(score[whole], lent)
    kept = np.ones(len(found), np.bool_)
    kept[part[inside.any(axis=1)]] = False
    return RawBoxes(found.box, score, found.cls).take(kept)


def _join_parts(
    left: RawBoxes, right: RawBoxes, left_cut: NDArray[np.bool_], right_cut: NDArray[np.bool_]
) -> tuple[RawBoxes, RawBoxes, NDArray[np.bool_], NDArray[np.bool_]]:
    """Pair parts of one object, best vertical overlap first; the joined box replaces the left part."""
    top = np.maximum(left.box[:, None, 1], right.box[None, :, 1])
    bottom = np.minimum(left.box[:, None, 3], right.box[None, :, 3])
    height_l, height_r = left.box[:, 3] - left.box[:, 1], right.box[:, 3] - right.box[:, 1]
    shared = (bottom - top) / np.maximum(np.minimum(height_l[:, None], height_r[None, :]), 1e-6)
    fits = left_cut[:, None] & right_cut[None, :] & (left.cls[:, None] == right.cls[None, :])
    shared = np.where(fits, shared, 0)
    box, score = left.box.copy(), left.score.copy()
    whole_left, gone_right = left_cut.copy(), np.zeros(len(right), np.bool_)
    while shared.size and shared.max() >= JOIN_OVERLAP:
        i, j = np.unravel_index(int(shared.argmax()), shared.shape)
        box[i, :2] = np.minimum(left.box[i, :2], right.box[j, :2])
        box[i, 2:] = np.maximum(left.box[i, 2:], right.box[j, 2:])
        score[i] = max(left.score[i], right.score[j])
        whole_left[i], gone_right[j] = False, True
        shared[i, :], shared[:, j] = 0, 0
    return RawBoxes(box, score, left.cls), right.take(~gone_right), whole_left, right_cut[~gone_right]
