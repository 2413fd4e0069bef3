"""Painting the street without its users: the ground with its markings, and houses.

What doesn't move is laid out once in world coordinates; a frame projects the stretch ahead of the camera.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from fsd_tools.drive.generate.camera import NEAR_M, Camera, Lens
from fsd_tools.drive.generate.course import Floats
from fsd_tools.drive.generate.layout import SIGHT_M, STOREY_M, House, Street
from fsd_tools.drive.generate.light import GRID_PX, Colour, GroundLight, Light, mix
from fsd_tools.drive.generate.paint import SHIFT, Ints, Picture, fill_many, fill_viewed, fixed
from fsd_tools.drive.generate.world import (
    FACADE_D_M,
    KERB_D_M,
    KERB_HEIGHT_M,
    PARKING_EDGE_D_M,
)

ASPHALT: Colour = (104, 102, 100)
PARKING: Colour = (112, 109, 106)
PAVEMENT: Colour = (158, 163, 166)
KERB: Colour = (190, 192, 192)
LINE: Colour = (225, 228, 228)
PANE_DAY: Colour = (120, 100, 82)
PANE_DARK: Colour = (46, 36, 32)
PANE_LIT: Colour = (110, 190, 245)
SMALLEST_STOREY_PX = 6.0
"""Houses further away show no windows."""
FRAMED_STOREY_PX = 45.0
"""Houses this near have window frames."""
BACK_M = 4.0
"""The ground begins this far behind the lens, so that the lower edge of the picture is covered."""
KERB_FACE: Colour = (135, 137, 138)
GUTTER: Colour = (96, 95, 94)
_BACK, _UP = KERB_D_M + 0.18, KERB_HEIGHT_M
_EDGES: tuple[tuple[float, float], ...] = (
    (FACADE_D_M + 14, _UP), (_BACK, _UP), (KERB_D_M, _UP), (KERB_D_M, 0), (KERB_D_M - 0.35, 0),
    (0.35 - KERB_D_M, 0), (-KERB_D_M, 0), (-KERB_D_M, _UP), (-_BACK, _UP), (-FACADE_D_M - 14, _UP),
    (PARKING_EDGE_D_M, 0), (-PARKING_EDGE_D_M, 0),
)  # fmt: skip
"""Where the ground changes, from left to right, then the edges of the lanes: offset and height."""


class StreetPainter:
    """Paints the street of one drive for one lens."""

    def __init__(self, street: Street, lens: Lens) -> None:
        self._street, self._lens = street, lens
        self._ground_light = GroundLight(lens)

    def ground(self, picture: Picture, camera: Camera, light: Light) -> None:
        """Pavement, asphalt, kerbs and markings, then the light on them."""
        ahead = np.concatenate(
            [np.arange(-BACK_M, 12, 2.0), np.arange(12, 40, 4.0), np.arange(40, SIGHT_M + 8, 8.0)]
        )
        s = camera.s_m + ahead
        top = int(max(camera.horizon_px, 0))
        picture[top:] = _plain(light, PAVEMENT, 90)

        viewed = self._strips(camera, s)

        def band(left: int, right: int, colour: Colour) -> None:
            outline = np.concatenate([viewed[left], viewed[right][::-1]])
            fill_viewed(picture, camera, outline, _plain(light, colour, 14))

        band(0, 1, PAVEMENT)
        band(8, 9, PAVEMENT)
        self._joints(picture, camera, light)
        band(3, 6, PARKING)
        band(10, 11, ASPHALT)
        for back, top_edge, foot, gutter in ((1, 2, 3, 4), (8, 7, 6, 5)):
            band(back, top_edge, KERB)
            band(top_edge, foot, KERB_FACE)
            band(foot, gutter, GUTTER)
        self._markings(picture, camera, light)
        if light.night:
            grid = self._ground_light.grid(camera, light)
            lit = cv2.resize(grid, None, fx=GRID_PX, fy=GRID_PX, interpolation=cv2.INTER_LINEAR)
            rows, columns = picture.shape[:2]
            part = picture[top:]
            cv2.multiply(part, lit[top:rows, :columns], dst=part, scale=1 / 255)

    def _strips(self, camera: Camera, s: Floats) -> Floats:
        """Lines along the road at the edges of ``_EDGES``, shape (edges, len(s), 3), as the camera sees them."""
        d, up = (np.array(column)[:, None] for column in zip(*_EDGES, strict=True))
        points = np.empty((d.shape[0], s.shape[0], 3))
        points[..., :2], points[..., 2] = self._street.world.road.place(s[None, :], d), up
        return camera.view(points.reshape(-1, 3)).reshape(points.shape)

    def _quads(self, camera: Camera, rows: Floats, up: float = 0.0) -> list[Ints]:
        """Rectangles (s, d, length, width) on the ground, in fixed-point numbers of the picture."""
        s = rows[:, [0]] + rows[:, [2]] * np.array([-0.5, 0.5, 0.5, -0.5])
        d = rows[:, [1]] + rows[:, [3]] * np.array([-0.5, -0.5, 0.5, 0.5])
        points = np.empty((s.size, 3))
        points[:, :2], points[:, 2] = self._street.world.road.place(s.ravel(), d.ravel()), up
        viewed = camera.view(points)
        viewed[:, 0] = np.maximum(viewed[:, 0], 0.9)  # below the picture's edge either way
        return list(fixed(camera.picture(viewed)).reshape(-1, 4, 2))

    def _joints(self, picture: Picture, camera: Camera, light: Light) -> None:
        first = math.floor(camera.s_m / 2) * 2
        rows = [
            (first + i * 2.0, side * (KERB_D_M + FACADE_D_M) / 2, 0.05, FACADE_D_M - KERB_D_M)
            for i in range(1, 20)
            for side in (-1.0, 1.0)
        ]
        fill_many(
            picture, self._quads(camera, np.array(rows), KERB_HEIGHT_M), _plain(light, (140, 145, 148), 14)
        )

    def _markings(self, picture: Picture, camera: Camera, light: Light) -> None:
        near, far = camera.s_m - 2, camera.s_m + 90
        for tone, patches in self._street.patches.items():
            colour = (ASPHALT[0] * tone, ASPHALT[1] * tone, ASPHALT[2] * tone)
            ahead = patches[(patches[:, 0] > near) & (patches[:, 0] < camera.s_m + 60)]
            fill_many(picture, self._quads(camera, ahead), _plain(light, colour, 20))
        zebras = [z for z in self._street.zebras if near - 4 < z < far]
        first = math.floor(near / 6) * 6
        dashes = [(first + i * 6.0, 0.0, 3.0, 0.13) for i in range(17)]
        dashes += [
            (first + i * 6.0 + 3 * half, side * PARKING_EDGE_D_M, 0.9, 0.11)
            for i in range(10)
            for half in (0, 1)
            for side in (-1.0, 1.0)
        ]
        rows = [row for row in dashes if not any(abs(row[0] - z) < 4.6 for z in zebras)]
        for z in zebras:
            rows += [(z, -5.3 + i, 3.4, 0.5) for i in range(11)] + [
                (z - 3.2, -1.8, 0.35, 3.3),
                (z + 3.2, 1.8, 0.35, 3.3),
            ]
        fill_many(picture, self._quads(camera, np.array(rows)), _plain(light, LINE, 18))

    def house(self, picture: Picture, camera: Camera, light: Light, house: House) -> None:
        """One house; far ones without windows."""
        viewed = camera.view(house.points)
        pixels = camera.picture(viewed)
        whole = float(viewed[:, 0].min()) >= NEAR_M
        left, right = float(pixels[:8, 0].min()), float(pixels[:8, 0].max())
        if viewed[:8, 0].max() < NEAR_M or (whole and (right < 0 or left > self._lens.width)):
            return
        depth = max(float(viewed[0, 0] + viewed[1, 0]) / 2, 1.0)
        lit = light.on(depth, house.side * FACADE_D_M * 0.8)
        quads = fixed(pixels).reshape(-1, 4, 2)
        for number, colour, own in house_faces(house, light.night):
            shaded = light.shade(colour, lit, depth, own)
            if whole:
                cv2.fillConvexPoly(picture, quads[number], shaded, cv2.LINE_AA, SHIFT)
            else:
                fill_viewed(picture, camera, viewed[4 * number : 4 * number + 4], shaded)
        storey_px = STOREY_M * self._lens.focal_px / depth
        if storey_px < SMALLEST_STOREY_PX:
            return
        corner = pixels[4 * FACES :].reshape(-1, 4, 2)
        seen = viewed[4 * FACES :, 0].reshape(-1, 4).min(axis=1) >= NEAR_M
        seen &= (corner[..., 0].max(axis=1) > 0) & (corner[..., 0].min(axis=1) < self._lens.width)
        seen &= corner[..., 1].max(axis=1) > 0
        if storey_px > FRAMED_STOREY_PX:
            middle = corner[seen].mean(axis=1, keepdims=True)
            frames = middle + (corner[seen] - middle) * 1.16
            frame = mix(house.wall, (235, 238, 240), 0.55)
            fill_many(picture, list(fixed(frames)), light.shade(frame, lit, depth))
        panes = quads[FACES:]
        dark = mix(PANE_DAY, PANE_DARK, light.night)
        fill_many(picture, list(panes[seen & ~house.lit]), light.shade(dark, lit, depth))
        bright = light.shade(mix(PANE_DAY, PANE_LIT, light.night), lit, depth, glow=1.0)
        fill_many(picture, list(panes[seen & house.lit]), bright)


FACES = 5


def house_faces(house: House, night: float) -> tuple[tuple[int, Colour, float], ...]:
    """Number, colour and glow of a house's large faces, in order of painting."""
    gable = (house.wall[0] * 0.72, house.wall[1] * 0.72, house.wall[2] * 0.72)
    cornice = mix(house.wall, (230, 232, 235), 0.4)
    pane = mix(PANE_DAY, (120, 190, 225), night * 0.7)
    return ((1, gable, 0.0), (0, house.wall, 0.0), (4, cornice, 0.0), (2, pane, 0.75), (3, house.shop, 0.0))


def _plain(light: Light, colour: Colour, depth_m: float) -> Colour:
    """Ground colour as in daylight: the light on the ground is multiplied over all of it afterwards."""
    return Light(0.0, light.lamps).shade(colour, (1.0, 1.0, 1.0), depth_m * (1 - light.night))
