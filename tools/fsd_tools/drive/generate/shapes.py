"""Things as a few primitives in three dimensions.

A shape has points in its own coordinates (forward, left, up, in metres, origin on the ground) and primitives
over them: filled polygons, limbs (thick lines with round ends) and balls. Primitives are painted in the order
in which they were added; polygons that turn their back are left out, which is all the hiding a convex body
needs. Boxes of ground truth come from the same projected primitives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fsd_tools.drive.generate.light import Colour

Point = tuple[float, float, float]


class Form(Enum):
    """What a primitive is."""

    POLYGON = 1
    LIMB = 2
    BALL = 3


@dataclass(frozen=True, slots=True)
class Primitive:
    """One painted part; ``at`` are rows of the shape's points."""

    form: Form
    at: tuple[int, ...]
    colour: Colour
    size_m: float = 0.0
    """Width of a limb, radius of a ball."""
    tall: float = 1.0
    """Height of a ball over its width."""
    glow: float = 0.0
    two_sided: bool = True
    detail: bool = False
    """Left out when the shape is small in the picture."""


@dataclass
class Shape:
    """A thing under construction, and then painted."""

    points: list[Point] = field(default_factory=list)
    """Each belongs to one primitive; those of one primitive are neighbours."""
    pads: list[tuple[float, float]] = field(default_factory=list)
    """How far paint reaches around each point, in metres across and up."""
    primitives: list[Primitive] = field(default_factory=list)
    reach_m: float = 1.0
    """Height, for deciding about detail."""

    @cached_property
    def local(self) -> NDArray[np.float64]:
        """The points as (n, 3), for a finished shape."""
        return np.array(self.points, np.float64)

    @cached_property
    def reach(self) -> NDArray[np.float64]:
        """The pads as (n, 2), for a finished shape."""
        return np.array(self.pads, np.float64)

    def _add(self, points: tuple[Point, ...], across: float = 0.0, up: float = 0.0) -> tuple[int, ...]:
        first = len(self.points)
        self.points.extend(points)
        self.pads.extend([(across, up)] * len(points))
        return tuple(range(first, first + len(points)))

    def polygon(
        self,
        *points: Point,
        colour: Colour,
        glow: float = 0.0,
        two_sided: bool = False,
        detail: bool = False,
    ) -> None:
        """A convex face, counter-clockwise as seen from outside."""
        at = self._add(points)
        self.primitives.append(
            Primitive(Form.POLYGON, at, colour, glow=glow, two_sided=two_sided, detail=detail)
        )

    def limb(self, a: Point, b: Point, width_m: float, colour: Colour, *, detail: bool = False) -> None:
        """A thick line with round ends."""
        at = self._add((a, b), width_m / 2, width_m / 2)
        self.primitives.append(Primitive(Form.LIMB, at, colour, width_m, detail=detail))

    def ball(
        self,
        centre: Point,
        radius_m: float,
        colour: Colour,
        *,
        tall: float = 1.0,
        glow: float = 0.0,
        detail: bool = False,
    ) -> None:
        """A disc that always faces the camera."""
        at = self._add((centre,), radius_m, radius_m * tall)
        self.primitives.append(Primitive(Form.BALL, at, colour, radius_m, tall, glow, detail=detail))
