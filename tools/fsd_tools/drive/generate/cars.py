"""Cars: a body, a cabin with glass, wheels, lamps and a plate that can be read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from fsd_tools.drive.generate.camera import NEAR_M
from fsd_tools.drive.generate.light import Colour, Light
from fsd_tools.drive.generate.paint import Picture, Seen
from fsd_tools.drive.generate.shapes import Point, Shape

PAINTS: tuple[Colour, ...] = (
    (200, 200, 205),
    (60, 58, 58),
    (140, 138, 135),
    (40, 40, 160),
    (130, 80, 35),
    (225, 225, 228),
    (70, 95, 60),
    (90, 120, 150),
)
GLASS: Colour = (75, 62, 52)
TYRE: Colour = (32, 30, 30)
RIM: Colour = (140, 140, 145)
PLATE_M = (0.52, 0.115)
PLATE_PX = (156, 36)
PLATE_UP_M = 0.55


@dataclass(frozen=True, slots=True)
class Model:
    """Measures of one kind of car, in metres."""

    length: float
    width: float
    waist: float
    """Height of the body below the windows."""
    height: float
    cabin: tuple[float, float, float, float]
    """Where the cabin ends along the car: foot of the rear window, roof's rear, roof's front, windscreen foot."""


MODELS = (
    Model(4.0, 1.76, 0.88, 1.48, (-1.95, -1.55, 0.25, 0.95)),
    Model(4.6, 1.82, 0.86, 1.43, (-1.75, -1.05, 0.35, 1.15)),
    Model(4.5, 1.86, 1.00, 1.66, (-2.15, -1.80, 0.35, 1.05)),
    Model(5.0, 1.95, 1.05, 2.05, (-2.45, -2.40, 1.05, 1.65)),
)


@dataclass(frozen=True, slots=True)
class CarLooks:
    """What tells one car from another."""

    model: Model
    paint: Colour
    plate: str


def random_car(rng: np.random.Generator) -> CarLooks:
    """One car; plates are fictional (no country issues ``FSD``)."""
    model = MODELS[int(rng.choice(len(MODELS), p=[0.35, 0.3, 0.25, 0.1]))]
    paint = PAINTS[int(rng.integers(len(PAINTS)))]
    letters = "".join(chr(65 + int(i)) for i in rng.integers(0, 26, 2))
    return CarLooks(model, paint, f"FSD {int(rng.integers(100, 1000))} {letters}")


def _tone(colour: Colour, factor: float) -> Colour:
    return (min(255, colour[0] * factor), min(255, colour[1] * factor), min(255, colour[2] * factor))


def _box(shape: Shape, low: Point, high: Point, colour: Colour) -> None:
    """Five faces of an upright block, the bottom left out."""
    (a, b, c), (d, e, f) = low, high
    shape.polygon((a, e, c), (a, b, c), (a, b, f), (a, e, f), colour=_tone(colour, 0.82))
    shape.polygon((d, b, c), (d, e, c), (d, e, f), (d, b, f), colour=_tone(colour, 0.9))
    shape.polygon((d, e, c), (a, e, c), (a, e, f), (d, e, f), colour=_tone(colour, 0.74))
    shape.polygon((a, b, c), (d, b, c), (d, b, f), (a, b, f), colour=_tone(colour, 0.74))
    shape.polygon((a, e, f), (a, b, f), (d, b, f), (d, e, f), colour=_tone(colour, 1.08))


@cache
def car(looks: CarLooks, *, braking: bool = False, lights: bool = False) -> Shape:
    """The car as a shape; the same looks give the same object."""
    m, paint = looks.model, looks.paint
    shape = Shape(reach_m=m.height)
    half, side = m.length / 2, m.width / 2
    _box(shape, (-half + 0.06, -side + 0.05, 0.22), (half - 0.06, side - 0.05, 0.45), _tone(paint, 0.55))
    _box(shape, (-half, -side, 0.38), (half, side, m.waist), paint)
    _cabin(shape, m, paint)
    for axle in (-half + 0.78, half - 0.82):
        _wheels(shape, axle, side)
    _lamps(shape, m, braking=braking, lights=lights)
    return shape


def _cabin(shape: Shape, m: Model, paint: Colour) -> None:
    a, b, c, d = m.cabin
    low, high, foot, roof = m.waist, m.height, m.width / 2 - 0.04, m.width / 2 - 0.2
    for outer, inner in ((1.0, paint), (0.86, GLASS)):
        z0, z1 = low + (1 - outer) * 0.35, high - (1 - outer) * 0.75
        f, r = foot * outer, roof * outer
        glass = outer < 1
        rear = (a + 0.05 * glass, b + 0.02 * glass)
        front = (c - 0.02 * glass, d - 0.05 * glass)
        shade = 1.0 if glass else 0.8
        lift = 0.012 * glass  # the glass lies on the body, not in it
        shape.polygon(
            (rear[0] - lift, f, z0), (rear[0] - lift, -f, z0), (rear[1] - lift, -r, z1), (rear[1] - lift, r, z1),
            colour=_tone(inner, shade * 1.1),
        )  # fmt: skip
        shape.polygon(
            (front[1] + lift, -f, z0), (front[1] + lift, f, z0), (front[0] + lift, r, z1), (front[0] + lift, -r, z1),
            colour=_tone(inner, shade * 1.25),
        )  # fmt: skip
        for s in (1.0, -1.0):
            y0, y1 = s * (foot + lift), s * (roof + lift)
            x = (a + 0.25 * glass, b + 0.2 * glass, c - 0.12 * glass, d - 0.3 * glass)
            face = [(x[3], y0, z0), (x[0], y0, z0), (x[1], y1, z1), (x[2], y1, z1)]
            shape.polygon(*(face if s > 0 else face[::-1]), colour=_tone(inner, shade * 0.95))
    shape.polygon(
        (b, roof, high), (b, -roof, high), (c, -roof, high), (c, roof, high), colour=_tone(paint, 1.1)
    )
    for s in (1.0, -1.0):
        y = s * (foot + 0.02)
        pillar = [((b + c) / 2 - 0.04, y, low), ((b + c) / 2 + 0.04, y, low)]
        top = [((b + c) / 2 + 0.03, s * roof, high), ((b + c) / 2 - 0.03, s * roof, high)]
        shape.polygon(
            *(pillar + top if s < 0 else [*top, *pillar][::-1]), colour=_tone(paint, 0.7), detail=True
        )


def _wheels(shape: Shape, axle: float, side: float) -> None:
    for s in (1.0, -1.0):
        for radius, colour, out in ((0.34, TYRE, 0.01), (0.2, RIM, 0.02)):
            ring = [
                (axle + radius * math.cos(s * t), s * (side + out), 0.34 + radius * math.sin(s * t))
                for t in np.linspace(0, -2 * math.pi, 14, endpoint=False).tolist()
            ]
            shape.polygon(*ring, colour=colour, detail=radius < 0.3)


def _lamps(shape: Shape, m: Model, *, braking: bool, lights: bool) -> None:
    half, side = m.length / 2, m.width / 2
    red: Colour = (50, 50, 255) if braking else (45, 35, 185)
    white: Colour = (250, 255, 255) if lights else (225, 225, 220)
    for s in (1.0, -1.0):
        y1, y2 = sorted((s * (side - 0.06), s * (side - 0.36)))
        z1, z2, back, front = m.waist - 0.24, m.waist - 0.08, -half - 0.01, half + 0.01
        shape.polygon(
            (back, y2, z1),
            (back, y1, z1),
            (back, y1, z2),
            (back, y2, z2),
            colour=red,
            glow=0.8 * (lights or braking),
        )
        z1, z2 = m.waist - 0.3, m.waist - 0.14
        shape.polygon(
            (front, y1, z1),
            (front, y2, z1),
            (front, y2, z2),
            (front, y1, z2),
            colour=white,
            glow=1.0 * lights,
        )
    shape.polygon(
        (half + 0.01, -0.5, 0.42), (half + 0.01, 0.5, 0.42), (half + 0.01, 0.5, 0.6), (half + 0.01, -0.5, 0.6),
        colour=(40, 38, 38), detail=True,
    )  # fmt: skip


@cache
def _plate(text: str) -> Picture:
    width, height = PLATE_PX
    plate = np.full((height, width, 3), (238, 240, 240), np.uint8)
    cv2.rectangle(plate, (1, 1), (width - 2, height - 2), (60, 60, 60), 2)
    cv2.rectangle(plate, (0, 0), (12, height), (150, 70, 30), -1)
    cv2.putText(plate, text, (17, 28), cv2.FONT_HERSHEY_DUPLEX, 0.78, (25, 25, 25), 2, cv2.LINE_AA)
    return plate


def plate_corners(looks: CarLooks) -> tuple[list[Point], list[Point]]:
    """Rear and front plate as seen: upper left, upper right, lower right, lower left."""
    half, wide, tall = looks.model.length / 2 + 0.02, PLATE_M[0] / 2, PLATE_M[1] / 2
    rows = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    rear = [(-half, y * wide, PLATE_UP_M + z * tall) for y, z in rows]
    front = [(half, -y * wide, PLATE_UP_M - 0.03 + z * tall) for y, z in rows]
    return rear, front


def paint_plates(picture: Picture, light: Light, looks: CarLooks, seen: Seen) -> None:
    """Put the plate that faces the camera onto a painted car; ``seen`` is of the two plates' corners."""
    lit = light.on(seen.forward_m, seen.left_m)
    for first in (0, 4):
        viewed, corners = seen.viewed[first : first + 4], seen.pixels[first : first + 4].astype(np.float32)
        across = corners[1] - corners[0]
        if viewed[:, 0].min() < NEAR_M or across[0] < 8:
            continue
        x1, y1 = np.floor(corners.min(axis=0)).astype(int).tolist()
        x2, y2 = np.ceil(corners.max(axis=0)).astype(int).tolist()
        x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, picture.shape[1]), min(y2, picture.shape[0])
        if x2 <= x1 or y2 <= y1:
            continue
        width, height = PLATE_PX
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        turn = cv2.getPerspectiveTransform(source, corners - np.array([x1, y1], np.float32))
        patch = cv2.warpPerspective(_plate(looks.plate), turn, (x2 - x1, y2 - y1), flags=cv2.INTER_AREA)
        mask = np.zeros(patch.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, np.rint(corners - [x1, y1]).astype(np.int32), 255)
        shaded = np.rint(patch * np.array(light.shade((1, 1, 1), lit, 0, 0.25))).astype(np.uint8)
        cv2.copyTo(shaded, mask, picture[y1:y2, x1:x2])


def plates(looks: CarLooks) -> Shape:
    """Both plates as a shape of points only, to be seen with the car."""
    rear, front = plate_corners(looks)
    return Shape(points=rear + front)


def headlamps(looks: CarLooks) -> list[Point]:
    """Centres of the front lamps."""
    m = looks.model
    return [(m.length / 2, s * (m.width / 2 - 0.21), m.waist - 0.22) for s in (1.0, -1.0)]
