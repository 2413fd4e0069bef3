"""What the vehicle's control units would say at any moment: one function a message of ``fsd_demo.dbc``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fsd_firmware.samples import DriveMode, Kind
from fsd_tools.drive.generate.actors import CORRIDOR_M, Actor
from fsd_tools.drive.generate.course import Floats, Spans, inside, value
from fsd_tools.drive.generate.world import World

WHEELBASE_M, TRACK_M, STEERING_RATIO = 2.9, 1.6, 14.5
BUMPER_M = 1.9
"""From the lens to the front of the car."""
NO_OBSTACLE_M, NO_GAP_MS = 250.0, 16_000.0
WARNING_GAP_MS = 1800.0
EMERGENCY_MPS2 = -5.5
BLINK_S = 0.35
ODOMETER_KM = 18_204.0
FIX_NONE, FIX_3D = 0.0, 5.0
ACCURACY_M, NO_ACCURACY_M = 1.2, 204.75
"""The second says that there is none."""


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

    def during(self, spans: Spans) -> np.typing.NDArray[np.bool_]:
        """Which of the times lie in the spans."""
        return inside(spans, self.t_s)

    @property
    def engaged(self) -> Floats:
        """1 while the driving computer drives."""
        changes = self.world.course.modes
        row = np.searchsorted([t for t, _ in changes], self.t_s, side="right") - 1
        return np.array([mode is DriveMode.ASSISTED for _, mode in changes], np.float64)[np.maximum(row, 0)]


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
        "PEDAL_PRESSED": at.flag((pedal > 1) & (at.engaged == 0)),
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


def _steering(at: Moments) -> Values:
    wheels = np.arctan(WHEELBASE_M * at.yaw_rate_radps / np.maximum(at.speed_mps, 1.0))
    angle, by_hand = np.degrees(wheels) * STEERING_RATIO, 1.0 - at.engaged
    torque = angle * 0.02 * by_hand + value(at.world.course.hands_nm, at.t_s)
    return {"ANGLE": angle, "TORQUE": torque, "HANDS_ON": at.flag((by_hand > 0) | (np.abs(torque) > 0.5))}


def _cruise(at: Moments) -> Values:
    return {"ACTIVE": at.engaged, "SET_SPEED": np.full(at.t_s.shape, 35.0)}


def _driver_assist(at: Moments) -> Values:
    asked = at.during(at.world.course.takeover_asked)
    return {
        "STATE": np.where(asked, 3.0, np.where(at.engaged > 0, 2.0, 1.0)),
        "ENGAGED": at.engaged,
        "TAKEOVER_REQUEST": at.flag(asked),
        "LANE_DEPARTURE_WARNING": at.flag(False),
    }


def _planner(at: Moments) -> Values:
    """What the car does is what the planner wants, unless the course says otherwise."""
    bend = at.yaw_rate_radps / np.maximum(at.speed_mps, 1.0)
    return {
        "ACCEL": at.accel_mps2 + value(at.world.course.wish_mps2, at.t_s),
        "CURVATURE": bend + value(at.world.course.wish_per_m, at.t_s),
    }


def _position(at: Moments) -> Values:
    lost = at.during(at.world.course.no_fix)
    return {
        "FIX_TYPE": np.where(lost, FIX_NONE, FIX_3D),
        "ACCURACY": np.where(lost, NO_ACCURACY_M, ACCURACY_M),
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


def _lights(at: Moments) -> Values:
    """The left indicator blinks before a cyclist is passed; low beam is on in the dark."""
    left = at.during(at.world.course.indicating) & (np.floor(at.t_s / BLINK_S) % 2 == 0)
    return {
        "INDICATOR_LEFT": at.flag(left),
        "INDICATOR_RIGHT": at.flag(False),
        "LOW_BEAM": at.flag(value(at.world.course.dark, at.t_s) > 0.3),
        "HIGH_BEAM": at.flag(False),
        "HAZARD": at.flag(False),
    }


def _odometer(at: Moments) -> Values:
    return {"DISTANCE": ODOMETER_KM + at.world.motion.at(at.world.motion.s_m, at.t_s) / 1000}


def _ambient(at: Moments) -> Values:
    dark = value(at.world.course.dark, at.t_s)
    return {"LIGHT": 80 - 76 * dark, "AIR_TEMPERATURE": 17 - 4 * dark}


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
    "PLANNER": _planner,
    "LIGHTS": _lights,
    "ODOMETER": _odometer,
    "AMBIENT": _ambient,
    "POSITION": _position,
}
