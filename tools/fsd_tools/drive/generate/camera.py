"""A pinhole camera behind the windscreen.

Camera coordinates: X forward, Y left, Z up, in metres from the lens. Picture coordinates: u right, v down, in
pixels: ``u = cu - f * Y / X``, ``v = cv - f * Z / X``. What lies nearer than ``NEAR_M`` is cut away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fsd_tools.drive.generate.course import Floats
from fsd_tools.drive.generate.world import World

HEIGHT_M = 1.5
NEAR_M = 0.5
FOCAL_SHARE: Mapping[str, float] = {"front": 0.77, "narrow": 2.35}
"""By camera: 66 and 24 degrees across. Of pictures 1,280 px wide the focal lengths are 986 and 3,008 px."""
PITCH_PER_ACCEL = 0.0022
"""Radians of nose-up per m/s^2: the body dives when it brakes."""


@dataclass(frozen=True, slots=True)
class Lens:
    """What doesn't change during the drive."""

    width: int
    height: int
    focal_share: float
    """Focal length over the picture's width."""

    @property
    def focal_px(self) -> float:
        """Focal length."""
        return self.focal_share * self.width

    @property
    def centre(self) -> tuple[float, float]:
        """Where the straight-ahead direction meets the picture when the car is level."""
        return self.width / 2, self.height * 0.46


def lens_of(camera: str, width: int, height: int) -> Lens:
    """The lens of one of the car's cameras."""
    return Lens(width, height, FOCAL_SHARE[camera])


@dataclass(frozen=True, slots=True)
class Camera:
    """The lens at one moment."""

    lens: Lens
    t_s: float
    x_m: float
    y_m: float
    heading_rad: float
    pitch_rad: float
    """Positive with the nose up."""
    s_m: float
    d_m: float

    def view(self, points: Floats) -> Floats:
        """World points of shape (n, 3) in camera coordinates."""
        dx, dy, dz = points[:, 0] - self.x_m, points[:, 1] - self.y_m, points[:, 2] - HEIGHT_M
        c, s = math.cos(self.heading_rad), math.sin(self.heading_rad)
        forward = c * dx + s * dy
        cp, sp = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        out = np.empty_like(points)
        out[:, 0] = cp * forward + sp * dz
        out[:, 1] = c * dy - s * dx
        out[:, 2] = cp * dz - sp * forward
        return out

    def ground(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Forward and left distance of a place, along the ground."""
        dx, dy = x_m - self.x_m, y_m - self.y_m
        c, s = math.cos(self.heading_rad), math.sin(self.heading_rad)
        return c * dx + s * dy, c * dy - s * dx

    def picture(self, viewed: Floats) -> Floats:
        """Pixels, shape (n, 2), of camera points that lie past the near plane."""
        cu, cv = self.lens.centre
        scale = self.lens.focal_px / np.maximum(viewed[:, 0], 1e-3)
        out = np.empty((viewed.shape[0], 2))
        out[:, 0] = cu - viewed[:, 1] * scale
        out[:, 1] = cv - viewed[:, 2] * scale
        return out

    @property
    def horizon_px(self) -> float:
        """Row of the horizon."""
        return self.lens.centre[1] + self.lens.focal_px * math.tan(self.pitch_rad)


def camera_at(world: World, lens: Lens, t_s: float) -> Camera:
    """The camera as the ego vehicle carries it at ``t_s``."""
    motion = world.motion
    s, d = float(motion.at(motion.s_m, t_s)), float(motion.at(motion.d_m, t_s))
    x, y = world.road.place(s, d).tolist()
    heading = float(motion.at(motion.heading_rad, t_s))
    pitch = PITCH_PER_ACCEL * float(motion.at(motion.accel_mps2, t_s))
    return Camera(lens, t_s, x, y, heading, pitch, s, d)


def cut_near(viewed: Floats) -> Floats:
    """A polygon of camera points without what lies nearer than the near plane; maybe nothing."""
    depth = viewed[:, 0]
    if depth.min() >= NEAR_M:
        return viewed
    inside = depth >= NEAR_M
    before = np.roll(viewed, 1, axis=0)
    crossing = inside != np.roll(inside, 1)
    rise = np.where(crossing, depth - before[:, 0], 1.0)
    share = np.where(crossing, (NEAR_M - before[:, 0]) / rise, 0.0)
    both = np.stack([before + (viewed - before) * share[:, None], viewed], axis=1).reshape(-1, 3)
    return np.asarray(both[np.column_stack([crossing, inside]).ravel()])
