"""Can anything be seen? Judged on small grey pictures of one camera, some tenths of a second apart or more.

A fault is the camera's where :data:`MOST` of the pictures have it: one shaken picture is no fault.

| fault | when |
| --- | --- |
| black | but for the brightest five hundredth, brightness is at most ``black`` |
| frozen | not black, and no picture differs from the one before by more than ``same``; by ``same_moving`` where the car is known to move |
| dark | the median is at most ``dark`` |
| overexposed | more than ``blown_share`` of the lower two thirds (above is sky) is at least ``blown`` |
| blurred | blur of at least ``blurred``, where there is contrast enough to tell |
| dirty | more than ``dead_share`` of the cells around the horizon is dead, while what is in the others goes by; by day |

Blur (F. Crete et al., "The blur effect", SPIE 6492, 2007): the share of the differences between neighbours that is still
there after the picture was blurred once more, 0 sharp to 1. It does not depend on how much there is to see.
A cell is dead that has no detail in any picture, is neither black nor blown, and keeps its brightness: the world goes by,
and dirt on the lens stays. Where the car stands this can't be told from a wall, and isn't. Below the horizon a smooth road is as dead
after a codec, and above it the sky is: there nothing is concluded, and what is without detail from the top edge down is sky.

None of these are told of fewer than :data:`LEAST` pictures or of ones smaller than :data:`LEAST_PX`: nobody can tell, and the
clip is kept. Brightness is luma in video range, 16 black to 235 white; full range moves it by less than a tenth.
The limits were set on one half of real pictures that were spoilt on purpose, and are reported on the other: ``docs/selection.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.selection_rule import Cameras, Fault, SelectionRule

WIDTH_PX: Final = 320
"""Pictures are made about so wide: what a blur of four pixels at 1280 takes away is still told, at a sixteenth of the cost."""
LEAST: Final = 3
LEAST_PX: Final = (90, 160)
"""Rows and columns."""
MOST: Final = 0.75
GRID: Final = (8, 12)
"""Cells, down and across."""
HORIZON: Final = slice(2, 5)
"""Rows of cells in which there is always something to see: a quarter to five eighths of the height."""
BLUR_AGAIN_PX: Final = 9

Pictures = NDArray[np.uint8]
"""Shape (f, h, w)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Brightness and differences are in levels of luma."""

    black: float = 22.0
    """Six above black: sensor noise reaches it, a lamp at the end of the street is far beyond."""
    same: float = 0.1
    """A live sensor's noise alone moves a picture by more, also after a codec (0.8 with a fixed camera on an empty yard)."""
    same_moving: float = 1.0
    """What goes by moves it by 20 and more."""
    dark: float = 30.0
    """Half of the picture is within a sixteenth of black. The darkest of 260 by day has 44."""
    blown: float = 230.0
    blown_share: float = 0.35
    """Up to a quarter by day, with the sun on the road."""
    blurred: float = 0.42
    """0.28 at most by day; 0.46 and more after a blur of 4 px of 1242."""
    contrast: float = 12.0
    """Standard deviation of brightness from which on blur can be told: below, noise is all that differs."""
    day: float = 170.0
    """What the brightest five hundredth has at least where dirt is told. In the dusk a codec takes the road's texture away, and a
    third of the lower half is dead without any dirt."""
    detail: float = 2.0
    """Mean magnitude of the Laplacian in a cell below which it shows nothing."""
    lively: float = 4.0
    """And from which on it shows something."""
    moved: float = 4.0
    """Difference between two pictures, median of the lively cells, from which on the world goes by: 5 and more of a car that
    drives, 2.4 at most of a fixed camera that others drive past."""
    steady: float = 40.0
    """Range of a dead cell's brightness over all pictures: dirt lets some light through."""
    dead_dark: float = 40.0
    dead_bright: float = 220.0
    """Night and a blown road have no detail either, and are no dirt."""
    dead_share: float = 0.12
    """Clean ones have none at all there, real and rendered; a lens that is half dirty has a quarter."""


LIMITS: Final = Limits()


