"""Which pixels of a picture are painted, told by the pixels alone: what a codec makes of a black rectangle, or of cells that are flat.

Cells. Pixelation rounds what a cell shows to every sixteenth level (:mod:`fsd_firmware.pixelate`). So a pixel counts that lies in a small
square in which brightness hardly changes, and next to such a level: of the pixels of a street one in ten does by chance.

*Nearly* painted is said more generously: of what redaction itself saw, where an encoder may blur the edge of a small rectangle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.region import Fill
from fsd_firmware.codec import DecodedFrame
from fsd_firmware.pixelate import STEP

BLACK_MOST: Final = 16
"""In rectangles of our encoder's 1280x720 video 99 % of the pixels stay below 4 inside and below 10 along the edge."""
NEARLY_BLACK: Final = 48
SIDE: Final = 5
"""Of the square; cells have some 12 pixels and more, and an encoder rings along their edges."""
FLAT_MOST: Final = 6
"""Between its darkest and its brightest pixel."""
NEARLY_FLAT: Final = 14
OFF: Final = 1
"""From a level that cells have to the middle between the two."""

Picture = NDArray[np.uint8]
Painted = NDArray[np.bool_]
Extreme = Callable[[Picture, Picture], Picture]


def painted_in(frame: DecodedFrame, fill: Fill, *, nearly: bool = False) -> Painted:
    """Which pixels are painted, or nearly so, (height, width)."""
    if fill is Fill.PIXELATE:
        return cells_of(frame.luma(), NEARLY_FLAT if nearly else FLAT_MOST)
    return black_of(frame.bgr(), NEARLY_BLACK if nearly else BLACK_MOST)


def black_of(bgr: Picture, most: int = BLACK_MOST) -> Painted:
    """Which pixels of ``bgr`` (height, width, 3) are black, (height, width)."""
    black: Painted = bgr.max(axis=2) <= most
    return black


def cells_of(luma: Picture, most: int = FLAT_MOST) -> Painted:
    """Which pixels of ``luma`` (height, width) lie in a cell, (height, width)."""
    cells = np.zeros(luma.shape, np.bool_)
    if min(luma.shape) < SIDE:
        return cells
    high, low = _over(luma, np.maximum), _over(luma, np.minimum)
    middle = (high.astype(np.int16) + low) // 2
    off = np.minimum(middle % STEP, -middle % STEP)
    flat = (high - low <= most) & (off <= OFF)
    height, width = flat.shape
    for down in range(SIDE):
        for across in range(SIDE):
            cells[down : down + height, across : across + width] |= flat
    return cells


def _over(picture: Picture, extreme: Extreme) -> Picture:
    """The extreme of each square of ``SIDE``, (height - SIDE + 1, width - SIDE + 1)."""
    height, width = (side - SIDE + 1 for side in picture.shape)
    rows = picture[:height]
    for down in range(SIDE):
        rows = extreme(rows, picture[down : down + height])
    square = rows[:, :width]
    for across in range(SIDE):
        square = extreme(square, rows[:, across : across + width])
    return square
