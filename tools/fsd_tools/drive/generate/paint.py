"""Seeing shapes through a camera, and painting them.

A :class:`Seen` is a shape in picture coordinates: the same numbers paint it and give its box, so that truth
and picture can't disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_tools.drive.generate.camera import NEAR_M, Camera, cut_near
from fsd_tools.drive.generate.course import Floats
from fsd_tools.drive.generate.light import Colour, Light
from fsd_tools.drive.generate.shapes import Form, Primitive, Shape

Picture = NDArray[np.uint8]
Ints = NDArray[np.int32]
SHIFT = 4
"""Fractional bits of OpenCV's pixel coordinates: without them slow things would jump."""
FAR_PX = 30_000.0
"""Pixels further out are moved here, where OpenCV's integers still hold."""
DETAIL_PX = 26.0
"""A shape this small in the picture is painted without its details."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A shape as a camera sees it."""

    shape: Shape
    viewed: Floats
    pixels: Floats
    focal_px: float
    forward_m: float
    left_m: float

    @property
    def height_px(self) -> float:
        """Of the shape's reach at its own distance."""
        return self.shape.reach_m * self.focal_px / max(self.forward_m, NEAR_M)

    def box(self, width: int, height: int) -> tuple[float, float, float, float] | None:
        """What of the shape lies in the picture: x1, y1, x2, y2; None where nothing does."""
        ahead = self.viewed[:, 0] >= NEAR_M
        if not ahead.any():
            return None
        reach = self.shape.reach[ahead] * (self.focal_px / self.viewed[ahead, 0, None])
        low, high = (self.pixels[ahead] - reach).min(axis=0), (self.pixels[ahead] + reach).max(axis=0)
        x1, y1 = np.maximum(low, 0).tolist()
        x2, y2 = np.minimum(high, [width, height]).tolist()
        return (x1, y1, x2, y2) if x2 - x1 > 1 and y2 - y1 > 1 else None


def see(
    shape: Shape, place: tuple[float, float], heading_rad: float, camera: Camera, up_m: float = 0.0
) -> Seen:
    """Put ``shape`` on the world's ground and look at it."""
    local = shape.local
    c, s = math.cos(heading_rad), math.sin(heading_rad)
    world = np.empty_like(local)
    world[:, 0] = place[0] + c * local[:, 0] - s * local[:, 1]
    world[:, 1] = place[1] + s * local[:, 0] + c * local[:, 1]
    world[:, 2] = local[:, 2] + up_m
    viewed = camera.view(world)
    forward, left = camera.ground(*place)
    return Seen(shape, viewed, camera.picture(viewed), camera.lens.focal_px, forward, left)


def fixed(pixels: Floats) -> Ints:
    """Pixels as OpenCV's fixed-point numbers."""
    return np.rint(np.clip(pixels, -FAR_PX, FAR_PX) * (1 << SHIFT)).astype(np.int32)


def fill(picture: Picture, pixels: Floats, colour: Colour) -> None:
    """One convex polygon."""
    cv2.fillConvexPoly(picture, fixed(pixels), colour, cv2.LINE_AA, SHIFT)


def fill_many(picture: Picture, polygons: list[Ints], colour: Colour) -> None:
    """Polygons that don't overlap, already in fixed-point numbers."""
    if polygons:
        cv2.fillPoly(picture, polygons, colour, cv2.LINE_AA, SHIFT)


def fill_viewed(picture: Picture, camera: Camera, viewed: Floats, colour: Colour) -> None:
    """One polygon of camera points, convex or not, cut at the near plane."""
    cut = cut_near(viewed)
    if cut.shape[0] >= 3:
        fill_many(picture, [fixed(camera.picture(cut))], colour)


