"""One frame of a drive: the picture and the truth about what is in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.actors import Actor
from fsd_tools.drive.generate.camera import NEAR_M, Camera, Lens, camera_at, lens_of
from fsd_tools.drive.generate.cars import car, headlamps, paint_plates, plates
from fsd_tools.drive.generate.extras import make_actors
from fsd_tools.drive.generate.layout import SIGHT_M, Fixture, House, make_street
from fsd_tools.drive.generate.light import Light, light_at
from fsd_tools.drive.generate.paint import Picture, Seen, darken, glow, paint, see
from fsd_tools.drive.generate.people import bicycle, cyclist, far_cyclist, far_pedestrian, pedestrian
from fsd_tools.drive.generate.shapes import Shape
from fsd_tools.drive.generate.sky import Sky
from fsd_tools.drive.generate.street import StreetPainter
from fsd_tools.drive.generate.truth import TrueBox, covered
from fsd_tools.drive.generate.world import KERB_D_M, KERB_HEIGHT_M, World

ACTOR_M = 1.7
"""A height that stands for every actor when deciding how to draw it."""
SIMPLE_PX, SMALLEST_PX = 17.0, 4.0
"""Below the first, actors are drawn without limbs and shadow; below the second, not at all."""
PLATE_CAR_PX = 40.0
"""Cars at least this tall in the picture carry a plate."""
MAX_SPOTS = 20_000
"""Remembered places; moving actors never ask twice, so the memory must end."""
SENSOR_NOISE = 2.6
"""Standard deviation of the night's noise, in grey levels."""


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    actor: Actor
    seen: Seen
    place: tuple[float, float]
    heading_rad: float
    up_m: float


