"""How the car moves, from samples of its speed, in the words that clips are coded by.

    stopped    slower than 1 km/h
    gaining    else faster by more than 0.8 m/s2, over the second around the sample
    slowing    else slower by more than that
    slow, fast else; from 25 km/h on it is fast

What is no number, or none of a car, is unknown. The bounds are those of everyday words, not fitted to anything.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.selection.window import Motion

STOPPED_KMH: Final = 1.0
FAST_KMH: Final = 25.0
CHANGES_KMH_A_S: Final = 0.8 * 3.6
BESIDE_NS: Final = 500_000_000
ABSURD_KMH: Final = 1000.0


def motion_of(t_ns: NDArray[np.int64], speed_kmh: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Of each sample, n of them in order of time; :class:`~.window.Motion`."""
    if not t_ns.shape[0]:
        return np.empty(0, np.uint8)
    known = np.abs(speed_kmh) < ABSURD_KMH  # Not a number is not less than anything
    speed = np.abs(np.where(known, speed_kmh, 0.0))
    first = np.searchsorted(t_ns, t_ns - BESIDE_NS)
    last = np.searchsorted(t_ns, t_ns + BESIDE_NS, "right") - 1
    seconds = np.maximum((t_ns[last] - t_ns[first]) / 1e9, 1e-3)
    change = (speed[last] - speed[first]) / seconds
    motion = np.where(speed < FAST_KMH, Motion.SLOW, Motion.FAST)
    motion = np.where(change > CHANGES_KMH_A_S, Motion.GAINING, motion)
    motion = np.where(change < -CHANGES_KMH_A_S, Motion.SLOWING, motion)
    motion = np.where(speed < STOPPED_KMH, Motion.STOPPED, motion)
    return np.where(known, motion, Motion.UNKNOWN).astype(np.uint8)
