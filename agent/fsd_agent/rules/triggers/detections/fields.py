"""Numeric fields of a detection (:data:`~fsd_agent.records.nodes.FIELDS`), computed when a condition asks for them.

``docs/campaigns.md`` has the table of fields with units. What is derived here needs the box alone, or the box and what
following it gave (see :mod:`~.tracks` and :mod:`~.motion`). NaN is unknown, except in a field that always comes with a
detection. Sums, products, quotients and square roots only: the same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.detections.motion import MOTION
from fsd_agent.rules.triggers.detections.tracks import Tracked
from fsd_agent.rules.triggers.expressions.values import Column

MIN_GROWTH_PER_S: Final = 0.1
"""Least growth that a time to collision is concluded from: 10 s. Below it the noise of a box is as large."""

_ARCTAN: Final = (
    0.9999993329,
    -0.3332985605,
    0.1994653599,
    -0.1390853351,
    0.0964200441,
    -0.0559098861,
    0.0218612288,
    -0.0040540580,
)
"""arctan(x) / x in powers of x * x, for x of 0 to 1, to 2e-8 (Hastings, Approximations for Digital Computers, 1955,
sheet 13; Abramowitz and Stegun 4.4.49). numpy's own differs in the last bit from processor to processor."""


def field_column(part: Tracked, name: str) -> Column:
    """A numeric field of every box of ``part``, shape (n,)."""
    if name in MOTION:
        return part.motion[:, MOTION.index(name)]
    with np.errstate(all="ignore"):  # Empty boxes divide by zero, and what comes of it is unknown.
        column = _COLUMNS[name](part) if name in _COLUMNS else getattr(part.seen, name)
    return column.astype(np.float64)


def _corner(at: int) -> Callable[[Tracked], Column]:
    return lambda part: part.seen.box[:, at].astype(np.float64)


def _side(low: int) -> Callable[[Tracked], Column]:
    return lambda part: _corner(low + 2)(part) - _corner(low)(part)


def _centre(axis: int) -> Callable[[Tracked], Column]:
    def share(part: Tracked) -> Column:
        return (_corner(axis)(part) + _corner(axis + 2)(part)) / 2 / part.size_px[axis]

    return share


def _dwell(part: Tracked) -> Column:
    return (part.seen.frame_t_ns[part.seen.frame] - part.first_ns) / 1e9


def _speed(part: Tracked) -> Column:
    vx, vy = field_column(part, "vx_px_s"), field_column(part, "vy_px_s")
    return np.sqrt(vx * vx + vy * vy)


def _direction(part: Tracked) -> Column:
    """0 is to the right, 90 up, 180 to the left, 270 down; to a thousandth. Unknown of what stands."""
    right, up = field_column(part, "vx_px_s"), -field_column(part, "vy_px_s")
    long, short = np.maximum(np.abs(right), np.abs(up)), np.minimum(np.abs(right), np.abs(up))
    ratio = short / long
    square, total = ratio * ratio, np.zeros(ratio.shape)
    for factor in reversed(_ARCTAN):
        total = total * square + factor
    angle = total * ratio * (180 / np.pi)
    angle = np.where(np.abs(up) > np.abs(right), 90 - angle, angle)
    angle = np.where(right < 0, 180 - angle, angle)
    angle = np.rint(np.where(up < 0, 360 - angle, angle) * 1000) / 1000
    return np.where(angle >= 360, 0.0, angle)


def _lateral(part: Tracked) -> Column:
    height = field_column(part, "height_px")
    return field_column(part, "vx_px_s") / np.where(height > 0, height, np.nan)


def _ttc(part: Tracked) -> Column:
    """As the source knows it, else from distances, else from growth."""
    given = part.seen.ttc_s.astype(np.float64)
    closing, growth = field_column(part, "closing_mps"), field_column(part, "growth_per_s")
    near = np.where(closing > 0, part.seen.distance_m / closing, np.nan)
    grows = np.where(np.isnan(closing) & (growth > MIN_GROWTH_PER_S), 1 / growth, np.nan)
    return np.where(np.isnan(given), np.where(np.isnan(near), grows, near), given)


_COLUMNS: Final[dict[str, Callable[[Tracked], NDArray[np.float64] | NDArray[np.int64]]]] = {
    "x1": _corner(0),
    "y1": _corner(1),
    "x2": _corner(2),
    "y2": _corner(3),
    "width_px": _side(0),
    "height_px": _side(1),
    "center_x": _centre(0),
    "center_y": _centre(1),
    "track_id": lambda part: part.track,
    "dwell_s": _dwell,
    "speed_px_s": _speed,
    "direction_deg": _direction,
    "lateral_heights_s": _lateral,
    "ttc_s": _ttc,
}
