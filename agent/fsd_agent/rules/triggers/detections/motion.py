"""How a tracked box moves: velocity, growth, closing speed and jitter, from its looks of the last half second.

With the *base* being the track's oldest look within the last :data:`WINDOW_NS`, both ends included, and dt the time
since the base:

========================  ======================================================================================
``vx_px_s``, ``vy_px_s``  change of the middle of the box's lower edge (where it stands), per second
``growth_per_s``          change of the height, as a share of the base's height, per second. One over it is the time to
                          collision with what comes nearer evenly: heights are f H / Z, so dt h0 / (h - h0) = Z / v
``closing_mps``           decrease of the distance per second
``jitter``                how far the centre lies from where the two looks before would have it when moving on
                          evenly, in heights of the box; with even spacing the second difference of the centre
========================  ======================================================================================

The first four are unknown (NaN) where dt is less than :data:`MIN_BASE_NS`, because the noise of two boxes is divided by
it, and jitter where the two looks before are not there or older than :data:`WINDOW_NS`. Nothing is accumulated: the
values come from at most four looks. Sums, products, quotients and square roots only, which IEEE 754 defines to the
last bit, so that they are the same on every machine.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

WINDOW_NS: Final = 500_000_000
"""As long as a frame is good for, see ``looks``."""
MIN_BASE_NS: Final = 100_000_000
EXPECT_STEPS: Final = 3
"""One step is as noisy as two boxes; more than three bring nothing."""
MOTION: Final = ("vx_px_s", "vy_px_s", "growth_per_s", "closing_mps", "jitter")

_NAN: Final = math.nan
Moved = tuple[float, float, float, float, float]
"""Values of :data:`MOTION`; what is not finite is unknown."""


class Box(NamedTuple):
    """A box as it was seen: pixels, and metres or NaN."""

    group: int
    """Kind, or what it counts as in matching."""
    x1: float
    y1: float
    x2: float
    y2: float
    distance_m: float


class _Look(NamedTuple):
    t_ns: int
    middle: float
    centre: float
    lower: float
    height: float
    distance_m: float


@dataclass(slots=True, eq=False)
class Track:
    """One thing that is followed."""

    id: int
    first_ns: int
    last_ns: int
    box: Box
    """Where it was seen last."""
    _looks: deque[_Look] = field(default_factory=deque)
    """Of the last :data:`WINDOW_NS`, oldest first."""

    def expected(self, t_ns: int) -> Box:
        """The box where it is if its centre goes on as between the last looks, :data:`EXPECT_STEPS` steps of them."""
        if len(self._looks) < 2:
            return self.box
        last, first = self._looks[-1], self._looks[-min(len(self._looks), EXPECT_STEPS + 1)]
        share = (t_ns - last.t_ns) / (last.t_ns - first.t_ns)
        across, down = (last.middle - first.middle) * share, (last.centre - first.centre) * share
        group, x1, y1, x2, y2, distance_m = self.box
        return Box(group, x1 + across, y1 + down, x2 + across, y2 + down, distance_m)

    def move(self, t_ns: int, box: Box) -> Moved:
        """Take up the box of the next frame that shows it."""
        looks = self._looks
        self.last_ns, self.box = t_ns, box
        while looks and t_ns - looks[0].t_ns > WINDOW_NS:
            looks.popleft()
        _, x1, y1, x2, y2, distance_m = box
        now = _Look(t_ns, (x1 + x2) / 2, (y1 + y2) / 2, y2, y2 - y1, distance_m)
        jitter = _jitter(looks[-2], looks[-1], now) if len(looks) > 1 else _NAN
        base = looks[0] if looks else now
        looks.append(now)
        if t_ns - base.t_ns < MIN_BASE_NS:
            return _NAN, _NAN, _NAN, _NAN, jitter
        past_s = (t_ns - base.t_ns) / 1e9
        return (
            (now.middle - base.middle) / past_s,
            (now.lower - base.lower) / past_s,
            (now.height - base.height) / past_s / base.height if base.height > 0 else _NAN,
            (base.distance_m - distance_m) / past_s,
            jitter,
        )


def _jitter(earlier: _Look, before: _Look, now: _Look) -> float:
    if not now.height > 0:
        return _NAN
    share = (now.t_ns - before.t_ns) / (before.t_ns - earlier.t_ns)
    across = now.middle - before.middle - (before.middle - earlier.middle) * share
    down = now.centre - before.centre - (before.centre - earlier.centre) * share
    return math.sqrt(across * across + down * down) / now.height
