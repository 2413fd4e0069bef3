"""Who is on the street: cars, walkers, the block's pedestrian and the block's cyclist.

Every actor follows a polyline in road coordinates at known times, so that its place is a function of time and
any frame can be drawn without the frames before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.cars import CarLooks, random_car
from fsd_tools.drive.generate.people import Looks, random_looks
from fsd_tools.drive.generate.world import KERB_D_M, Block, Floats, World

ALWAYS = (-1e9, 1e9)
CYCLIST_D_M = -3.1
CYCLIST_MPS = 4.6
ONCOMING_MPS = 8.5
PAVEMENT_D_M = (6.7, 8.9)
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
    """The block of the story in which this actor plays, -1 for extras."""


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
    ) -> None:
        """One more."""
        self.actors.append(Actor(len(self.actors), kind, path, alive_s, person, car, block))


def make_actors(world: World) -> tuple[Actor, ...]:
    """Everyone. All randomness comes from the seed of the world's options."""
    rng = np.random.default_rng([world.options.seed, 2])
    cast = Cast()
    for block in world.blocks:
        _crossing(cast, world, block, rng)
        _overtaken(cast, world, block, rng)
    _parked(cast, world, rng)
    _walkers(cast, world, rng)
    _oncoming(cast, world, rng)
    return tuple(cast.actors)


def _walk(points: Sequence[tuple[float, float]], speed_mps: float, anchor: int, anchor_s: float) -> Path:
    """A polyline at constant speed that passes point number ``anchor`` at ``anchor_s``."""
    s, d = (np.array(column, float) for column in zip(*points, strict=True))
    way = np.concatenate([[0], np.cumsum(np.hypot(np.diff(s), np.diff(d)))])
    return Path((way - way[anchor]) / speed_mps + anchor_s, s, d, 0.0)


def _crossing(cast: Cast, world: World, block: Block, rng: np.random.Generator) -> None:
    """The pedestrian of the block, who enters the ego vehicle's path as it begins to brake."""
    s = world.crossing_s_m(block)
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


def _kept_free(cast: Cast, world: World) -> list[tuple[float, float, float]]:
    """Stretches of the parking lanes that must stay open: side, from, to."""
    free = []
    for block in world.blocks:
        s = world.crossing_s_m(block)
        gap = 1.0 if block.step_out else 5.5
        free += [(-1.0, s - gap, s + gap), (1.0, s - gap, s + gap)]
    for actor in cast.actors:
        if actor.kind is Kind.CYCLIST:
            start = float(actor.path.s_m[0])
            free.append((-1.0, start - 2.0, start + 9.0))
    return free


def _parked(cast: Cast, world: World, rng: np.random.Generator) -> None:
    end = float(world.motion.s_m[-1]) + 130
    free = _kept_free(cast, world)
    spots = [
        (-1.0, world.crossing_s_m(block) + shift, True)
        for block in world.blocks
        if block.step_out
        for shift in (-3.6, 3.7)
    ]
    for side in (-1.0, 1.0):
        s = -12.0 + rng.uniform(0, 3)
        while s < end:
            spots.append((side, s, bool(rng.random() < 0.66)))
            s += 6.0 + rng.uniform(0, 1.2)
    taken: list[tuple[float, float]] = []
    for side, s, wanted in spots:
        car = random_car(rng)
        reach = car.model.length / 2
        blocked = any(side == where and s + reach > low and s - reach < high for where, low, high in free)
        if not wanted or blocked or any(side == at and abs(s - other) < 5.4 for at, other in taken):
            continue
        taken.append((side, s))
        _stand(cast, Kind.CAR, s, side * 4.72, 0.0 if side < 0 else math.pi, car=car)
    for s in np.arange(6.0, end, 19.0).tolist():
        if rng.random() < 0.6:
            side = -1.0 if rng.random() < 0.6 else 1.0
            place = s + rng.uniform(0, 8)
            _stand(cast, Kind.BICYCLE, place, side * 6.35, rng.uniform(-0.3, 0.3), person=random_looks(rng))


def _stand(
    cast: Cast,
    kind: Kind,
    s: float,
    d: float,
    facing: float,
    *,
    car: CarLooks | None = None,
    person: Looks | None = None,
) -> None:
    path = Path(np.array([0.0]), np.array([s]), np.array([d]), facing)
    cast.add(kind, path, car=car, person=person)


def _walkers(cast: Cast, world: World, rng: np.random.Generator) -> None:
    """Extras who stay on the pavement; some stand and wait, some go in pairs."""
    end = float(world.motion.s_m[-1]) + 110
    duration = len(world.blocks) * 10.0
    for s in np.arange(2.0, end, 8.5).tolist():
        side = -1.0 if rng.random() < 0.5 else 1.0
        d = side * rng.uniform(*PAVEMENT_D_M)
        at = s + rng.uniform(-4, 4)
        if rng.random() < 0.15:
            _stand(cast, Kind.PEDESTRIAN, at, d, rng.uniform(-math.pi, math.pi), person=random_looks(rng))
            continue
        speed = rng.uniform(0.9, 1.5) * (1 if rng.random() < 0.5 else -1)
        for company in range(1 + int(rng.random() < 0.25)):
            beside = d - side * 0.65 * company
            t = np.array([-5.0, duration + 5.0])
            places = at + speed * t + 0.3 * company
            path = Path(t, places, np.array([beside, beside]), 0.0)
            cast.add(Kind.PEDESTRIAN, path, person=random_looks(rng))


def _oncoming(cast: Cast, world: World, rng: np.random.Generator) -> None:
    """Traffic of the other lane, spaced so that nobody meets a crossing pedestrian."""
    motion = world.motion
    crossers = [a for a in cast.actors if a.kind is Kind.PEDESTRIAN and a.block >= 0]
    meet_s = 0.6
    while meet_s < len(world.blocks) * 10.0 + 8:
        s0 = float(motion.at(motion.s_m, meet_s))
        t = np.array([meet_s - 16.0, meet_s + 4.0])
        path = Path(t, s0 - ONCOMING_MPS * (t - meet_s), np.array([1.8, 1.8]), math.pi)
        looks = random_car(rng)
        if not any(_meets(path, other.path) for other in crossers):
            cast.add(Kind.CAR, path, alive_s=(t[0], t[1]), car=looks)
        meet_s += rng.uniform(1.6, 3.4)


def _meets(car: Path, walker: Path) -> bool:
    for t in np.arange(walker.t_s[0], walker.t_s[-1], 0.2).tolist():
        s, d = walker.at(t)
        if -0.6 < d < 4.2 and abs(car.at(t)[0] - s) < 7.0:
            return True
    return False
