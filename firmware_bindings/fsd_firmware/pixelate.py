"""Strong pixelation: a rectangle becomes a few flat cells, each of its mean, and means are rounded.

At most ``CELLS`` cells from side to side and from top to bottom, of some ``SMALLEST_PX`` and more where the rectangle has as many: where the rectangle is a head and a way
around it, a face is some two cells wide. Rounding takes what many frames, in which the cells lie elsewhere on the face, could be put together to.
Of rectangles that overlap the larger one comes later, and is made of what the smaller one left.

Planes of a picture are done one after the other; a plane of half the size has its cells in the same places.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

CELLS: Final = 4
SMALLEST_PX: Final = 12
STEP: Final = 16
"""Between two values that a cell may have, of 256."""


def pairs_of(boxes: NDArray[np.int32], width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right and bottom of each of ``boxes`` (n, 4) in pairs of pixels: clipped to the picture, widened, without empty ones."""
    for x1, y1, x2, y2 in np.clip(boxes, 0, np.array([width, height, width, height])).tolist():
        if x2 > x1 and y2 > y1:
            yield x1 // 2, y1 // 2, (x2 + 1) // 2, (y2 + 1) // 2


def cells_in(
    boxes: NDArray[np.int32], width: int, height: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Edges from top to bottom, and from left to right, of the cells of each of ``boxes``, in pairs of pixels; the largest comes last."""
    pairs = list(pairs_of(boxes, width, height))
    for left, top, right, bottom in sorted(pairs, key=lambda one: (one[2] - one[0]) * (one[3] - one[1])):
        yield cell_edges(top, bottom), cell_edges(left, right)


def cell_edges(start: int, end: int) -> NDArray[np.intp]:
    """Where the cells of ``start`` to ``end`` (exclusive) begin, and ``end``: in pairs of pixels, so that they suit planes of half the size.

    ``start`` and ``end`` are in pairs of pixels too.
    """
    cells = min(max((end - start) * 2 // SMALLEST_PX, 1), CELLS)
    return np.rint(np.linspace(start, end, cells + 1)).astype(np.intp)


def pixelate(plane: NDArray[np.uint8], down: NDArray[np.intp], across: NDArray[np.intp]) -> None:
    """Make the cells between the edges ``down`` and ``across`` flat, in place; ``plane`` is (rows, columns) or (rows, columns, colours)."""
    down, across = np.minimum(down, plane.shape[0]), np.minimum(across, plane.shape[1])
    high, wide = np.diff(down), np.diff(across)
    down, across = down[:-1][high > 0], across[:-1][wide > 0]
    high, wide = high[high > 0], wide[wide > 0]
    if not high.size or not wide.size:
        return
    inside = (slice(down[0], down[-1] + high[-1]), slice(across[0], across[-1] + wide[-1]))
    pixels = plane[inside].astype(np.float64)
    sums = np.add.reduceat(np.add.reduceat(pixels, down - down[0], axis=0), across - across[0], axis=1)
    count = (high[:, None] * wide).reshape(high.size, wide.size, *(1,) * (plane.ndim - 2))
    level = np.minimum(np.rint(sums / count / STEP) * STEP, 255).astype(np.uint8)
    plane[inside] = level.repeat(high, axis=0).repeat(wide, axis=1)
