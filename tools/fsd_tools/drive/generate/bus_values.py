"""What the vehicle's control units would say at any moment: one function a message of ``fsd_demo.dbc``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fsd_firmware.samples import DriveMode, Kind
from fsd_tools.drive.generate.actors import CORRIDOR_M, Actor
from fsd_tools.drive.generate.world import Floats, World

WHEELBASE_M, TRACK_M, STEERING_RATIO = 2.9, 1.6, 14.5
BUMPER_M = 1.9
"""From the lens to the front of the car."""
NO_OBSTACLE_M, NO_GAP_MS = 250.0, 16_000.0
WARNING_GAP_MS = 1800.0
EMERGENCY_MPS2 = -5.5
BLINK_S = 0.35
TAKEOVER_NOTICE_S = 0.6
ODOMETER_KM = 18_204.0
HAND_OVER_S = 2.0
"""The driving computer takes over this long after the start, and again after the block of the takeover."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Times of a message's frames and the motion at them; all columns have the same length."""

    world: World
    actors: tuple[Actor, ...]
    t_s: Floats
    speed_mps: Floats
    accel_mps2: Floats
    yaw_rate_radps: Floats

    def flag(self, on: np.typing.NDArray[np.bool_] | bool) -> Floats:
        """A 0/1 column."""
        return np.broadcast_to(np.asarray(on, np.float64), self.t_s.shape)


Values = dict[str, Floats]


def values_of(name: str, world: World, actors: tuple[Actor, ...], t_s: Floats) -> Values:
    """Physical values of every signal but ``COUNTER`` of the message ``name``, at ``t_s``.

    Raises ``KeyError`` for a message that nobody here speaks.
    """
    m = world.motion
    speed, accel, yaw = (m.at(column, t_s) for column in (m.speed_mps, m.accel_mps2, m.yaw_rate_radps))
    return _SPEAKERS[name](Moments(world, actors, t_s, speed, accel, yaw))


def _inertial(at: Moments) -> Values:
    return {
        "YAW_RATE": np.degrees(at.yaw_rate_radps),
        "ACCEL_LONG": at.accel_mps2,
        "ACCEL_LAT": at.speed_mps * at.yaw_rate_radps,
    }


def _accelerator(at: Moments) -> Values:
    return {"PEDAL": np.clip(np.where(at.accel_mps2 > -0.2, 12 * at.accel_mps2 + at.speed_mps, 0), 0, 100)}


def _brake(at: Moments) -> Values:
    pedal: Floats = np.clip(-at.accel_mps2 - 0.3, 0, 10) * 10
    return {
        "PEDAL": pedal,
        "PRESSURE": pedal * 1.4,
        "PEDAL_PRESSED": at.flag(pedal > 1),
        "ABS_ENGAGED": at.flag(False),
        "EBA_ENGAGED": at.flag(at.accel_mps2 < EMERGENCY_MPS2),
    }


def _wheels(at: Moments) -> Values:
    half = at.yaw_rate_radps * TRACK_M / 2
    left, right = (at.speed_mps - half) * 3.6, (at.speed_mps + half) * 3.6
    return {"FRONT_LEFT": left, "FRONT_RIGHT": right, "REAR_LEFT": left, "REAR_RIGHT": right}


def _speed(at: Moments) -> Values:
    return {"SPEED": at.speed_mps * 3.6, "STANDSTILL": at.flag(at.speed_mps < 0.05)}


def _stability(at: Moments) -> Values:
    return {"ESC_ENGAGED": at.flag(False), "TCS_ENGAGED": at.flag(False)}


def _transmission(at: Moments) -> Values:
    return {"GEAR": at.flag(True)}


def _motor(at: Moments) -> Values:
    warm = np.full(at.t_s.shape, 62.0)
    return {"RPM": at.speed_mps * 260, "TORQUE": at.accel_mps2 * 150 + 20, "TEMPERATURE": warm}


def mode_changes(world: World) -> tuple[tuple[float, DriveMode], ...]:
    """Who drives from when: a person, the driving computer, and one takeover in the first hard braking."""
    changes = [(0.0, DriveMode.MANUAL), (HAND_OVER_S, DriveMode.ASSISTED)]
    hard = next((block for block in world.blocks if block.step_out), None)
    if hard is not None:
        changes += [(hard.brake_s + 0.5, DriveMode.MANUAL), (hard.go_s + HAND_OVER_S, DriveMode.ASSISTED)]
    return tuple((t, mode) for t, mode in changes if t < world.options.seconds)