def paint(picture: Picture, camera: Camera, light: Light, seen: Seen) -> None:
    """Paint a shape where it is seen."""
    small = seen.height_px < DETAIL_PX
    points = fixed(seen.pixels)
    viewed = seen.viewed.tolist()
    whole = min(row[0] for row in viewed) >= NEAR_M
    lit = light.on(seen.forward_m, seen.left_m)
    gain, haze = light.fade(lit, seen.forward_m)
    for part in seen.shape.primitives:
        if small and part.detail:
            continue
        blue, green, red = part.colour
        if part.glow:
            colour = light.shade(part.colour, lit, seen.forward_m, part.glow)
        else:
            colour = (blue * gain[0] + haze[0], green * gain[1] + haze[1], red * gain[2] + haze[2])
        in_front = whole or min(viewed[i][0] for i in part.at) >= NEAR_M
        if part.form is Form.POLYGON:
            if part.two_sided or not _turned_away(*viewed[part.at[0] : part.at[0] + 3]):
                _polygon(picture, camera, seen, part, points, colour, whole=in_front)
        elif in_front:
            _round(picture, seen, part, points, viewed[part.at[0]][0], colour)


def _polygon(
    picture: Picture,
    camera: Camera,
    seen: Seen,
    part: Primitive,
    points: Ints,
    colour: Colour,
    *,
    whole: bool,
) -> None:
    low, high = part.at[0], part.at[-1] + 1
    if whole:
        cv2.fillConvexPoly(picture, points[low:high], colour, cv2.LINE_AA, SHIFT)
    else:
        fill_viewed(picture, camera, seen.viewed[low:high], colour)


def _turned_away(a: list[float], b: list[float], c: list[float]) -> bool:
    """Whether the face that begins with these three points looks away from the lens."""
    ux, uy, uz, vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2]
    normal = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
    return normal[0] * a[0] + normal[1] * a[1] + normal[2] * a[2] >= 0


def _round(picture: Picture, seen: Seen, part: Primitive, points: Ints, depth: float, colour: Colour) -> None:
    scale = seen.focal_px / depth * part.size_m
    first = (int(points[part.at[0], 0]), int(points[part.at[0], 1]))
    if part.form is Form.LIMB:
        second = (int(points[part.at[1], 0]), int(points[part.at[1], 1]))
        cv2.line(picture, first, second, colour, max(1, round(scale)), cv2.LINE_AA, SHIFT)
    elif scale > 0.4:
        axes = (round(scale * (1 << SHIFT)), round(scale * part.tall * (1 << SHIFT)))
        cv2.ellipse(picture, first, axes, 0, 0, 360, colour, -1, cv2.LINE_AA, SHIFT)


def darken(picture: Picture, pixels: Floats, share: float) -> None:
    """A soft shadow: what lies under the polygon keeps ``1 - share`` of its brightness."""
    height, width = picture.shape[:2]
    x1, y1 = np.maximum(np.floor(pixels.min(axis=0)), 0).astype(int).tolist()
    x2, y2 = np.minimum(np.ceil(pixels.max(axis=0)) + 1, [width, height]).astype(int).tolist()
    if x2 - x1 < 2 or y2 - y1 < 1:
        return
    mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
    cv2.fillConvexPoly(mask, fixed(pixels - [x1, y1]), 255, cv2.LINE_AA, SHIFT)
    part = picture[y1:y2, x1:x2]
    keep = cv2.merge([np.rint(255 - mask * share).astype(np.uint8)] * 3)
    cv2.multiply(part, keep, dst=part, scale=1 / 255)


_GLOW = np.clip(1 - np.hypot(*np.mgrid[-1:1:64j, -1:1:64j]), 0, 1).astype(np.float32) ** 2.2


def glow(
    picture: Picture, centre: tuple[float, float], radius_px: float, colour: Colour, share: float
) -> None:
    """Light that spills around a lamp: added, never above white."""
    height, width = picture.shape[:2]
    radius = int(min(max(radius_px, 2.0), height / 2))
    x, y = round(centre[0]) - radius, round(centre[1]) - radius
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + 2 * radius, width), min(y + 2 * radius, height)
    if x2 <= x1 or y2 <= y1:
        return
    kernel = cv2.resize(_GLOW, (2 * radius, 2 * radius))[y1 - y : y2 - y, x1 - x : x2 - x]
    spill = (kernel[..., None] * (np.array(colour) * share)).astype(np.uint8)
    part = picture[y1:y2, x1:x2]
    cv2.add(part, spill, dst=part)
