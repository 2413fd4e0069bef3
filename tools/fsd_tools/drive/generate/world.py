"""The road, the light and the ego vehicle's motion, in metres and seconds of the drive.

Road coordinates: ``s`` along the centre line, ``d`` to its left. Traffic keeps right, so the ego lane is at
negative ``d``. World coordinates: x, y on the ground, z up; headings turn left from the x axis, in radians.

The story is a row of blocks of ten seconds. In each one the ego vehicle overtakes a cyclist, then brakes for
a pedestrian: at a zebra crossing in even blocks, hard for one who steps out between parked cars in odd ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_tools.drive.generate.options import BLOCK_S, Daylight, GenerateOptions

Floats = NDArray[np.float64]

LANE_M = 3.5
EGO_LANE_D_M = -LANE_M / 2
PARKING_EDGE_D_M = 3.6
KERB_D_M = 5.8
FACADE_D_M = 9.4
KERB_HEIGHT_M = 0.12
MOTION_STEP_S = 0.005
AHEAD_M = 260.0
"""Road that must exist past the end of the drive, so that the last frame has a horizon."""
DUSK_S = 1.5
STEP_OUT_DECELERATION_MPS2 = 6.8
ZEBRA_DECELERATION_MPS2 = 3.0


class Road:
    """A gently winding centre line."""

    STEP_M = 0.5
    BEHIND_M = 60.0

    def __init__(self, length_m: float, rng: np.random.Generator) -> None:
        self._s = np.arange(-self.BEHIND_M, length_m + AHEAD_M, self.STEP_M)
        phases = rng.uniform(0, 2 * math.pi, 2)
        curvature = 0.0028 * np.sin(self._s / 36 + phases[0]) + 0.0018 * np.sin(self._s / 17 + phases[1])
        self._heading = np.cumsum(curvature) * self.STEP_M
        self._heading -= np.interp(0, self._s, self._heading)
        self._x = np.cumsum(np.cos(self._heading)) * self.STEP_M
        self._y = np.cumsum(np.sin(self._heading)) * self.STEP_M

    def heading(self, s: Floats | float) -> Floats:
        """Direction of the centre line."""
        return np.asarray(np.interp(s, self._s, self._heading))

    def place(self, s: Floats | float, d: Floats | float) -> Floats:
        """World x and y, shape (..., 2)."""
        x, y = np.interp(s, self._s, self._x), np.interp(s, self._s, self._y)
        heading = self.heading(s)
        return np.stack([x - d * np.sin(heading), y + d * np.cos(heading)], axis=-1)


@dataclass(frozen=True, slots=True)
class Block:
    """One turn of the story."""

    number: int
    overtake_s: float
    """When the cyclist is passed."""
    brake_s: float
    go_s: float
    step_out: bool
    """A pedestrian between parked cars, not at a zebra."""
    cruise_mps: float

    @property
    def deceleration_mps2(self) -> float:
        """How hard the ego vehicle brakes."""
        return STEP_OUT_DECELERATION_MPS2 if self.step_out else ZEBRA_DECELERATION_MPS2


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The ego vehicle's truth on a regular grid of ``MOTION_STEP_S``; all columns have the same length."""

    t_s: Floats
    s_m: Floats
    d_m: Floats
    speed_mps: Floats
    accel_mps2: Floats
    heading_rad: Floats
    yaw_rate_radps: Floats

    def at(self, column: Floats, t_s: Floats | float) -> Floats:
        """A column at any times of the drive."""
        return np.asarray(np.interp(t_s, self.t_s, column))


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Everything that has no will of its own."""

    options: GenerateOptions
    road: Road
    blocks: tuple[Block, ...]
    motion: Motion

    def night(self, t_s: float) -> float:
        """0 in daylight, 1 at night, between them at dusk."""
        if self.options.daylight is Daylight.BOTH:
            return float(np.clip((t_s - self.options.seconds / 2) / DUSK_S + 0.5, 0, 1))
        return float(self.options.daylight is Daylight.NIGHT)

    def crossing_s_m(self, block: Block) -> float:
        """Where the pedestrian of the block crosses: some metres past where the ego vehicle waits."""
        return float(self.motion.at(self.motion.s_m, block.go_s)) + (5.0 if block.step_out else 6.5)


def make_world(options: GenerateOptions) -> World:
    """Lay out the drive. All randomness comes from ``options.seed``."""
    rng = np.random.default_rng([options.seed, 1])
    blocks = tuple(_block(number, rng) for number in range(math.ceil(options.seconds / BLOCK_S)))
    t_s = np.arange(-1.0, len(blocks) * BLOCK_S + 1.0, MOTION_STEP_S)
    speed = _speed(t_s, blocks)
    s = np.cumsum(speed) * MOTION_STEP_S
    s -= np.interp(0, t_s, s)
    road = Road(float(s[-1]), rng)
    d = EGO_LANE_D_M + 0.06 * np.sin(t_s * 0.9)
    for block in blocks:
        away = np.clip(np.abs(t_s - block.overtake_s) / 2.6, 0, 1)
        d += 0.6 * (0.5 + 0.5 * np.cos(math.pi * away))
    slip = np.gradient(d, t_s) / np.maximum(speed, 1.0)
    heading = road.heading(s) + slip
    motion = Motion(
        t_s, s, d, speed, np.gradient(speed, t_s), heading, _smooth(np.gradient(heading, t_s), 0.1)
    )
    return World(options, road, blocks, motion)


def _block(number: int, rng: np.random.Generator) -> Block:
    start = number * BLOCK_S
    step_out = number % 2 == 1
    return Block(
        number=number,
        overtake_s=start + 4.1 + rng.uniform(-0.2, 0.2),
        brake_s=start + (6.1 if step_out else 5.4),
        go_s=start + 9.0,
        step_out=step_out,
        cruise_mps=9.6 + rng.uniform(-0.4, 0.4),
    )


def _speed(t_s: Floats, blocks: tuple[Block, ...]) -> Floats:
    """Straight lines through the story's turning points, smoothed as a car's pitch and a foot smooth it."""
    slow = 0.7
    at, speed = [t_s[0], 0.0], [7.0, 7.5]
    for block in blocks:
        rise = at[-1] + (block.cruise_mps - speed[-1]) / 2.4
        stop = block.brake_s + (block.cruise_mps - slow) / block.deceleration_mps2
        at += [rise, block.brake_s, stop, block.go_s]
        speed += [block.cruise_mps, block.cruise_mps, slow, slow]
    return _smooth(np.interp(t_s, at, speed), 0.3)


def _smooth(values: Floats, window_s: float) -> Floats:
    n = round(window_s / MOTION_STEP_S) | 1
    padded = np.pad(values, n // 2, mode="edge")
    return np.convolve(padded, np.full(n, 1 / n), mode="valid")