def _engaged(at: Moments) -> Floats:
    changes = mode_changes(at.world)
    row = np.searchsorted([t for t, _ in changes], at.t_s, side="right") - 1
    return np.array([mode is DriveMode.ASSISTED for _, mode in changes], np.float64)[row]


def _steering(at: Moments) -> Values:
    wheels = np.arctan(WHEELBASE_M * at.yaw_rate_radps / np.maximum(at.speed_mps, 1.0))
    angle = np.degrees(wheels) * STEERING_RATIO
    return {"ANGLE": angle, "TORQUE": angle * 0.02, "HANDS_ON": 1.0 - _engaged(at)}


def _cruise(at: Moments) -> Values:
    return {"ACTIVE": _engaged(at), "SET_SPEED": np.full(at.t_s.shape, 35.0)}


def _driver_assist(at: Moments) -> Values:
    engaged = _engaged(at)
    asked = np.zeros(at.t_s.shape, np.bool_)
    for (_, before), (t, mode) in pairwise(mode_changes(at.world)):
        if before is DriveMode.ASSISTED and mode is DriveMode.MANUAL:
            asked |= (at.t_s >= t - TAKEOVER_NOTICE_S) & (at.t_s < t)
    return {
        "STATE": np.where(asked, 3.0, np.where(engaged > 0, 2.0, 1.0)),
        "ENGAGED": engaged,
        "TAKEOVER_REQUEST": at.flag(asked),
        "LANE_DEPARTURE_WARNING": at.flag(False),
    }


def _obstacle(at: Moments) -> Values:
    """The nearest pedestrian or cyclist in the path ahead, as the driving computer tells the other units."""
    m = at.world.motion
    ego_s, ego_d = m.at(m.s_m, at.t_s), m.at(m.d_m, at.t_s)
    nearest = np.full(at.t_s.shape, NO_OBSTACLE_M)
    for actor in at.actors:
        if actor.kind not in {Kind.PEDESTRIAN, Kind.CYCLIST} or actor.block < 0:
            continue
        path = actor.path
        ahead = np.interp(at.t_s, path.t_s, path.s_m) - ego_s - BUMPER_M
        beside = np.abs(np.interp(at.t_s, path.t_s, path.d_m) - ego_d)
        alive = (at.t_s >= actor.alive_s[0]) & (at.t_s <= actor.alive_s[1])
        in_path = alive & (beside < CORRIDOR_M) & (ahead > 0)
        nearest = np.where(in_path, np.minimum(nearest, ahead), nearest)
    gap = nearest / np.maximum(at.speed_mps, 0.1) * 1000
    gap = np.where(nearest < NO_OBSTACLE_M, np.minimum(gap, NO_GAP_MS), NO_GAP_MS)
    warning = (gap < WARNING_GAP_MS) & (at.speed_mps > 2)
    return {"DISTANCE": nearest, "WARNING": at.flag(warning), "TIME_GAP": gap}


def _night(at: Moments) -> Floats:
    return np.array([at.world.night(t) for t in at.t_s.tolist()], np.float64)


def _lights(at: Moments) -> Values:
    """The left indicator blinks before each cyclist is passed."""
    left = np.zeros(at.t_s.shape, np.bool_)
    for block in at.world.blocks:
        near = (at.t_s > block.overtake_s - 3.0) & (at.t_s < block.overtake_s - 0.6)
        left |= near & (np.floor(at.t_s / BLINK_S) % 2 == 0)
    return {
        "INDICATOR_LEFT": at.flag(left),
        "INDICATOR_RIGHT": at.flag(False),
        "LOW_BEAM": at.flag(_night(at) > 0.3),
        "HIGH_BEAM": at.flag(False),
        "HAZARD": at.flag(False),
    }


def _odometer(at: Moments) -> Values:
    return {"DISTANCE": ODOMETER_KM + at.world.motion.at(at.world.motion.s_m, at.t_s) / 1000}


def _ambient(at: Moments) -> Values:
    return {"LIGHT": 80 - 76 * _night(at), "AIR_TEMPERATURE": 17 - 4 * _night(at)}


_SPEAKERS: dict[str, Callable[[Moments], Values]] = {
    "INERTIAL": _inertial,
    "STEERING": _steering,
    "ACCELERATOR": _accelerator,
    "BRAKE": _brake,
    "WHEEL_SPEEDS": _wheels,
    "VEHICLE_SPEED": _speed,
    "STABILITY": _stability,
    "TRANSMISSION": _transmission,
    "MOTOR": _motor,
    "CRUISE": _cruise,
    "DRIVER_ASSIST": _driver_assist,
    "OBSTACLE": _obstacle,
    "LIGHTS": _lights,
    "ODOMETER": _odometer,
    "AMBIENT": _ambient,
}
