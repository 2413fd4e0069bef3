"""What is told of each person in a window: numbers that a head weighs (:mod:`~.value`).

| feature | meaning |
| --- | --- |
| ``seen``, ``late``, ``early`` | shares of the window: in which it is there, before it comes, after it went |
| ``toward`` | velocity toward the car's line over the whole window, heights a second |
| ``toward_most``, ``toward_first``, ``toward_last``, ``toward_gain`` | the same by half seconds: the largest, the first, the last, last less first |
| ``toward_moving`` | the largest of half seconds during most of which the car moved |
| ``sets_off`` | largest growth of that velocity at any moment, from the 0.7 s before to the 0.7 s after: somebody who stood walks |
| ``sweep``, ``toward_own`` | what the turning of the picture adds to ``toward``, told from the others (:mod:`~.turning`); ``toward`` less that |
| ``own_most``, ``own_least``, ``own_gain``, ``own_later`` | velocity less the turning, by half seconds: largest, smallest, last less first, mean of the last three less that of the first three; a half second in which nothing is known is as the nearest one |
| ``place_start``, ``place_end``, ``place_least``, ``place_nearest`` | heights from the middle: first, last, smallest, smallest magnitude |
| ``comes``, ``goes`` | how far the place fell from the first to the smallest, rose from the first to the largest |
| ``height_most``, ``height_end`` | natural logarithm of the height in thousandths of the picture's: closeness |
| ``growth`` | of that logarithm a second; one over it is the time to collision |
| ``bottom`` | lowest point, as a share of the picture's height |
| ``aspect``, ``aspect_gain`` | median width over height; mean of the second half less the first: who walks across is wider |
| ``stopped``, ``slow``, ``fast``, ``slowing``, ``gaining`` | shares of the window in which the car moved so |

How much a box's size and shape *vary* is left out on purpose. On JAAD it tells who will cross better than most of these do, but
because people drew the boxes of the persons whom they described more often: a detector's boxes have no such difference.

All are finite and at most :data:`LIMIT` in magnitude. Where nothing can be told (two others, a half second) it is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.selection.turning import moved, turnings
from fsd_agent.rules.selection.window import RATE_HZ, Column, Motion, Path, Window, paths

FEATURES: Final = (
    *("seen", "late", "early"),
    *("toward", "toward_most", "toward_first", "toward_last", "toward_gain", "toward_moving", "sets_off"),
    *("sweep", "toward_own", "own_most", "own_least", "own_gain", "own_later"),
    *("place_start", "place_end", "place_least", "place_nearest", "comes", "goes"),
    *("height_most", "height_end", "growth", "bottom", "aspect", "aspect_gain"),
    *("stopped", "slow", "fast", "slowing", "gaining"),
)
SOURCE: Final = "tracks@2"
"""What a head's ``source`` says that takes these; the number grows with any change of a feature."""
LIMIT: Final = 16.0

BIN: Final = RATE_HZ // 2
BIN_LEAST: Final = 8
"""Points of a half second that a velocity is concluded from."""
FIT_LEAST: Final = 5
BESIDE: Final = 21
"""Points before and after a moment at which somebody may set off: 0.7 s."""
BESIDE_LEAST: Final = 12
MOMENTS: Final = 6
"""Every so many points is a moment."""
WALK_MOST: Final = 1.2
"""Heights a second, 2 m/s: what is faster is no walk, and counts as this."""


def track_features(window: Window) -> Column:
    """Shape (tracks, features), a row for each track that is long enough, by its id."""
    found = paths(window)
    if not found:
        return np.empty((0, len(FEATURES)))
    motion = window.motion_on_grid()
    moves = motion != Motion.STOPPED
    shares = [float((motion == kind).mean()) for kind in tuple(Motion)[:5]]
    sides = np.array([one.side for one in found])
    samples = motion.shape[0]
    over_all, halves = moved(found, samples, samples, FIT_LEAST), moved(found, samples, BIN, BIN_LEAST)
    sides = np.array([one.side for one in found])
    sweep = turnings(sides, over_all)[:, 0]
    own = halves.toward - turnings(sides, halves)
    moving = [bool(moves[low : low + BIN].mean() > 0.5) for low in range(0, samples, BIN)]
    rows = []
    for at, path in enumerate(found):
        toward, known = over_all.toward[at, 0], np.flatnonzero(halves.known[at])
        rows.append(
            [*_presence(path, samples), toward, *_velocities(halves.toward[at], known, moving), sets_off(path.place),
             sweep[at], toward - sweep[at], *_own(own[at], known), *_places(path), *_shape(path), *shares]
        )  # fmt: skip
    return np.clip(np.nan_to_num(np.array(rows, np.float64)), -LIMIT, LIMIT)


def slope(values: Column) -> float:
    """Of the straight line with the least squares, a second; 0 of fewer than :data:`FIT_LEAST` points."""
    count = values.shape[0]
    if count < FIT_LEAST:
        return 0.0
    t_s = (np.arange(count) - (count - 1) / 2) / RATE_HZ
    return float((t_s * (values - values.mean())).sum() / (t_s * t_s).sum())


def sets_off(place: Column) -> float:
    """See the module; never below 0."""
    best = 0.0
    for at in range(BESIDE_LEAST, place.shape[0] - BESIDE_LEAST, MOMENTS):
        before = -slope(place[max(0, at - BESIDE) : at + 1])
        after = -slope(place[at : at + BESIDE + 1])
        best = max(best, min(after, WALK_MOST) - max(before, 0.0))
    return best


def _presence(path: Path, samples: int) -> list[float]:
    return [path.place.shape[0] / samples, path.first / samples, (samples - path.end) / samples]


def _velocities(toward: Column, known: NDArray[np.int64], moving: Sequence[bool]) -> list[float]:
    """Most, first, last, gain, and the most while the car moved; all 0 of a path without a whole half second."""
    if not known.shape[0]:
        return [0.0] * 5
    values = toward[known].tolist()
    while_moving = [value for value, at in zip(values, known.tolist(), strict=True) if moving[at]]
    return [max(values), values[0], values[-1], values[-1] - values[0], max([0.0, *while_moving])]


def _own(own: Column, known: NDArray[np.int64]) -> list[float]:
    """Most, least, gain and how much more later; all 0 of a path without a whole half second."""
    if not known.shape[0]:
        return [0.0] * 4
    nearest = np.abs(np.arange(own.shape[0])[:, None] - known).argmin(axis=1)
    each = own[known[nearest]]
    half = (each.shape[0] + 1) // 2
    later = float(each[-half:].mean() - each[:half].mean())
    return [float(each.max()), float(each.min()), float(each[-1] - each[0]), later]


def _places(path: Path) -> list[float]:
    place = path.place
    least, most = float(place.min()), float(place.max())
    first, last = float(place[0]), float(place[-1])
    return [first, last, least, float(np.abs(place).min()), first - least, most - first]


def _shape(path: Path) -> list[float]:
    half = path.aspect.shape[0] // 2 + 1
    return [
        float(path.log_height.max()),
        float(path.log_height[-1]),
        slope(path.log_height),
        float(path.bottom.max()),
        float(np.median(path.aspect)),
        float(path.aspect[-half:].mean() - path.aspect[:half].mean()),
    ]
