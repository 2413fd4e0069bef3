"""Pedestrians and cyclists: jointed figures with a head, a torso, arms and legs.

Lengths are those of an adult of 1.75 m and scale with the figure's height. Angles swing with the distance
covered, so that feet don't slide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fsd_tools.drive.generate.light import Colour
from fsd_tools.drive.generate.shapes import Point, Shape

ADULT_M = 1.75
STRIDE_M = 1.45
"""Two steps."""
SKIN: tuple[Colour, ...] = ((150, 180, 225), (120, 155, 205), (90, 120, 170), (60, 85, 130), (40, 55, 90))
HAIR: tuple[Colour, ...] = ((25, 25, 30), (35, 50, 75), (60, 95, 135), (120, 170, 205), (150, 150, 155))
TOPS: tuple[Colour, ...] = (
    (60, 60, 190),
    (150, 90, 40),
    (70, 130, 60),
    (50, 50, 55),
    (210, 210, 215),
    (60, 170, 220),
    (140, 70, 120),
    (170, 150, 90),
)
TROUSERS: tuple[Colour, ...] = ((95, 65, 40), (45, 42, 40), (90, 110, 130), (120, 95, 70), (60, 60, 85))
HELMETS: tuple[Colour, ...] = ((230, 230, 235), (50, 60, 210), (40, 190, 230), (60, 60, 60))
BIKES: tuple[Colour, ...] = ((60, 50, 190), (170, 110, 30), (60, 60, 60), (70, 140, 60))
TYRE: Colour = (38, 36, 36)
SHOE: Colour = (35, 35, 40)


@dataclass(frozen=True, slots=True)
class Looks:
    """What tells one person from another."""

    height_m: float
    skin: Colour
    hair: Colour
    top: Colour
    trousers: Colour
    helmet: Colour
    bike: Colour
    long_hair: bool
    coat: bool
    backpack: bool


def random_looks(rng: np.random.Generator) -> Looks:
    """One person of the street."""

    def one(colours: tuple[Colour, ...]) -> Colour:
        return colours[int(rng.integers(len(colours)))]

    return Looks(
        height_m=float(np.clip(rng.normal(1.72, 0.09), 1.35, 1.95)),
        skin=one(SKIN),
        hair=one(HAIR),
        top=one(TOPS),
        trousers=one(TROUSERS),
        helmet=one(HELMETS),
        bike=one(BIKES),
        long_hair=bool(rng.random() < 0.4),
        coat=bool(rng.random() < 0.3),
        backpack=bool(rng.random() < 0.35),
    )


def _tone(colour: Colour, factor: float) -> Colour:
    return (min(255, colour[0] * factor), min(255, colour[1] * factor), min(255, colour[2] * factor))


def pedestrian(looks: Looks, travelled_m: float, turned_rad: float, *, walking: bool) -> Shape:
    """A person on foot.

    ``turned_rad`` is the heading against the direction of looking: 0 shows the back, a positive angle the left
    side. What is nearer to the camera is painted later.
    """
    k = looks.height_m / ADULT_M
    shape = Shape(reach_m=looks.height_m)
    phase = 2 * math.pi * travelled_m / (STRIDE_M * k) if walking else 0.0
    swing = 0.48 if walking else 0.04
    near = 1.0 if math.sin(turned_rad) > 0 else -1.0
    bob = 0.025 * abs(math.cos(phase)) if walking else 0.0
    for side in (-near, near):
        if side == near:
            _torso(shape, looks, k, bob)
        _arm(shape, looks, k, side, -swing * math.sin(phase + (0 if side > 0 else math.pi)), bob)
        _leg(shape, looks, k, side, phase + (0 if side > 0 else math.pi), swing, bob)
        if side == near:
            _arm(shape, looks, k, side, -swing * math.sin(phase + (0 if side > 0 else math.pi)), bob)
    _head(shape, looks, k, (0.03, 1.60 + bob), turned_rad, helmet=False)
    return shape


def far_pedestrian(looks: Looks) -> Shape:
    """A person of a few pixels."""
    k = looks.height_m / ADULT_M
    shape = Shape(reach_m=looks.height_m)
    shape.limb((0, 0, 0.1), (0, 0, 0.85 * k), 0.24 * k, looks.trousers)
    shape.limb((0, 0, 0.95 * k), (0, 0, 1.32 * k), 0.36 * k, looks.top)
    shape.ball((0, 0, 1.60 * k), 0.11 * k, looks.skin, tall=1.2)
    shape.ball((0, 0, 1.67 * k), 0.10 * k, looks.hair, tall=0.7)
    return shape


def far_cyclist(looks: Looks, *, ridden: bool) -> Shape:
    """A bicycle of a few pixels, with or without its rider."""
    shape = Shape(reach_m=1.78 if ridden else 1.1)
    for axle in AXLES_M:
        shape.ball((axle, 0, WHEEL_M), WHEEL_M * 0.6, TYRE, tall=1.6)
    shape.limb((AXLES_M[0], 0, 0.4), (AXLES_M[1], 0, 0.8), 0.1, looks.bike)
    shape.limb((BAR[0], -0.25, BAR[2]), (BAR[0], 0.25, BAR[2]), 0.05, TYRE)
    if ridden:
        shape.limb((-0.1, 0, 0.6), (-0.1, 0, 1.0), 0.3, looks.trousers)
        shape.limb((-0.1, 0, 1.05), (0.12, 0, 1.36), 0.38, looks.top)
        shape.ball((0.22, 0, 1.62), 0.12, looks.skin, tall=1.2)
        shape.ball((0.22, 0, 1.70), 0.13, looks.helmet, tall=0.7)
    return shape


def _leg(shape: Shape, looks: Looks, k: float, side: float, phase: float, swing: float, bob: float) -> None:
    thigh = swing * math.sin(phase)
    bend = 0.12 + (0.95 if swing > 0.1 else 0.0) * max(0.0, math.sin(phase + 1.9)) ** 2 * swing * 1.6
    hip = (0.0, side * 0.085 * k, (0.90 + bob) * k)
    knee = (hip[0] + 0.43 * k * math.sin(thigh), hip[1], hip[2] - 0.43 * k * math.cos(thigh))
    shin = thigh - bend
    foot = (knee[0] + 0.42 * k * math.sin(shin), hip[1], max(0.06, knee[2] - 0.42 * k * math.cos(shin)))
    shape.limb(hip, knee, 0.17 * k, looks.trousers)
    shape.limb(knee, foot, 0.125 * k, _tone(looks.trousers, 0.93))
    shape.limb(foot, (foot[0] + 0.16 * k, foot[1], foot[2] - 0.02), 0.085 * k, SHOE, detail=True)


def _arm(shape: Shape, looks: Looks, k: float, side: float, angle: float, bob: float) -> None:
    shoulder = (0.0, side * 0.20 * k, (1.40 + bob) * k)
    elbow = (
        shoulder[0] + 0.28 * k * math.sin(angle),
        side * 0.25 * k,
        shoulder[2] - 0.28 * k * math.cos(angle),
    )
    fore = angle + 0.35
    hand = (elbow[0] + 0.25 * k * math.sin(fore), side * 0.24 * k, elbow[2] - 0.25 * k * math.cos(fore))
    shape.limb(shoulder, elbow, 0.105 * k, _tone(looks.top, 0.85))
    shape.limb(elbow, hand, 0.085 * k, _tone(looks.top, 0.82))
    shape.ball(hand, 0.048 * k, looks.skin, detail=True)


def _torso(shape: Shape, looks: Looks, k: float, bob: float) -> None:
    top, waist = (1.38 + bob) * k, (0.93 + bob) * k
    if looks.backpack:
        shape.limb(
            (-0.17 * k, 0, top - 0.05), (-0.19 * k, 0, waist + 0.13 * k), 0.27 * k, _tone(looks.bike, 0.8)
        )
    shape.limb((0, 0, top - 0.06 * k), (0, 0, waist), 0.25 * k, looks.top)
    shape.polygon(
        (0, 0.21 * k, top),
        (0, -0.21 * k, top),
        (0, -0.15 * k, waist - 0.06 * k),
        (0, 0.15 * k, waist - 0.06 * k),
        colour=looks.top,
        two_sided=True,
    )
    shape.limb((0, -0.14 * k, top), (0, 0.14 * k, top), 0.13 * k, looks.top)
    if looks.coat:
        shape.limb((0, 0, waist), (0, 0, waist - 0.28 * k), 0.30 * k, _tone(looks.top, 0.95))


def _head(
    shape: Shape, looks: Looks, k: float, at: tuple[float, float], turned_rad: float, *, helmet: bool
) -> None:
    """Neck, hair, face: from behind the hair covers the face, from the front the face covers the hair."""
    forward, z = at[0], at[1] * k
    shape.limb(
        (forward * 0.5, 0, z - 0.19 * k), (forward, 0, z - 0.08 * k), 0.10 * k, _tone(looks.skin, 0.85)
    )

    def neck() -> None:
        shape.limb(
            (forward * 0.5, 0, z - 0.19 * k), (forward, 0, z - 0.08 * k), 0.10 * k, _tone(looks.skin, 0.85)
        )

    def back_of_head() -> None:
        if looks.long_hair:
            length = 1.5 if from_behind else 1.15  # in front it would look like a beard
            shape.ball(
                (forward - 0.05 * k, 0, z - 0.05 * k * (length - 0.5)), 0.12 * k, looks.hair, tall=length
            )
        shape.ball((forward - 0.05 * k, 0, z + 0.02 * k), 0.098 * k, looks.hair, tall=1.1)

    from_behind = math.cos(turned_rad) > 0.25
    if not from_behind:
        back_of_head()
    neck()
    shape.ball((forward, 0, z), 0.105 * k, looks.skin, tall=1.24)
    if from_behind:
        back_of_head()
    if math.cos(turned_rad) < -0.5:
        for side in (1.0, -1.0):
            shape.ball(
                (forward + 0.1 * k, side * 0.038 * k, z + 0.015 * k), 0.014 * k, (30, 30, 35), detail=True
            )
    if helmet:
        shape.ball((forward - 0.01 * k, 0, z + 0.065 * k), 0.135 * k, looks.helmet, tall=0.72)
    else:
        shape.ball((forward - 0.02 * k, 0, z + 0.072 * k), 0.108 * k, looks.hair, tall=0.62)


WHEEL_M = 0.34
AXLES_M = (-0.52, 0.52)
CRANK: Point = (0.0, 0.0, 0.28)
CRANK_M = 0.17
SEAT: Point = (-0.17, 0.0, 0.92)
BAR: Point = (0.40, 0.0, 1.02)


def _wheel(shape: Shape, forward: float, turned_m: float) -> None:
    steps = 14
    ring: list[Point] = [
        (
            forward + WHEEL_M * math.cos(2 * math.pi * i / steps),
            0.0,
            WHEEL_M + WHEEL_M * math.sin(2 * math.pi * i / steps),
        )
        for i in range(steps + 1)
    ]
    for a, b in pairwise(ring):
        shape.limb(a, b, 0.05, TYRE)
    for i in range(3):
        angle = turned_m / WHEEL_M + i * math.pi / 3
        c, s = WHEEL_M * math.cos(angle), WHEEL_M * math.sin(angle)
        shape.limb(
            (forward - c, 0, WHEEL_M + s), (forward + c, 0, WHEEL_M - s), 0.012, (150, 150, 150), detail=True
        )


def bicycle(looks: Looks, travelled_m: float) -> Shape:
    """A city bicycle, upright and empty."""
    shape = Shape(reach_m=1.1)
    for axle in AXLES_M:
        _wheel(shape, axle, travelled_m)
    rear, front = (AXLES_M[0], 0.0, WHEEL_M), (AXLES_M[1], 0.0, WHEEL_M)
    head = (0.36, 0.0, 0.84)
    for a, b in ((rear, CRANK), (rear, SEAT), (CRANK, SEAT), (CRANK, head), (SEAT, head), (front, BAR)):
        shape.limb(a, b, 0.045, looks.bike)
    shape.limb((SEAT[0] - 0.09, 0, 0.95), (SEAT[0] + 0.1, 0, 0.95), 0.09, TYRE)
    shape.limb((BAR[0], -0.29, BAR[2]), (BAR[0], 0.29, BAR[2]), 0.04, TYRE)
    shape.limb((-0.62, 0, 0.60), (-0.45, 0, 0.70), 0.05, _tone(looks.bike, 0.7), detail=True)
    shape.ball((-0.60, 0, 0.78), 0.045, (40, 40, 230), glow=1.0)
    return shape


def cyclist(looks: Looks, travelled_m: float, turned_rad: float) -> Shape:
    """A rider over a two-wheeled bicycle; ``turned_rad`` as in :func:`pedestrian`."""
    shape = bicycle(looks, travelled_m)
    shape.reach_m = 1.78
    turn = travelled_m / 1.05
    near = 1.0 if math.sin(turned_rad) > 0 else -1.0
    hip = (SEAT[0] + 0.02, 0.0, 1.0)
    chest = (0.14, 0.0, 1.40)
    for side in (-near, near):
        _riding_leg(shape, looks, hip, turn + (0 if side > 0 else math.pi), side)
        if side == -near:
            _riding_arm(shape, looks, chest, side)
            _riding_torso(shape, looks, hip, chest)
        else:
            _riding_arm(shape, looks, chest, side)
    _head(shape, looks, 1.0, (chest[0] + 0.11, 1.63), turned_rad, helmet=True)
    return shape


def _riding_torso(shape: Shape, looks: Looks, hip: Point, chest: Point) -> None:
    shape.limb(hip, chest, 0.27, looks.top)
    shape.polygon(
        (chest[0], 0.21, chest[2] + 0.03),
        (chest[0], -0.21, chest[2] + 0.03),
        (hip[0], -0.16, hip[2] - 0.05),
        (hip[0], 0.16, hip[2] - 0.05),
        colour=looks.top,
        two_sided=True,
    )
    shape.limb((chest[0], -0.15, chest[2]), (chest[0], 0.15, chest[2]), 0.14, looks.top)
    if looks.backpack:
        shape.limb(
            (chest[0] - 0.2, 0, chest[2] - 0.02),
            (hip[0] - 0.12, 0, hip[2] + 0.15),
            0.27,
            _tone(looks.bike, 0.8),
        )


def _riding_arm(shape: Shape, looks: Looks, chest: Point, side: float) -> None:
    shoulder, hand = (chest[0], side * 0.21, chest[2]), (BAR[0], side * 0.27, BAR[2] + 0.03)
    elbow = ((shoulder[0] + hand[0]) / 2 - 0.03, side * 0.30, (shoulder[2] + hand[2]) / 2 - 0.05)
    shape.limb(shoulder, elbow, 0.10, _tone(looks.top, 0.85))
    shape.limb(elbow, hand, 0.08, _tone(looks.top, 0.82))
    shape.ball(hand, 0.05, looks.skin, detail=True)


def _riding_leg(shape: Shape, looks: Looks, hip: Point, turn: float, side: float) -> None:
    pedal = (CRANK[0] - CRANK_M * math.cos(turn), side * 0.10, CRANK[2] + CRANK_M * math.sin(turn))
    start = (hip[0], side * 0.09, hip[2] - 0.03)
    dx, dz = pedal[0] - start[0], pedal[2] - start[2]
    reach = min(math.hypot(dx, dz), 0.86)
    bend = math.acos(max(-1.0, min(1.0, reach / (2 * 0.435))))  # two bones of one length
    along = math.atan2(dz, dx) + bend
    knee = (start[0] + 0.435 * math.cos(along), side * 0.10, start[2] + 0.435 * math.sin(along))
    shape.limb(start, knee, 0.165, looks.trousers)
    shape.limb(knee, pedal, 0.115, _tone(looks.trousers, 0.93))
    shape.limb(pedal, (pedal[0] + 0.15, pedal[1], pedal[2] - 0.01), 0.08, SHOE, detail=True)
