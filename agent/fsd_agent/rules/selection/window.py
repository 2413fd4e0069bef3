"""What a clip's worth is judged by: boxes of persons with their tracks, and how the car moved. Nothing else.

A :class:`Window` holds them as columns, in any order: what comes of it does not depend on the order. Each track becomes
a :class:`Path`: its looks are put in order of time and laid on a grid of :data:`RATE_HZ`, in between on a straight line,
so that a detector of 5 pictures a second and one of 30 are judged alike.

The place of a person is told in heights of the box, from the middle of the picture: people are about as tall, so this
is the distance from the car's own line in units of 1.7 m, near or far, and what stands ahead of a car that drives
straight on keeps it nearly. Its sign is chosen so that the track lies at more than nothing on the whole, wherever it
is: left and right are judged alike. Velocity is told *toward* the car's line.

Boxes that are not finite, reach beyond :data:`FARTHEST_PX` or have no width or height are left out, and tracks of fewer than :data:`MIN_SAMPLES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 30
MIN_SAMPLES: Final = 6
"""Of a path; less is a flicker."""
MIN_HEIGHT_PX: Final = 4.0
"""A lower box counts as so high: its place in heights would be noise."""
FARTHEST_PX: Final = 1e5
"""No picture is as large; beyond, sums and squares would end."""

Column = NDArray[np.float64]


class Motion(IntEnum):
    """How the car moves."""

    STOPPED = 0
    SLOW = 1
    FAST = 2
    SLOWING = 3
    GAINING = 4
    UNKNOWN = 255


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One camera's boxes of persons within a clip, n of them, and m samples of how the car moved."""

    start_ns: int
    end_ns: int
    size_px: tuple[float, float]
    """Width and height of the picture."""
    t_ns: NDArray[np.int64]
    """Shape (n,), within the window."""
    track: NDArray[np.int64]
    """Shape (n,)."""
    box: Column
    """Shape (n, 4): x1, y1, x2, y2 in pixels."""
    motion_t_ns: NDArray[np.int64]
    """Shape (m,), increasing; a sample is good until the next."""
    motion: NDArray[np.uint8]
    """Shape (m,), of :class:`Motion`."""

    @property
    def samples(self) -> int:
        """Points of the grid that lie in the window."""
        return round((self.end_ns - self.start_ns) * RATE_HZ / 1e9)

    def motion_on_grid(self) -> NDArray[np.uint8]:
        """Shape (samples,)."""
        t_ns = self.start_ns + np.arange(self.samples) * 1_000_000_000 // RATE_HZ
        at = self.motion_t_ns.searchsorted(t_ns, "right") - 1
        known = np.concatenate([self.motion, np.array([Motion.UNKNOWN], np.uint8)])
        return known[at]


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """One track on the grid, k points without a gap."""

    track: int
    first: int
    """Which point of the window's grid is its first."""
    place: Column
    """Shape (k,): heights from the middle; sign as in the module."""
    side: float
    """1 where that is to the right, else -1."""
    log_height: Column
    """Shape (k,): natural logarithm of the height in thousandths of the picture's."""
    aspect: Column
    """Shape (k,): width over height."""
    bottom: Column
    """Shape (k,): lower edge as a share of the picture's height."""

    @property
    def end(self) -> int:
        """Behind its last point."""
        return self.first + int(self.place.shape[0])


def paths(window: Window) -> list[Path]:
    """All tracks that are long enough, by id."""
    sound = sound_rows(window)
    box, track, t_ns = window.box[sound], window.track[sound], window.t_ns[sound]
    # The box last, so that two looks of one moment come in an order of their own.
    order = np.lexsort((*box.T, t_ns, track))
    box, track, t_ns = box[order], track[order], t_ns[order]
    point = (t_ns - window.start_ns).astype(np.float64) * (RATE_HZ / 1e9)
    edges = np.flatnonzero(np.diff(track, prepend=track[:1] - 1, append=track[-1:] + 1))
    found = [
        _path(int(track[low]), point[low:high], box[low:high], window)
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    return [one for one in found if one.place.shape[0] >= MIN_SAMPLES]


def sound_rows(window: Window) -> NDArray[np.bool_]:
    """Shape (n,): which boxes are boxes, and within the window."""
    box = window.box
    # Not a number is not less than anything.
    sound = (np.abs(box) < FARTHEST_PX).all(axis=1) & (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])
    found: NDArray[np.bool_] = sound & (window.t_ns >= window.start_ns) & (window.t_ns < window.end_ns)
    return found


def _path(track: int, point: Column, box: Column, window: Window) -> Path:
    # A look between the last point and the window's end belongs to the last point.
    first, last = (min(round(at), window.samples - 1) for at in (point[0], point[-1]))
    grid = np.arange(first, last + 1)
    x1, y1, x2, y2 = (np.interp(grid, point, corner) for corner in box.T)
    width, high = window.size_px
    height = np.maximum(y2 - y1, MIN_HEIGHT_PX)
    place = ((x1 + x2) / 2 - width / 2) / height
    side = 1.0 if place.mean() >= 0 else -1.0
    return Path(track, first, side * place, side, np.log(height * 1000 / high), (x2 - x1) / height, y2 / high)
