"""The code of a clip: from pooled features of a few of its pictures, or, where there are none, from boxes and motion.

Pictures. The mean over the pictures of each feature. Boxes. A soft histogram of what was seen over four groups of kinds
(persons, riders, vehicles, others), place across the picture, height and time in the clip, each box shared between
neighbouring cells; the square root of each cell, so that who stands for long does not outweigh who passes; unit length;
then half as much of the shares of the clip in which the car stood, went slowly, fast, slower, faster. Tracks are not used:
a detector breaks them.

Either vector (n,) is brought to :data:`CODE_BYTES` numbers by a matrix of signs that everybody makes alike
(SHAKE-256 of ``"fsd-novelty-1 <n>"``, bit by bit; Johnson and Lindenstrauss: distances stay nearly what they were), and
these to whole numbers, the largest 127.

The order of rows and the names of tracks do not matter, nor how many pictures a second there are. Nothing is made of too
little: of fewer than :data:`BOXES_LEAST` boxes, of no picture, of numbers that are not finite.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.novelty import CODE_BYTES
from fsd_agent.rules.selection.window import MIN_HEIGHT_PX, Motion, Window, sound_rows
from fsd_firmware.samples import PERSON_KINDS, VEHICLE_KINDS, Kind

BOXES_SOURCE: Final = "boxes@1"
"""The number grows with any change of what a code of boxes is made of."""
BOXES_LEAST: Final = 6
"""As few looks as make a track; less is a flicker."""

ACROSS, TALL, TIMES = 8, 5, 3
"""Cells. Finer ones tell two passes of one drive apart, coarser ones lose true clips."""
SHORTEST, TALLEST = 40.0, 800.0
"""Heights between which the cells lie, in thousandths of the picture's; beyond is the first or the last."""
MOTION_WEIGHT: Final = 0.5

_GROUPS: Final[tuple[Collection[Kind], ...]] = (
    PERSON_KINDS - {Kind.CYCLIST},
    {Kind.CYCLIST, Kind.BICYCLE, Kind.MOTORCYCLE},
    VEHICLE_KINDS - {Kind.MOTORCYCLE},
)
"""What is in none of them is in the last, unnamed one."""

Column = NDArray[np.float64]


def boxes_code(window: Window, kinds: NDArray[np.uint8]) -> bytes | None:
    """Of everything that was seen in one camera; ``kinds`` (n,) are of the window's rows. None: of too little."""
    vector = _boxes_vector(window, kinds)
    return None if vector is None else to_code(vector)


def pictures_code(features: NDArray[np.float32]) -> bytes | None:
    """Of pooled features (pictures, k) of one model and camera. None: of none, or of some that are no numbers."""
    if not features.shape[0] or not np.isfinite(features).all():
        return None
    # In order, so that the sum is the same to the bit.
    ordered = features[np.lexsort(features.T)] if features.shape[1] else features
    return to_code(ordered.astype(np.float64).mean(axis=0))


def to_code(vector: Column) -> bytes | None:
    """See the module; None for a vector of zeros."""
    projected = vector @ _signs(vector.shape[0])
    largest = float(np.abs(projected).max())
    if largest == 0.0:
        return None
    return np.rint(projected * (127 / largest)).astype(np.int8).tobytes()


def _boxes_vector(window: Window, kinds: NDArray[np.uint8]) -> Column | None:
    sound = sound_rows(window)
    box, t_ns, group = window.box[sound], window.t_ns[sound], _group(kinds[sound])
    if box.shape[0] < BOXES_LEAST:
        return None
    order = np.lexsort((group, *box.T, t_ns))
    box, t_ns, group = box[order], t_ns[order], group[order]
    width, high = window.size_px
    height = np.maximum(box[:, 3] - box[:, 1], MIN_HEIGHT_PX)
    cells = np.einsum(
        "ng,nx,nh,nt->gxht",
        np.eye(len(_GROUPS) + 1)[group],
        _shared((box[:, 0] + box[:, 2]) / (2 * width), ACROSS),
        _shared(np.log(height * 1000 / high / SHORTEST) / np.log(TALLEST / SHORTEST), TALL),
        _shared((t_ns - window.start_ns) / (window.end_ns - window.start_ns), TIMES),
    )
    seen = np.sqrt(cells.ravel())
    return np.concatenate([seen / np.linalg.norm(seen), MOTION_WEIGHT * _motion(window)])


def _motion(window: Window) -> Column:
    """Of unit length, or zeros where it is not known at all."""
    motion = window.motion_on_grid()
    shares = np.array([float((motion == kind).mean()) for kind in tuple(Motion)[:5]])
    return shares / max(float(np.linalg.norm(shares)), 1e-9)


def _group(kinds: NDArray[np.uint8]) -> NDArray[np.int64]:
    group = np.full(kinds.shape[0], len(_GROUPS), np.int64)
    for at, members in enumerate(_GROUPS):
        group[np.isin(kinds, list(members))] = at
    return group


def _shared(share: Column, cells: int) -> Column:
    """Shape (n, cells): each value from 0 to 1, limited, is shared between the two cells that it lies between."""
    at = np.clip(share, 0, 1) * (cells - 1)
    parts: Column = np.maximum(0.0, 1 - np.abs(at[:, None] - np.arange(cells)))
    return parts


@lru_cache(maxsize=8)
def _signs(inputs: int) -> Column:
    stream = hashlib.shake_256(f"fsd-novelty-1 {inputs}".encode()).digest(inputs * CODE_BYTES // 8)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8)).reshape(inputs, CODE_BYTES)
    return bits.astype(np.float64) * 2 - 1
