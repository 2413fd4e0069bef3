"""Painting the street without its users: the ground with its markings, and houses.

What doesn't move is laid out once in world coordinates; a frame projects the stretch ahead of the camera.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from fsd_tools.drive.generate.camera import NEAR_M, Camera, Lens
from fsd_tools.drive.generate.layout import SIGHT_M, STOREY_M, House, Street
from fsd_tools.drive.generate.light import GRID_PX, Colour, GroundLight, Light, mix
from fsd_tools.drive.generate.paint import Ints, Picture, fill_many, fill_viewed, fixed
from fsd_tools.drive.generate.world import (
    FACADE_D_M,
    KERB_D_M,
    KERB_HEIGHT_M,
    PARKING_EDGE_D_M,
    Floats,
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
BACK_M = 4.0
"""The ground begins this far behind the lens, so that the lower edge of the picture is covered."""


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

        def band(left: float, right: float, colour: Colour, low: float = 0.0, high: float = 0.0) -> None:
            self._band(picture, camera, light, s, (left, right), (low, high), colour)

        edge = KERB_D_M + 0.18
        band(FACADE_D_M + 14, edge, PAVEMENT, KERB_HEIGHT_M, KERB_HEIGHT_M)
        band(-edge, -FACADE_D_M - 14, PAVEMENT, KERB_HEIGHT_M, KERB_HEIGHT_M)
        self._joints(picture, camera, light)
        band(KERB_D_M, -KERB_D_M, PARKING)
        band(PARKING_EDGE_D_M, -PARKING_EDGE_D_M, ASPHALT)
        for side in (1.0, -1.0):
            band(side * edge, side * KERB_D_M, KERB, KERB_HEIGHT_M, KERB_HEIGHT_M)
            band(side * KERB_D_M, side * KERB_D_M, (135, 137, 138), KERB_HEIGHT_M, 0)
            gutter = side * (KERB_D_M - 0.35)
            band(gutter, side * KERB_D_M, (96, 95, 94))
        self._markings(picture, camera, light)
        if light.night:
            grid = self._ground_light.grid(camera, light)
            lit = cv2.resize(grid, None, fx=GRID_PX, fy=GRID_PX, interpolation=cv2.INTER_LINEAR)
            rows, columns = picture.shape[:2]
            part = picture[top:]
            cv2.multiply(part, lit[top:rows, :columns], dst=part, scale=1 / 255)

    def _band(
        self,
        picture: Picture,
        camera: Camera,
        light: Light,
        s: Floats,
        d: tuple[float, float],
        up: tuple[float, float],
        colour: Colour,
    ) -> None:
        road = self._street.world.road
        n = s.shape[0]
        points = np.empty((2 * n, 3))
        points[:n, :2], points[:n, 2] = road.place(s, d[0]), up[0]
        points[n:, :2], points[n:, 2] = road.place(s[::-1], d[1]), up[1]
        fill_viewed(picture, camera, camera.view(points), _plain(light, colour, 14))

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
        """One house; far ones without frames."""
        viewed = camera.view(house.points)
        if viewed[:8, 0].max() < NEAR_M:
            return
        edges = camera.picture(viewed[:8])
        if viewed[:8, 0].min() > NEAR_M and (edges[:, 0].max() < 0 or edges[:, 0].min() > self._lens.width):
            return
        depth = max(float(viewed[:2, 0].mean()), 1.0)
        lit = light.on(depth, house.side * FACADE_D_M * 0.8)
        pane = mix(PANE_DAY, (120, 190, 225), light.night * 0.7)
        gable = (house.wall[0] * 0.72, house.wall[1] * 0.72, house.wall[2] * 0.72)
        for first, colour, own in (
            (4, gable, 0.0),
            (0, house.wall, 0.0),
            (8, pane, 0.75),
            (12, house.shop, 0.0),
        ):
            shaded = light.shade(colour, lit, depth, own)
            fill_viewed(picture, camera, viewed[first : first + 4], shaded)
        if STOREY_M * self._lens.focal_px / depth > SMALLEST_STOREY_PX:
            self._windows(picture, camera, light, house, viewed[16:], lit, depth)

    def _windows(
        self,
        picture: Picture,
        camera: Camera,
        light: Light,
        house: House,
        viewed: Floats,
        lit: Colour,
        depth: float,
    ) -> None:
        ahead = viewed[:, 0].reshape(-1, 4).min(axis=1) >= NEAR_M
        pixels = camera.picture(viewed).reshape(-1, 4, 2)
        within = ahead & (pixels[..., 0].max(axis=1) > 0) & (pixels[..., 0].min(axis=1) < self._lens.width)
        within &= pixels[..., 1].max(axis=1) > 0
        quads = fixed(pixels)
        bright = np.zeros(quads.shape[0], np.bool_)
        bright[list(house.lit)] = True
        dark = mix(PANE_DAY, PANE_DARK, light.night)
        fill_many(picture, list(quads[within & ~bright]), light.shade(dark, lit, depth))
        colour = light.shade(mix(PANE_DAY, PANE_LIT, light.night), lit, depth, glow=1.0)
        fill_many(picture, list(quads[within & bright]), colour)


def _plain(light: Light, colour: Colour, depth_m: float) -> Colour:
    """Ground colour as in daylight: the light on the ground is multiplied over all of it afterwards."""
    return Light(0.0, light.lamps).shade(colour, (1.0, 1.0, 1.0), depth_m * (1 - light.night))
