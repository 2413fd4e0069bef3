"""Misses that are planted: a street picture is redacted by the agent's own policy, and then one head or plate is left open.

One that the policy covered (``street.COVERED``) of a person or car at least ``street.TALL_PX`` high is drawn, always the same for a
picture. Every rectangle that touches it is left out, as if nobody had seen who is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.check import Finding, Miss
from fsd_tools.bench.street import COVERED, TALL_PX, Boxes, Heights, StreetPicture

Picture = NDArray[np.uint8]
HEAD, PLATE, NOTHING = "head", "plate", "nothing"
SHOWN_BY: Final = {HEAD: {Miss.HEAD, Miss.FACE}, PLATE: {Miss.PLATE, Miss.PLATE_BAND}}
"""What a checker may call it."""


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """One picture as a checker gets it."""

    what: str
    bgr: Picture
    where: NDArray[np.int32]
    """Regions (n, 4) that are open: the planted one, or where nothing was planted those that the policy left open."""
    of_px: float
    """How high the whole person or car is; 0 where nothing was planted."""

    def shows(self, finding: Finding) -> bool:
        """Whether a finding is about what is open."""
        if self.what != NOTHING and finding.miss not in SHOWN_BY[self.what]:
            return False
        return bool(touches(self.where, np.array(finding.box)).any())


def plant(picture: StreetPicture, bgr: Picture, rectangles: Boxes, seed: int) -> list[Planted]:
    """The redacted picture with nothing planted, then with a head, then with a plate, where there is one to plant."""
    black = np.zeros(bgr.shape[:2], np.bool_)
    for x1, y1, x2, y2 in rectangles.tolist():
        black[y1:y2, x1:x2] = True
    heads, plates = _shares(black, picture.heads), _shares(black, picture.plates)
    left = np.concatenate([picture.heads[~(heads >= COVERED)], picture.plates[~(plates >= COVERED)]])
    made = [Planted(NOTHING, _painted(bgr, rectangles), left, 0.0)]
    rng = np.random.default_rng(seed)
    for what, regions, of_px, shares in (
        (HEAD, picture.heads, picture.head_of_px, heads),
        (PLATE, picture.plates, picture.plate_of_px, plates),
    ):
        at = _drawn(of_px, shares, rng)
        if at is not None:
            kept = rectangles[~touches(rectangles, regions[at])]
            made.append(Planted(what, _painted(bgr, kept), regions[at : at + 1], float(of_px[at])))
    return made


def touches(boxes: NDArray[np.int32], region: NDArray[np.int32] | NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of ``boxes`` (n, 4) share a pixel with ``region`` (4,)."""
    low, high = np.maximum(boxes[:, :2], region[:2]), np.minimum(boxes[:, 2:], region[2:])
    return np.asarray((low < high).all(axis=1), np.bool_)


def _drawn(of_px: Heights, shares: NDArray[np.float64], rng: np.random.Generator) -> int | None:
    candidates = np.flatnonzero((of_px >= TALL_PX) & (shares >= COVERED))
    return int(rng.choice(candidates)) if candidates.size else None


def _painted(bgr: Picture, rectangles: Boxes) -> Picture:
    painted = bgr.copy()
    for x1, y1, x2, y2 in rectangles.tolist():
        painted[y1:y2, x1:x2] = 0
    return painted


def _shares(black: NDArray[np.bool_], regions: Boxes) -> NDArray[np.float64]:
    """NaN for what lies outside of the picture."""
    parts: Sequence[NDArray[np.bool_]] = [
        black[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] for x1, y1, x2, y2 in regions.tolist()
    ]
    return np.array([part.mean() if part.size else np.nan for part in parts], np.float64)
