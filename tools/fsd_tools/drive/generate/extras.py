"""Who is there by chance: parked cars and bicycles, walkers on the pavements, oncoming traffic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.actors import Actor, Cast, Path, city_cast, script_cast
from fsd_tools.drive.generate.cars import CarLooks, random_car
from fsd_tools.drive.generate.people import Looks, random_looks
from fsd_tools.drive.generate.world import World, crossing_s_m

ONCOMING_MPS = 8.5
PAVEMENT_D_M = (6.7, 8.9)
BESIDE_ROLE_M = 5.5
"""Parked cars keep this far from the pedestrians of a scenario, so that these are seen."""
Stretch = tuple[float, float, float]
"""Side of the road, from, to."""


def make_actors(world: World) -> tuple[Actor, ...]:
    """Everyone. All randomness comes from the seed of the world's options."""
    rng = np.random.default_rng([world.options.seed, 2])
    if world.script is None:
        cast = city_cast(world, rng)
        _park(cast, world, _kept_free(cast, world), _beside_step_outs(world), rng)
    else:
        cast = script_cast(world, world.script.roles, rng)
        if not world.script.extras:
            return tuple(cast.actors)
        _park(cast, world, _beside_roles(cast), [], rng)
    _walkers(cast, world, rng)
    _oncoming(cast, world, rng)
    return tuple(cast.actors)


def _kept_free(cast: Cast, world: World) -> list[Stretch]:
    """Stretches of the city's parking lanes that must stay open."""
    free = []
    for block in world.blocks:
        s = crossing_s_m(world.motion, block)
        gap = 1.0 if block.step_out else 5.5
        free += [(-1.0, s - gap, s + gap), (1.0, s - gap, s + gap)]
    for actor in cast.actors:
        if actor.kind is Kind.CYCLIST:
            start = float(actor.path.s_m[0])
            free.append((-1.0, start - 2.0, start + 9.0))
    return free


def _beside_step_outs(world: World) -> list[tuple[float, float, bool]]:
    """The cars between which pedestrians step out."""
    return [
        (-1.0, crossing_s_m(world.motion, block) + shift, True)
        for block in world.blocks
        if block.step_out
        for shift in (-3.6, 3.7)
    ]


def _beside_roles(cast: Cast) -> list[Stretch]:
    free = []
    for actor in cast.actors:
        if actor.kind is not Kind.CYCLIST:
            low, high = float(actor.path.s_m.min()), float(actor.path.s_m.max())
            free += [(side, low - BESIDE_ROLE_M, high + BESIDE_ROLE_M) for side in (-1.0, 1.0)]
    return free


def _park(
    cast: Cast,
    world: World,
    free: Sequence[Stretch],
    spots: list[tuple[float, float, bool]],
    rng: np.random.Generator,
) -> None:
    """``spots`` come first: side, place, whether a car stands there."""
    end = float(world.motion.s_m[-1]) + 130
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
    duration = world.end_s
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
    while meet_s < world.end_s + 8:
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