class Renderer:
    """Draws any frame of one drive; the same time always gives the same picture."""

    def __init__(
        self, world: World, actors: tuple[Actor, ...] | None = None, lens: Lens | None = None
    ) -> None:
        """``actors`` instead of everyone; ``lens`` instead of the front camera's."""
        self._world = world
        self._lens = lens or lens_of("front", world.options.width, world.options.height)
        self._actors = make_actors(world) if actors is None else actors
        self._street = make_street(world)
        self._painter = StreetPainter(self._street, self._lens)
        self._spots: dict[tuple[float, float], tuple[float, float, float]] = {}
        self._sky = Sky(self._lens, world.options.seed)
        rng = np.random.default_rng([world.options.seed, 5])
        size = (self._lens.height + 64, self._lens.width + 64, 1)
        self._grain = np.rint(rng.normal(0, SENSOR_NOISE, size)).astype(np.int8)

    @property
    def actors(self) -> tuple[Actor, ...]:
        """Everyone on the street, by number."""
        return self._actors

    @property
    def lens(self) -> Lens:
        """Through which it looks."""
        return self._lens

    def truth(self, t_s: float) -> tuple[TrueBox, ...]:
        """What is to be seen at ``t_s``, nearest first."""
        camera = camera_at(self._world, self._lens, t_s)
        return self._truth(self._place(camera))

    def frame(self, t_s: float) -> tuple[Picture, tuple[TrueBox, ...]]:
        """The picture as (height, width, 3) in BGR, and the truth about it."""
        camera = camera_at(self._world, self._lens, t_s)
        light = light_at(camera, self._world.night(t_s), self._street.lamp_places)
        picture = np.empty((self._lens.height, self._lens.width, 3), np.uint8)
        self._sky.paint(picture, camera, light)
        self._painter.ground(picture, camera, light)
        placed = self._place(camera)
        for one in placed:
            self._shadow(picture, camera, one)
        for _, thing in sorted(self._things(camera, placed), key=lambda pair: -pair[0]):
            if isinstance(thing, House):
                self._painter.house(picture, camera, light, thing)
            elif isinstance(thing, Fixture):
                self._fixture(picture, camera, light, thing)
            else:
                self._actor(picture, camera, light, thing)
        cv2.GaussianBlur(picture, (3, 3), 0.55, dst=picture)
        if light.night > 0:
            self._add_grain(picture, t_s)
        return picture, self._truth(placed)

    def _place(self, camera: Camera) -> list[_Placed]:
        """Everyone within sight."""
        placed = []
        for actor in self._actors:
            if not actor.alive_s[0] <= camera.t_s <= actor.alive_s[1]:
                continue
            s, d = actor.path.at(camera.t_s)
            if not -4 < s - camera.s_m < SIGHT_M - 25:
                continue
            x, y, road_heading = self._spot(s, d)
            forward, left = camera.ground(x, y)
            size_px = self._lens.focal_px * ACTOR_M / max(forward, NEAR_M)
            if forward < -3 or abs(left) > 1.2 * max(forward, 0) + 5 or size_px < SMALLEST_PX:
                continue
            heading = road_heading + actor.path.facing(camera.t_s)
            up = KERB_HEIGHT_M * min(max((abs(d) - KERB_D_M) / 0.2, 0.0), 1.0)
            turned = heading - math.atan2(y - camera.y_m, x - camera.x_m)
            shape = self._shape(actor, camera.t_s, turned, simple=size_px < SIMPLE_PX)
            seen = see(shape, (x, y), heading, camera, up)
            if seen.viewed[:, 0].max() > NEAR_M:
                placed.append(_Placed(actor, seen, (x, y), heading, up))
        return placed

    def _spot(self, s: float, d: float) -> tuple[float, float, float]:
        """World place and the road's heading there; what stands still asks for the same spot every frame."""
        key = (s, d)
        spot = self._spots.get(key)
        if spot is None:
            x, y = self._world.road.place(s, d).tolist()
            spot = (x, y, float(self._world.road.heading(s)))
            if len(self._spots) < MAX_SPOTS:
                self._spots[key] = spot
        return spot

    def _shape(self, actor: Actor, t_s: float, turned_rad: float, *, simple: bool) -> Shape:
        if actor.car is not None:
            moving = actor.path.moving(t_s)
            return car(actor.car, lights=moving and self._world.night(t_s) > 0.3)
        assert actor.person is not None
        if simple:
            if actor.kind is Kind.PEDESTRIAN:
                return far_pedestrian(actor.person)
            return far_cyclist(actor.person, ridden=actor.kind is Kind.CYCLIST)
        travelled = actor.path.travelled(t_s)
        if actor.kind is Kind.PEDESTRIAN:
            walking = actor.path.moving(t_s)
            return pedestrian(actor.person, travelled, turned_rad, walking=walking)
        if actor.kind is Kind.CYCLIST:
            return cyclist(actor.person, travelled, turned_rad)
        return bicycle(actor.person, travelled)

    def _things(self, camera: Camera, placed: list[_Placed]) -> list[tuple[float, House | Fixture | _Placed]]:
        """All that has to be painted, with its distance. A house counts from its far end."""
        low, high = camera.s_m - 6, camera.s_m + SIGHT_M
        things: list[tuple[float, House | Fixture | _Placed]] = [
            (house.end_m - camera.s_m, house)
            for house in self._street.houses
            if house.end_m > low and house.start_m < high
        ]
        things += [(f.s_m - camera.s_m, f) for f in self._street.fixtures if low < f.s_m < high - 30]
        things += [(one.seen.forward_m, one) for one in placed]
        return things

    def _shadow(self, picture: Picture, camera: Camera, one: _Placed) -> None:
        """Dark ground beneath; without it things float."""
        if one.seen.height_px < SIMPLE_PX or one.seen.forward_m < 1.0:
            return
        if one.actor.car is not None:
            model = one.actor.car.model
            half = (model.length / 2 + 0.12, model.width / 2 + 0.12)
        else:
            half = (0.6, 0.2) if one.actor.kind is not Kind.PEDESTRIAN else (0.28, 0.26)
        ring = [(half[0] * math.cos(a), half[1] * math.sin(a), 0.0) for a in _RING]
        ground = see(Shape(points=ring), one.place, one.heading_rad, camera, one.up_m)
        if ground.viewed[:, 0].min() > NEAR_M:
            darken(picture, ground.pixels, 0.5 if one.actor.car is not None else 0.35)

    def _actor(self, picture: Picture, camera: Camera, light: Light, one: _Placed) -> None:
        paint(picture, camera, light, one.seen)
        if one.actor.car is None:
            return
        if one.seen.forward_m > 1 and one.seen.height_px > PLATE_CAR_PX:
            corners = see(plates(one.actor.car), one.place, one.heading_rad, camera)
            paint_plates(picture, light, one.actor.car, corners)
        if light.night > 0.3 and one.actor.path.moving(camera.t_s):
            lamps = see(Shape(points=headlamps(one.actor.car)), one.place, one.heading_rad, camera)
            for (u, v), depth in zip(lamps.pixels.tolist(), lamps.viewed[:, 0].tolist(), strict=True):
                if depth > 2:
                    radius = (0.5 + 0.012 * depth) * self._lens.focal_px / depth
                    glow(picture, (u, v), radius, (235, 250, 255), light.night)

    def _fixture(self, picture: Picture, camera: Camera, light: Light, fixture: Fixture) -> None:
        x, y, heading = self._spot(fixture.s_m, fixture.d_m)
        forward, left = camera.ground(x, y)
        size_px = self._lens.focal_px * fixture.shape.reach_m / max(forward, NEAR_M)
        if forward < 1.0 or abs(left) > 1.0 * forward + 4 or size_px < SMALLEST_PX:
            return
        seen = see(fixture.shape, (x, y), heading, camera, KERB_HEIGHT_M)
        paint(picture, camera, light, seen)
        if light.night > 0 and fixture.lamp_up_m:
            u, v = seen.pixels[-1].tolist()
            radius = 1.1 * self._lens.focal_px / seen.forward_m
            glow(picture, (u, v), radius, (150, 215, 255), 0.95 * light.night)

    def _truth(self, placed: list[_Placed]) -> tuple[TrueBox, ...]:
        found: list[TrueBox] = []
        width, height = self._lens.width, self._lens.height
        for one in sorted(placed, key=lambda p: p.seen.forward_m):
            box = one.seen.box(width, height)
            if box is None or one.seen.forward_m < 1.0:
                continue
            hidden = max((covered(box, nearer.box) for nearer in found), default=0.0)
            distance = math.hypot(one.seen.forward_m, one.seen.left_m)
            found.append(
                TrueBox(
                    one.actor.number, one.actor.kind, box, distance, one.seen.left_m, hidden, one.actor.block
                )
            )
        return tuple(found)

    def _add_grain(self, picture: Picture, t_s: float) -> None:
        number = round(t_s * self._world.options.fps)
        y, x = number * 37 % 64, number * 23 % 64
        grain = self._grain[y : y + picture.shape[0], x : x + picture.shape[1]]
        cv2.add(picture, cv2.merge([grain] * 3).astype(np.int16), dst=picture, dtype=cv2.CV_8U)


_RING = [2 * math.pi * i / 16 for i in range(16)]
