"""What changes during a drive besides places: the light, who drives, what the driver and the planner want.

A number over time is a row of points (seconds of the drive, value) with straight lines between them, constant before
the first and after the last. A thing that is on for a while is a row of spans (from, to).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.samples import DriveMode

Floats = NDArray[np.float64]
Points = tuple[tuple[float, float], ...]
Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Course:
    """One drive's course. All times are seconds of the drive."""

    modes: tuple[tuple[float, DriveMode], ...] = ((0.0, DriveMode.MANUAL),)
    """Who drives from when."""
    takeover_asked: Spans = ()
    """When the driving computer asks the driver to take over."""
    indicating: Spans = ()
    """The left indicator blinks."""
    dark: Points = ((0.0, 0.0),)
    """0 in daylight, 1 at night."""
    hands_nm: Points = ((0.0, 0.0),)
    """Torque of the driver's hands beyond what the road asks of them."""
    wish_mps2: Points = ((0.0, 0.0),)
    """By how much the planner would accelerate more than the car does."""
    wish_per_m: Points = ((0.0, 0.0),)
    """By how much the planner's path bends more to the left than the car's."""
    no_fix: Spans = ()
    """No satellites are seen."""


def value(points: Points, t_s: Floats | float) -> Floats:
    """The number at any times."""
    at, values = zip(*points, strict=True)
    return np.asarray(np.interp(t_s, at, values))


def inside(spans: Spans, t_s: Floats) -> NDArray[np.bool_]:
    """Whether each time lies in one of the spans."""
    return np.asarray(
        np.any([(t_s >= low) & (t_s < high) for low, high in spans], axis=0)
        if spans
        else np.zeros(t_s.shape, np.bool_)
    )
