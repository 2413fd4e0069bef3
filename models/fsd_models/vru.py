"""Vulnerable road users from plain boxes: who is a cyclist.

The detectors' classes know persons, bicycles and motorcycles but no cyclist, and often call a ridden bicycle a
motorcycle. The rule, for a person box P and a two-wheeler box B (bicycle or motorcycle):

1. side by side they match: the common width is at least ``MIN_ACROSS`` of the narrower of the two;
2. the rider sits above the wheels: P's top is above B's top, and P's bottom is below B's top but at most
   ``MAX_BELOW`` of B's height below B's bottom;
3. the sizes belong together: P's height is ``MIN_HEIGHT`` to ``MAX_HEIGHT`` times B's height.

Each two-wheeler carries one rider: pairs are taken by their common area, largest first. A pair becomes one
cyclist box around both, with the person's score, because a cyclist is first of all a person; a second box on
the same wheels (once a bicycle, once a motorcycle) goes with it. Everything else stays what it was.

A weak two-wheeler is good evidence where a person is seen on top of it: callers look for two-wheelers down to
``EVIDENCE`` of the wanted score, and those below the wanted score are used for this rule alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import Boxes, RawBoxes, intersection, iou
from fsd_models.kinds import ModelKind

MIN_ACROSS = 0.5
MAX_BELOW = 0.3
MIN_HEIGHT = 0.6
MAX_HEIGHT = 4.0
SAME_WHEELS = 0.5
"""Two-wheeler boxes whose intersection over union is above this are one thing."""
EVIDENCE = 0.8
"""Lowered from 1.0 as long as a step of 0.1 brought at least three true cyclists for one false, on pictures that may
be used for it: `docs/models.md` has the table."""


@dataclass(frozen=True, slots=True, eq=False)
class KindBoxes:
    """Boxes with kinds, best score first. All arrays have length n."""

    box: Boxes
    """Shape (n, 4), x1, y1, x2, y2 in pixels."""
    score: NDArray[np.float32]
    kind: NDArray[np.uint8]
    """Values of :class:`ModelKind`, never ``NONE``."""

    def __len__(self) -> int:
        """Count boxes."""
        return int(self.score.shape[0])


def with_cyclists(found: RawBoxes, kind_of_class: NDArray[np.uint8], min_score: float) -> KindBoxes:
    """Kinds of boxes with a score of at least ``min_score``, riders joined with what they ride.

    ``kind_of_class`` has one :class:`ModelKind` a class. ``found`` may hold two-wheelers with lower scores.
    """
    kind = kind_of_class[found.cls]
    persons = np.flatnonzero((kind == ModelKind.PEDESTRIAN) & (found.score >= min_score))
    wheels = np.flatnonzero((kind == ModelKind.BICYCLE) | (kind == ModelKind.MOTORCYCLE))
    box, kind = found.box.copy(), kind.copy()
    kept = (found.score >= min_score) & (kind != ModelKind.NONE)
    same = iou(found.box[wheels], found.box[wheels]) > SAME_WHEELS
    for i, j in pair_riders(found.box[persons], found.box[wheels], same):
        rider, ridden = persons[i], wheels[j]
        box[rider, :2] = np.minimum(box[rider, :2], box[ridden, :2])
        box[rider, 2:] = np.maximum(box[rider, 2:], box[ridden, 2:])
        kind[rider] = ModelKind.CYCLIST
        kept[wheels[same[j]]] = False
    return KindBoxes(box[kept], found.score[kept], kind[kept])


def pair_riders(persons: Boxes, wheels: Boxes, same: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pairs (person, two-wheeler) by the rule of this module; every index at most once.

    ``same`` (wheels, wheels), true on its diagonal, says which two-wheeler boxes are one thing.
    """
    common = np.where(can_ride(persons, wheels), intersection(persons, wheels), 0)
    pairs: list[tuple[int, int]] = []
    while common.size and common.max() > 0:
        i, j = np.unravel_index(int(common.argmax()), common.shape)
        pairs.append((int(i), int(j)))
        common[i, :], common[:, same[j]] = 0, 0
    return pairs


def can_ride(persons: Boxes, wheels: Boxes) -> NDArray[np.bool_]:
    """Shape (persons, wheels): the three conditions, each pair on its own."""
    p, b = persons[:, None, :], wheels[None, :, :]
    across = np.minimum(p[..., 2], b[..., 2]) - np.maximum(p[..., 0], b[..., 0])
    narrower = np.minimum(p[..., 2] - p[..., 0], b[..., 2] - b[..., 0])
    height = b[..., 3] - b[..., 1]
    tall = p[..., 3] - p[..., 1]
    above = (p[..., 1] < b[..., 1]) & (p[..., 3] > b[..., 1])
    rests = p[..., 3] <= b[..., 3] + MAX_BELOW * height
    sized = (tall >= MIN_HEIGHT * height) & (tall <= MAX_HEIGHT * height)
    matches: NDArray[np.bool_] = (across >= MIN_ACROSS * narrower) & above & rests & sized
    return matches
