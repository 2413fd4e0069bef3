"""Who is on the street: those who play in the story (the city's blocks, or the roles of a script), and extras.

Every actor follows a polyline in road coordinates at known times, so that its place is a function of time and
any frame can be drawn without the frames before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.cars import CarLooks, random_car
from fsd_tools.drive.generate.course import Floats, Spans
from fsd_tools.drive.generate.people import Looks, random_looks
from fsd_tools.drive.generate.script import Role
from fsd_tools.drive.generate.world import KERB_D_M, Block, World, crossing_s_m

ALWAYS = (-1e9, 1e9)
CYCLIST_D_M = -3.1
CYCLIST_MPS = 4.6
LEAST_ADULT_M = 1.58
CORRIDOR_M = 1.5
"""Half the width of the path that the ego vehicle needs."""


@dataclass(frozen=True, eq=False)
class Path:
    """Where an actor is: ``s`` and ``d`` over time, standing still before and after."""

    t_s: Floats
    s_m: Floats
    d_m: Floats
    facing_rad: float
    """Heading against the road's while standing."""

    def at(self, t_s: float) -> tuple[float, float]:
        """Road coordinates."""
        if self.t_s.shape[0] == 1:
            return float(self.s_m[0]), float(self.d_m[0])
        return float(np.interp(t_s, self.t_s, self.s_m)), float(np.interp(t_s, self.t_s, self.d_m))

    def travelled(self, t_s: float) -> float:
        """Metres covered, for the swing of legs and wheels."""
        return float(np.interp(t_s, self.t_s, self._way_m))

    @cached_property
    def _way_m(self) -> Floats:
        return np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(self.s_m), np.diff(self.d_m)))])

    def moving(self, t_s: float) -> bool:
        """Whether the actor is on its way."""
        return bool(self.t_s[0] < t_s < self.t_s[-1])

    def facing(self, t_s: float) -> float:
        """Heading against the road's; a turn takes a third of a second."""
        if self.t_s.shape[0] == 1:
            return self.facing_rad
        (s0, d0), (s1, d1) = self.at(t_s - 0.15), self.at(t_s + 0.15)
        return math.atan2(d1 - d0, s1 - s0) if math.hypot(s1 - s0, d1 - d0) > 0.02 else self.facing_rad


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """One road user."""

    number: int
    kind: Kind
    path: Path
    alive_s: tuple[float, float]
    person: Looks | None = None
    car: CarLooks | None = None
    block: int = -1
    """The block of the story in which this actor plays, -1 for extras. A scenario is one block."""
    unseen: Mapping[str, Spans] = field(default_factory=dict)
    """When the driving computer misses it, by camera."""


class Cast:
    """Hands out numbers and collects actors."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []

    def add(
        self,
        kind: Kind,
        path: Path,
        *,
        alive_s: tuple[float, float] = ALWAYS,
        person: Looks | None = None,
        car: CarLooks | None = None,
        block: int = -1,
        unseen: Mapping[str, Spans] | None = None,
    ) -> None:
        """One more."""
        self.actors.append(Actor(len(self.actors), kind, path, alive_s, person, car, block, unseen or {}))


def city_cast(world: World, rng: np.random.Generator) -> Cast:
    """The pedestrians and the cyclist of every block."""
    cast = Cast()
    for block in world.blocks:
        _crossing(cast, world, block, rng)
        _overtaken(cast, world, block, rng)
    return cast


def script_cast(world: World, roles: Sequence[Role], rng: np.random.Generator) -> Cast:
    """One actor a role."""
    cast = Cast()
    for role in roles:
        dt, ahead, d = (np.array(column, float) for column in zip(*role.way, strict=True))
        anchor_m = float(world.motion.at(world.motion.s_m, role.anchor_s))
        path = Path(role.anchor_s + dt, anchor_m + ahead, d, 0.0)
        unseen = {"front": role.unseen_front, "narrow": role.unseen_narrow}
        if role.kind is Kind.CAR:
            cast.add(role.kind, path, alive_s=role.alive_s, car=random_car(rng), unseen=unseen)
            continue
        person = random_looks(rng)
        # Adults of a scenario are tall enough to be none of its children.
        height_m = max(person.height_m, LEAST_ADULT_M) if role.height_m is None else role.height_m
        person = replace(person, height_m=height_m)
        cast.add(role.kind, path, alive_s=role.alive_s, person=person, block=0, unseen=unseen)
    return cast


def _walk(points: Sequence[tuple[float, float]], speed_mps: float, anchor: int, anchor_s: float) -> Path:
    """A polyline at constant speed that passes point number ``anchor`` at ``anchor_s``."""
    s, d = (np.array(column, float) for column in zip(*points, strict=True))
    way = np.concatenate([[0], np.cumsum(np.hypot(np.diff(s), np.diff(d)))])
    return Path((way - way[anchor]) / speed_mps + anchor_s, s, d, 0.0)


def _crossing(cast: Cast, world: World, block: Block, rng: np.random.Generator) -> None:
    """The pedestrian of the block, who enters the ego vehicle's path as it begins to brake."""
    s = crossing_s_m(world.motion, block)
    right = block.step_out or bool(rng.random() < 0.5)
    side = -1.0 if right else 1.0
    ego_d = float(world.motion.at(world.motion.d_m, block.brake_s))
    edge = ego_d + side * CORRIDOR_M
    along = 9.0 * (1 if rng.random() < 0.5 else -1)
    points = [
        (s + along, side * 7.2),
        (s, side * 7.0),
        (s, side * KERB_D_M),
        (s, edge),
        (s, -side * 7.0),
        (s - along * 3, -side * 7.6),
    ]
    speed = 1.75 if block.step_out else 1.35 + rng.uniform(-0.1, 0.1)
    entering = block.brake_s + (-0.1 if block.step_out else 0.35)
    path = _walk(points, speed, 3, entering)
    cast.add(Kind.PEDESTRIAN, path, person=random_looks(rng), block=block.number)
    if not block.step_out:
        beside = [(at + 0.9, d) for at, d in points]
        path = _walk(beside, speed * 0.97, 3, entering + 0.25)
        cast.add(Kind.PEDESTRIAN, path, person=random_looks(rng), block=block.number)


def _overtaken(cast: Cast, world: World, block: Block, rng: np.random.Generator) -> None:
    """A cyclist who leaves the kerb, rides at the edge of the lane and is passed closely."""
    meet = float(world.motion.at(world.motion.s_m, block.overtake_s)) + 2.0
    ride_s = 4.6
    start = meet - CYCLIST_MPS * ride_s
    t = np.array([0.0, 2.0, ride_s, ride_s + 6.0]) + block.overtake_s - ride_s
    s = start + CYCLIST_MPS * (t - t[0])
    path = Path(t, s, np.array([-4.6, CYCLIST_D_M, CYCLIST_D_M, CYCLIST_D_M]), 0.15)
    alive = (-1e9, block.overtake_s + 1.2)
    cast.add(Kind.CYCLIST, path, alive_s=alive, person=random_looks(rng), block=block.number)
