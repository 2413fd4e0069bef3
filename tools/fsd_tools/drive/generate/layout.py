"""What stands along the road: houses, trees, street lamps, signs, repairs of the asphalt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_tools.drive.generate.course import Floats
from fsd_tools.drive.generate.light import Colour
from fsd_tools.drive.generate.shapes import Shape
from fsd_tools.drive.generate.world import FACADE_D_M, World

SIGHT_M = 135.0
"""Nothing is painted further away than this; haze has taken it."""
WALLS: tuple[Colour, ...] = (
    (150, 175, 200),
    (120, 150, 190),
    (175, 190, 200),
    (110, 125, 150),
    (165, 170, 172),
    (130, 165, 175),
    (95, 110, 160),
    (190, 195, 190),
)
SHOPS: tuple[Colour, ...] = ((70, 60, 130), (110, 80, 40), (60, 100, 60), (60, 60, 65), (50, 110, 160))
LEAF: tuple[Colour, ...] = ((50, 110, 70), (45, 125, 95), (60, 135, 80))
STOREY_M = 3.1


@dataclass(frozen=True, slots=True, eq=False)
class House:
    """One facade along the pavement with the wall that faces the camera; points are in the world."""

    start_m: float
    end_m: float
    side: float
    wall: Colour
    shop: Colour
    points: Floats
    """Facade, gable, shop band, awning and cornice, then the windows: four points each."""
    lit: NDArray[np.bool_]
    """Windows with light at night."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixture:
    """A tree, a street lamp or a sign."""

    s_m: float
    d_m: float
    shape: Shape
    lamp_up_m: float = 0.0
    """Height of its light, 0 for none."""
    arm_m: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Street:
    """All that stands still."""

    world: World
    houses: tuple[House, ...]
    fixtures: tuple[Fixture, ...]
    lamp_places: Floats
    """World x, y of the light of every street lamp."""
    patches: dict[float, Floats]
    """Repairs of the asphalt by brightness: rows of s, d, length, width."""
    zebras: tuple[float, ...]


def make_street(world: World) -> Street:
    """Lay out everything. All randomness comes from the seed of the world's options."""
    rng = np.random.default_rng([world.options.seed, 3])
    end = float(world.motion.s_m[-1]) + SIGHT_M + 20
    houses = tuple(house for side in (-1.0, 1.0) for house in _row(world, side, end, rng))
    fixtures = tuple(_fixtures(world.zebras_m, end, rng))
    lamps = [world.road.place(f.s_m, f.d_m - math.copysign(f.arm_m, f.d_m)) for f in fixtures if f.lamp_up_m]
    patches = {tone: _patches(end, rng) for tone in (0.88, 0.94, 1.08)}
    return Street(world, houses, fixtures, np.array(lamps), patches, world.zebras_m)


def _patches(end: float, rng: np.random.Generator) -> Floats:
    s = np.arange(-20, end, 15.0)
    n = s.shape[0]
    columns = (
        s + rng.uniform(0, 15, n),
        rng.uniform(-5, 5, n),
        rng.uniform(0.6, 5, n),
        rng.uniform(0.4, 1.4, n),
    )
    return np.column_stack(columns)


def _row(world: World, side: float, end: float, rng: np.random.Generator) -> list[House]:
    houses, s = [], -30.0 + rng.uniform(0, 5)
    while s < end:
        length = rng.uniform(9, 15)
        houses.append(_house(world, side, s, length, rng))
        s += length + (rng.uniform(3, 7) if rng.random() < 0.18 else 0.0)
    return houses


