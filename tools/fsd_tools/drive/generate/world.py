"""The road, the light and the ego vehicle's motion, in metres and seconds of the drive.

Road coordinates: ``s`` along the centre line, ``d`` to its left. Traffic keeps right, so the ego lane is at
negative ``d``. World coordinates: x, y on the ground, z up; headings turn left from the x axis, in radians.

The city's story is a row of blocks of ten seconds. In each one the ego vehicle overtakes a cyclist, then brakes for
a pedestrian: at a zebra crossing in even blocks, hard for one who steps out between parked cars in odd ones. Other
stories are scenarios (``script``), which have no blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fsd_firmware.samples import DriveMode
from fsd_tools.drive.generate.course import Course, Floats, Points, value
from fsd_tools.drive.generate.options import BLOCK_S, Daylight, GenerateOptions
from fsd_tools.drive.generate.scenarios import SCENARIOS
from fsd_tools.drive.generate.script import Script

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
HAND_OVER_S = 2.0
"""The driving computer takes over this long after the start, and again after the block of the takeover."""
TAKEOVER_NOTICE_S = 0.6


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
    motion: Motion
    course: Course
    zebras_m: tuple[float, ...]
    """Where zebra crossings are."""
    end_s: float
    """How long the story is; the drive may be cut shorter."""
    blocks: tuple[Block, ...] = ()
    script: Script | None = None

    def night(self, t_s: float) -> float:
        """0 in daylight, 1 at night, between them at dusk."""
        return float(value(self.course.dark, t_s))


def make_world(options: GenerateOptions) -> World:
    """Lay out the drive. All randomness comes from ``options.seed``."""
    rng = np.random.default_rng([options.seed, 1])
    if options.scenario:
        return _staged(options, SCENARIOS[options.scenario], rng)
    blocks = tuple(_block(number, rng) for number in range(math.ceil(options.seconds / BLOCK_S)))
    end_s = len(blocks) * BLOCK_S
    t_s = _grid(end_s)
    d = np.zeros(t_s.shape)
    for block in blocks:
        away = np.clip(np.abs(t_s - block.overtake_s) / 2.6, 0, 1)
        d += 0.6 * (0.5 + 0.5 * np.cos(math.pi * away))
    road, motion = _drive(t_s, _speed(t_s, blocks), d, rng)
    zebras = tuple(crossing_s_m(motion, block) for block in blocks if not block.step_out)
    return World(options, road, motion, _city_course(options, blocks), zebras, end_s, blocks=blocks)


def _staged(options: GenerateOptions, script: Script, rng: np.random.Generator) -> World:
    t_s = _grid(script.seconds)
    speed = _smooth(value(script.speed_mps, t_s), 0.3)
    road, motion = _drive(t_s, speed, _smooth(value(script.aside_m, t_s), 0.8), rng)
    zebras = tuple(float(motion.at(motion.s_m, at_s)) + ahead_m for at_s, ahead_m in script.zebras)
    return World(options, road, motion, script.course, zebras, script.seconds, script=script)


def _grid(end_s: float) -> Floats:
    return np.arange(-1.0, end_s + 1.0, MOTION_STEP_S)


def _drive(t_s: Floats, speed: Floats, aside_m: Floats, rng: np.random.Generator) -> tuple[Road, Motion]:
    """The ego vehicle on a new road, ``aside_m`` to the left of where it drives by itself."""
    s = np.cumsum(speed) * MOTION_STEP_S
    s -= np.interp(0, t_s, s)
    road = Road(float(s[-1]), rng)
    d = EGO_LANE_D_M + 0.06 * np.sin(t_s * 0.9)
    d += aside_m
    slip = np.gradient(d, t_s) / np.maximum(speed, 1.0)
    heading = road.heading(s) + slip
    yaw_rate = _smooth(np.gradient(heading, t_s), 0.1)
    return road, Motion(t_s, s, d, speed, np.gradient(speed, t_s), heading, yaw_rate)


def crossing_s_m(motion: Motion, block: Block) -> float:
    """Where the pedestrian of the block crosses: some metres past where the ego vehicle waits."""
    return float(motion.at(motion.s_m, block.go_s)) + (5.0 if block.step_out else 6.5)


def _city_course(options: GenerateOptions, blocks: tuple[Block, ...]) -> Course:
    """The driving computer drives, but for one takeover that it asks for in the first hard braking."""
    modes = [(0.0, DriveMode.MANUAL), (HAND_OVER_S, DriveMode.ASSISTED)]
    hard = next((block for block in blocks if block.step_out), None)
    asked: tuple[tuple[float, float], ...] = ()
    if hard is not None:
        taken_s = hard.brake_s + 0.5
        asked = ((taken_s - TAKEOVER_NOTICE_S, taken_s),)
        modes += [(taken_s, DriveMode.MANUAL), (hard.go_s + HAND_OVER_S, DriveMode.ASSISTED)]
    return Course(
        modes=tuple((t, mode) for t, mode in modes if t < options.seconds),
        takeover_asked=asked,
        indicating=tuple((block.overtake_s - 3.0, block.overtake_s - 0.6) for block in blocks),
        dark=_dark(options),
    )


def _dark(options: GenerateOptions) -> Points:
    if options.daylight is Daylight.BOTH:
        dusk_s = options.seconds / 2
        return ((dusk_s - DUSK_S / 2, 0.0), (dusk_s + DUSK_S / 2, 1.0))
    return ((0.0, float(options.daylight is Daylight.NIGHT)),)


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