def shrunk(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (h, w) as :func:`faults` wants it: mean over squares, about :data:`WIDTH_PX` wide."""
    by = max(1, luma.shape[1] // WIDTH_PX)
    rows, columns = luma.shape[0] // by, luma.shape[1] // by
    squares = luma[: rows * by, : columns * by].reshape(rows, by, columns, by)
    small: NDArray[np.uint8] = np.rint(squares.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)
    return small


def faults(pictures: Pictures, *, moves: bool = False) -> frozenset[Fault] | None:
    """What is wrong with a camera that showed these, in order; None where that can't be told.

    ``moves``: the car is known to drive all the time.
    """
    if pictures.shape[0] < LEAST or pictures.shape[1] < LEAST_PX[0] or pictures.shape[2] < LEAST_PX[1]:
        return None
    grey = pictures.astype(np.float32)
    change = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))
    brightest = np.percentile(grey, 99.8, axis=(1, 2))
    black, by_day = _most(brightest <= LIMITS.black), _most(brightest >= LIMITS.day)
    same = LIMITS.same_moving if moves else LIMITS.same
    found = {
        Fault.BLACK: black,
        Fault.FROZEN: not black and bool((change <= same).all()),
        Fault.DARK: _most(np.median(grey, axis=(1, 2)) <= LIMITS.dark),
        Fault.OVEREXPOSED: _most(blown_share(grey) > LIMITS.blown_share),
        Fault.BLURRED: _most((blur(grey) >= LIMITS.blurred) & (grey.std(axis=(1, 2)) >= LIMITS.contrast)),
        Fault.DIRTY: by_day and dead_share(grey) > LIMITS.dead_share,
    }
    return frozenset(fault for fault, is_there in found.items() if is_there)


def reason_to_drop(
    rule: SelectionRule, by_camera: Mapping[str, frozenset[Fault] | None]
) -> tuple[Fault, str] | None:
    """The fault that a clip is dropped for and whose it is, or None where it is kept.

    ``by_camera``: of every camera that the clip is to show; None is one that nothing can be told of, and good.
    """
    bad: list[tuple[Fault, str]] = []
    for camera, found in by_camera.items():
        counts = [fault for fault in Fault if fault in rule.reject and found is not None and fault in found]
        bad += [(counts[0], camera)] if counts else []
    spoilt = bool(bad) if rule.cameras is Cameras.ALL else bool(bad) and len(bad) == len(by_camera)
    return bad[0] if spoilt else None


DROPPED_FOR: Final[Mapping[Fault, DropReason]] = {
    Fault.MISSING: DropReason.CAMERA_MISSING,
    Fault.BLACK: DropReason.PICTURE_BLACK,
    Fault.FROZEN: DropReason.PICTURE_FROZEN,
    Fault.DARK: DropReason.PICTURE_DARK,
    Fault.OVEREXPOSED: DropReason.PICTURE_OVEREXPOSED,
    Fault.BLURRED: DropReason.PICTURE_BLURRED,
    Fault.DIRTY: DropReason.LENS_DIRTY,
}


def blown_share(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shape (f,): of the lower two thirds."""
    ground = grey[:, grey.shape[1] // 3 :]
    share: NDArray[np.float64] = (ground >= LIMITS.blown).mean(axis=(1, 2))
    return share


def blur(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shape (f,), 0 to 1; the worse of across and down, for motion blurs one of them. 1 where nothing differs."""
    return np.maximum(_blur_along(grey, 1), _blur_along(grey, 2))


def dead_share(grey: NDArray[np.float32]) -> float:
    """Of the cells around the horizon, those that are dead in all pictures; 0 where the world does not go by."""
    middle = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    detail, bright = _cells(np.abs(4 * middle - around)), _cells(middle)
    change = np.median(_cells(np.abs(np.diff(middle, axis=0))), axis=0)
    lively = (detail >= LIMITS.lively).all(axis=0)
    if not lively.any() or float(np.median(change[lively])) < LIMITS.moved:
        return 0.0
    steady = np.ptp(bright, axis=0) <= LIMITS.steady
    mean = bright.mean(axis=0)
    empty = (detail < LIMITS.detail).all(axis=0)
    sky = np.logical_and.accumulate(empty, axis=0)
    dead = empty & ~sky & steady & (mean >= LIMITS.dead_dark) & (mean <= LIMITS.dead_bright)
    return float(dead[HORIZON].mean())


def _most(is_so: NDArray[np.bool_]) -> bool:
    return bool(is_so.mean() >= MOST)


def _blur_along(grey: NDArray[np.float32], axis: int) -> NDArray[np.float64]:
    before = np.abs(np.diff(grey, axis=axis))
    after = np.abs(np.diff(_smoothed(grey, axis), axis=axis))
    total = before.sum(axis=(1, 2), dtype=np.float64)
    lost = np.maximum(before - after, 0).sum(axis=(1, 2), dtype=np.float64)
    left: NDArray[np.float64] = 1.0 - np.divide(lost, total, out=np.zeros_like(lost), where=total > 0)
    return left


def _smoothed(grey: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Mean over :data:`BLUR_AGAIN_PX` neighbours; the border goes on as it ends."""
    half = BLUR_AGAIN_PX // 2
    padding = [(half + 1, half) if at == axis else (0, 0) for at in range(3)]
    sums = np.cumsum(np.pad(grey, padding, mode="edge"), axis=axis, dtype=np.float64)
    ends, starts = np.arange(BLUR_AGAIN_PX, sums.shape[axis]), np.arange(sums.shape[axis] - BLUR_AGAIN_PX)
    mean = (sums.take(ends, axis) - sums.take(starts, axis)) / BLUR_AGAIN_PX
    return mean.astype(np.float32)


def _cells(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over :data:`GRID`, shape (f, down, across); rows and columns that are left over are left out."""
    rows, columns = values.shape[1] // GRID[0], values.shape[2] // GRID[1]
    whole = values[:, : rows * GRID[0], : columns * GRID[1]]
    means: NDArray[np.float32] = whole.reshape(-1, GRID[0], rows, GRID[1], columns).mean(axis=(2, 4))
    return means