def _house(world: World, side: float, s: float, length: float, rng: np.random.Generator) -> House:
    storeys = int(rng.integers(2, 7))
    height = 4.2 + storeys * STOREY_M
    d = side * FACADE_D_M
    ends = world.road.place(np.array([s, s + length, s]), np.array([d, d, d + side * 11]))

    def upright(a: Floats, b: Floats, low: float, high: float) -> Floats:
        return np.array([[*a, low], [*b, low], [*b, high], [*a, high]])

    def along(share: float, out: float = 0.0) -> Floats:
        place = (
            world.road.place(s, d - side * out) * (1 - share)
            + world.road.place(s + length, d - side * out) * share
        )
        return np.asarray(place)

    wall, gable = upright(ends[0], ends[1], 0, height), upright(ends[0], ends[2], 0, height)
    shop = upright(along(0.04), along(0.96), 0.3, 2.9)
    awning = np.vstack(
        [
            upright(along(0.04), along(0.96), 3.3, 3.3)[:2],
            upright(along(0.04, 1.0), along(0.96, 1.0), 2.8, 2.8)[1::-1],
        ]
    )
    columns = max(2, round(length / 2.5))
    windows = []
    for storey in range(storeys):
        low = 4.6 + storey * STOREY_M
        for column in range(columns):
            a, b = (column + 0.24) / columns, (column + 0.76) / columns
            windows.append(upright(along(a), along(b), low, low + 1.75))
    lit = rng.random(len(windows)) < 0.3
    cornice = upright(along(0), along(1), height - 0.45, height)
    tone = rng.uniform(0.85, 1.08)
    wall_colour = WALLS[int(rng.integers(len(WALLS)))]
    colour = (wall_colour[0] * tone, wall_colour[1] * tone, wall_colour[2] * tone)
    return House(
        s, s + length, side, colour, SHOPS[int(rng.integers(len(SHOPS)))],
        np.vstack([wall, gable, shop, awning, cornice, *windows]), lit,
    )  # fmt: skip


def _fixtures(zebras: tuple[float, ...], end: float, rng: np.random.Generator) -> list[Fixture]:
    found = []
    for i, s in enumerate(np.arange(-18.0, end, 13.0).tolist()):
        for side in (-1.0, 1.0):
            at = s + rng.uniform(-1, 1) + (6.5 if side > 0 else 0)
            if any(abs(at - zebra) < 4 for zebra in zebras):
                continue
            if i % 2 == 0:
                found.append(Fixture(at, side * 6.15, _lamp(side), lamp_up_m=6.6, arm_m=1.6))
            elif rng.random() < 0.75:
                found.append(Fixture(at, side * 6.4, _tree(rng)))
    for zebra in zebras:
        found += [Fixture(zebra - 2.2, -6.1, _zebra_sign()), Fixture(zebra + 2.2, 6.1, _zebra_sign())]
    return found


def _lamp(side: float) -> Shape:
    shape = Shape(reach_m=7)
    inward = -side * 1.6
    shape.limb((0, 0, 0), (0, 0, 6.4), 0.13, (85, 85, 82))
    shape.limb((0, 0, 6.4), (0, inward, 6.75), 0.09, (85, 85, 82))
    shape.limb((0, inward * 0.8, 6.68), (0, inward * 1.15, 6.72), 0.16, (225, 240, 250))
    return shape


def _tree(rng: np.random.Generator) -> Shape:
    shape = Shape(reach_m=6)
    height = rng.uniform(4.2, 6.0)
    shape.limb((0, 0, 0), (0, 0, height * 0.65), 0.24, (55, 75, 95))
    leaf = LEAF[int(rng.integers(len(LEAF)))]
    for ring, (count, spread, tone) in enumerate(((5, 1.15, 0.72), (5, 0.95, 0.9), (3, 0.55, 1.1))):
        for i in range(count):
            angle = 2 * math.pi * (i + rng.uniform(0, 0.7)) / count
            centre = (
                0.3 * math.sin(angle),
                spread * math.cos(angle),
                height * 0.72 + spread * 0.75 * math.sin(angle) + 0.35 * ring,
            )
            shape.ball(centre, rng.uniform(0.55, 0.85), (leaf[0] * tone, leaf[1] * tone, leaf[2] * tone))
    return shape


def _zebra_sign() -> Shape:
    shape = Shape(reach_m=2.9)
    shape.limb((0, 0, 0), (0, 0, 2.9), 0.07, (120, 120, 118))
    blue, white = (165, 85, 25), (240, 240, 240)
    shape.polygon(
        (-0.03, 0.33, 2.2),
        (-0.03, -0.33, 2.2),
        (-0.03, -0.33, 2.86),
        (-0.03, 0.33, 2.86),
        colour=blue,
        glow=0.4,
    )
    shape.polygon((-0.04, 0.24, 2.29), (-0.04, -0.24, 2.29), (-0.04, 0.0, 2.76), colour=white, glow=0.5)
    shape.limb((-0.05, 0, 2.62), (-0.05, 0, 2.42), 0.06, (30, 30, 30), detail=True)
    return shape
