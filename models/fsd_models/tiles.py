"""Looking at a picture piece by piece, so that what is small in the picture is large in the model's input.

Tiles. Columns by rows of one size that cover the picture, each sharing ``OVERLAP`` of its side with its neighbours: what is cut by one
tile's edge, and smaller than that, is whole in another. Boxes of all tiles are put together and suppressed as one picture's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes, concatenate, no_boxes, suppress
from fsd_models.package import Manifest

OVERLAP = 0.2


class Looks(Protocol):
    """What looks at one tile; :class:`fsd_models.network.Network` does."""

    @property
    def manifest(self) -> Manifest:
        """Of the model."""
        ...

    def detect(self, bgr: NDArray[np.uint8], min_score: float) -> RawBoxes:
        """Boxes in pixels of the tile, the caller's to change. Raises ``ModelRunError``."""
        ...


@dataclass(frozen=True, slots=True)
class Tiling:
    """How many columns and rows; 1 by 1 is the whole picture."""

    columns: int
    rows: int


def spans(length: int, pieces: int) -> list[tuple[int, int]]:
    """Start and end (exclusive) of ``pieces`` of one size that cover ``length`` pixels."""
    if pieces == 1:
        return [(0, length)]
    size = math.ceil(length / (pieces - (pieces - 1) * OVERLAP))
    starts = [round(at * (length - size) / (pieces - 1)) for at in range(pieces)]
    return [(start, start + size) for start in starts]


def look_tiled(model: Looks, bgr: NDArray[np.uint8], min_score: float, tilings: Sequence[Tiling]) -> RawBoxes:
    """Boxes of ``bgr`` (height, width, 3) from all ``tilings`` together, best first. Raises ``ModelRunError``."""
    height, width = bgr.shape[:2]
    found = no_boxes()
    for tiling in tilings:
        for top, bottom in spans(height, tiling.rows):
            for left, right in spans(width, tiling.columns):
                here = model.detect(bgr[top:bottom, left:right], min_score)
                here.box[:, 0::2] += left
                here.box[:, 1::2] += top
                found = concatenate(found, here)
    return suppress(found, model.manifest.thresholds.iou)
