"""Light and air: how bright a thing is where it stands, and how it fades with distance.

Day is a sun from behind the camera; colours are given as in daylight. Night keeps a blue remainder and adds
the vehicle's own headlights and the street lamps, both as smooth bumps on the ground. Colours are (blue,
green, red), 0 to 255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_tools.drive.generate.camera import HEIGHT_M, Camera, Lens
from fsd_tools.drive.generate.course import Floats

Colour = tuple[float, float, float]

DAY_HAZE: Colour = (222, 210, 198)
NIGHT_HAZE: Colour = (48, 34, 30)
DAY_AIR_M, NIGHT_AIR_M = 230.0, 120.0
"""Distance after which haze has taken 63 %."""
NIGHT_REST: Colour = (0.23, 0.17, 0.145)
LAMP_TINT: Colour = (0.50, 0.78, 1.0)
HEADLIGHT_TINT: Colour = (0.92, 0.98, 1.0)
LAMP_RADIUS_M = 6.5
GRID_PX = 8
"""The ground is lit on a grid this coarse and then enlarged: light has no edges."""


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """From ``a`` to ``b``."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share)


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The light of one frame."""

    night: float
    lamps: Floats
    """Lamps near the camera in its ground coordinates, shape (n, 2): forward, left."""

    @property
    def haze(self) -> Colour:
        """What distance fades into."""
        return mix(DAY_HAZE, NIGHT_HAZE, self.night)

    def on(self, forward: float, left: float) -> Colour:
        """Light on a thing that stands there, as factors of its daylight colour."""
        if self.night == 0:
            return (1.0, 1.0, 1.0)
        lamp = 0.0
        if self.lamps.shape[0]:
            away = (self.lamps[:, 0] - forward) ** 2 + (self.lamps[:, 1] - left) ** 2
            lamp = 0.75 * float(np.exp(away / (-2 * LAMP_RADIUS_M**2)).sum())
        beam = _beam(forward, left)
        lit = tuple(
            min(1.0, rest + lamp * warm + beam * cold)
            for rest, warm, cold in zip(NIGHT_REST, LAMP_TINT, HEADLIGHT_TINT, strict=True)
        )
        return mix((1.0, 1.0, 1.0), (lit[0], lit[1], lit[2]), self.night)

    def fade(self, lit: Colour, depth_m: float) -> tuple[Colour, Colour]:
        """What a colour is multiplied with, and what is added, for things without glow at one depth."""
        none, all_ = self.shade((0, 0, 0), lit, depth_m), self.shade((1, 1, 1), lit, depth_m)
        return (all_[0] - none[0], all_[1] - none[1], all_[2] - none[2]), none

    def shade(self, colour: Colour, lit: Colour, depth_m: float, glow: float = 0.0) -> Colour:
        """What the camera sees of ``colour``; ``glow`` is the part that needs no light."""
        if glow and self.night:
            lit = mix(lit, (1.0, 1.0, 1.0), glow)
        air = DAY_AIR_M + (NIGHT_AIR_M - DAY_AIR_M) * self.night
        clear = math.exp(-max(depth_m, 0.0) / air)
        haze = self.haze
        return (
            haze[0] + (colour[0] * lit[0] - haze[0]) * clear,
            haze[1] + (colour[1] * lit[1] - haze[1]) * clear,
            haze[2] + (colour[2] * lit[2] - haze[2]) * clear,
        )


def _beam(forward: float, left: float) -> float:
    if forward < 0.5:
        return 0.0
    width = 1.6 + 0.16 * forward
    return 0.95 * math.exp(-((left / width) ** 2)) * math.exp(-((forward / 38) ** 2))


def light_at(camera: Camera, night: float, lamp_places: Floats) -> Light:
    """Light with the lamps that matter to ``camera``."""
    points = np.column_stack([lamp_places, np.full(lamp_places.shape[0], HEIGHT_M)])
    near = camera.view(points)[:, :2]
    return Light(night, near[(near[:, 0] > -15) & (near[:, 0] < 110)])


class GroundLight:
    """Darkens a drawn ground to the night's light, pixel by pixel."""

    def __init__(self, lens: Lens) -> None:
        columns, rows = lens.width // GRID_PX + 1, lens.height // GRID_PX + 1
        self._u = np.linspace(0, lens.width, columns)
        self._v = np.linspace(0, lens.height, rows)
        self._lens = lens

    def grid(self, camera: Camera, light: Light) -> NDArray[np.uint8]:
        """Factors as (rows, columns, 3), 255 for daylight; enlarge to the picture's size."""
        drop = np.maximum(self._v - camera.horizon_px, 0.5)
        forward = (HEIGHT_M * self._lens.focal_px / drop)[:, None]
        left = (self._lens.centre[0] - self._u)[None, :] * forward / self._lens.focal_px
        lamp = np.zeros((self._v.shape[0], self._u.shape[0]))
        for ahead, side in light.lamps:
            lamp += np.exp(((forward - ahead) ** 2 + (left - side) ** 2) / (-2 * LAMP_RADIUS_M**2))
        width = 1.6 + 0.16 * forward
        beam = 0.95 * np.exp(-((left / width) ** 2) - (forward / 38) ** 2)
        beam *= np.clip((forward - 2.0) / 4.0, 0.35, 1)  # the bonnet hides the nearest metres
        rest, warm, cold = (np.array(c) for c in (NIGHT_REST, LAMP_TINT, HEADLIGHT_TINT))
        lit = rest + 0.75 * lamp[..., None] * warm + beam[..., None] * cold
        clear = np.exp(-forward / NIGHT_AIR_M)[..., None]
        lit = lit * clear + rest * (1 - clear)
        factors = 1 + (np.minimum(lit, 1) - 1) * light.night
        return np.asarray(np.rint(factors * 255), dtype=np.uint8)
