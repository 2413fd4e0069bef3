"""What a camera has in view, before any detector, without drawing it.

Every road user is an upright block of its kind's measures, seen through the pinhole; its box is the smallest that
holds the block's corners. Good for many looks at once: all of a drive's looks are computed together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fsd_firmware.samples import PERSON_KINDS, Kind
from fsd_tools.drive.generate.actors import Actor
from fsd_tools.drive.generate.camera import HEIGHT_M, NEAR_M, PITCH_PER_ACCEL, Lens
from fsd_tools.drive.generate.course import Floats
from fsd_tools.drive.generate.world import KERB_D_M, KERB_HEIGHT_M, World

SIGHT_M = 110.0
NEAREST_M = 1.0
SMALLEST_PX = 4.0
FACING_S = 0.15
"""Where an actor looks follows from its places this much before and after."""
PERSON_M = (0.3, 0.5)
"""Length and width of somebody on foot."""
BICYCLE_M = (1.75, 0.55, 1.1)
RIDER_M = 1.8
CLOSING_MPS = 0.5
"""Slower than this the driving computer gives no time to collision."""


@dataclass(frozen=True, slots=True)
class TrueBox:
    """One road user as the camera sees it, before any detector."""

    actor: int
    kind: Kind
    box: tuple[float, float, float, float]
    distance_m: float
    """Along the ground from the lens to the actor's middle."""
    left_m: float
    """To the left of the direction of travel."""
    hidden: float
    """Share of the box that nearer road users cover."""
    block: int
    ttc_s: float | None = None
    """Distance over closing speed, where the driving computer would know it."""


def covered(box: tuple[float, float, float, float], by: tuple[float, float, float, float]) -> float:
    """Share of ``box`` that ``by`` covers."""
    wide = min(box[2], by[2]) - max(box[0], by[0])
    tall = min(box[3], by[3]) - max(box[1], by[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return max(wide, 0.0) * max(tall, 0.0) / area


def true_looks(world: World, actors: Sequence[Actor], lens: Lens, t_s: Floats) -> list[tuple[TrueBox, ...]]:
    """What is in view at each of the increasing times ``t_s``, nearest first."""
    looks: list[list[tuple[float, TrueBox]]] = [[] for _ in range(t_s.shape[0])]
    ego = _Ego(world, t_s)
    for actor in actors:
        for at, forward_m, box in _views(world, actor, lens, ego):
            looks[at].append((forward_m, box))
    return [_hide([box for _, box in sorted(look, key=lambda pair: pair[0])]) for look in looks]


def _hide(boxes: list[TrueBox]) -> tuple[TrueBox, ...]:
    found: list[TrueBox] = []
    for one in boxes:
        hidden = max((covered(one.box, nearer.box) for nearer in found), default=0.0)
        found.append(
            TrueBox(one.actor, one.kind, one.box, one.distance_m, one.left_m, hidden, one.block, one.ttc_s)
        )
    return tuple(found)


class _Ego:
    """Where the lens is at every look."""

    def __init__(self, world: World, t_s: Floats) -> None:
        m = world.motion
        self.t_s, self.s_m = t_s, m.at(m.s_m, t_s)
        self.place = world.road.place(self.s_m, m.at(m.d_m, t_s))
        self.heading = m.at(m.heading_rad, t_s)
        self.pitch = PITCH_PER_ACCEL * m.at(m.accel_mps2, t_s)

    def ground(self, place: Floats) -> tuple[Floats, Floats]:
        """Forward and left distances of places of shape (looks, 2) or (looks, corners, 2)."""
        corners = (slice(None), *[None] * (place.ndim - 2))
        dx, dy = np.moveaxis(place - self.place[(*corners, slice(None))], -1, 0)
        c, s = np.cos(self.heading)[corners], np.sin(self.heading)[corners]
        return c * dx + s * dy, c * dy - s * dx


def _views(world: World, actor: Actor, lens: Lens, ego: _Ego) -> list[tuple[int, float, TrueBox]]:
    """(look, forward distance, box) of the looks that have the actor in view; ``hidden`` is not known yet."""
    s, d = (np.interp(ego.t_s, actor.path.t_s, column) for column in (actor.path.s_m, actor.path.d_m))
    alive = (ego.t_s >= actor.alive_s[0]) & (ego.t_s <= actor.alive_s[1])
    if not (alive & (np.abs(s - ego.s_m) < SIGHT_M)).any():
        return []
    place = world.road.place(s, d)
    forward, left = ego.ground(place)
    box, whole = _boxes(world, actor, lens, ego, place, (s, d))
    away = np.hypot(forward, left)
    shown = box.copy()
    shown[:, 0::2], shown[:, 1::2] = box[:, 0::2].clip(0, lens.width), box[:, 1::2].clip(0, lens.height)
    wide, tall = shown[:, 2] - shown[:, 0], shown[:, 3] - shown[:, 1]
    seen = alive & whole & (forward < SIGHT_M) & (wide > 1) & (tall >= SMALLEST_PX)
    closing = -np.gradient(away, ego.t_s) if away.shape[0] > 1 else np.zeros(1)
    known = (closing > CLOSING_MPS) & (actor.kind in PERSON_KINDS)
    ttc = away / np.where(known, closing, 1.0)
    return [
        (
            at,
            float(forward[at]),
            TrueBox(
                actor.number, actor.kind, tuple(shown[at].tolist()), float(away[at]), float(left[at]), 0.0,
                actor.block, float(ttc[at]) if known[at] else None,
            ),
        )
        for at in np.flatnonzero(seen).tolist()
    ]  # fmt: skip


def _measures(actor: Actor) -> tuple[float, float, float]:
    """Length, width and height in metres."""
    if actor.car is not None:
        return actor.car.model.length, actor.car.model.width, actor.car.model.height
    if actor.kind is Kind.PEDESTRIAN:
        assert actor.person is not None
        return (*PERSON_M, actor.person.height_m)
    return BICYCLE_M if actor.kind is Kind.BICYCLE else (BICYCLE_M[0], BICYCLE_M[1], RIDER_M)


def _boxes(
    world: World, actor: Actor, lens: Lens, ego: _Ego, place: Floats, road: tuple[Floats, Floats]
) -> tuple[Floats, np.typing.NDArray[np.bool_]]:
    """Boxes of shape (looks, 4), beyond the picture's edges too, and whether all of the block lies ahead."""
    length, width, height = _measures(actor)
    heading = world.road.heading(road[0]) + _facing(actor, ego.t_s)
    along = np.stack([np.cos(heading), np.sin(heading)], axis=-1)[:, None, :] * length / 2
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)[:, None, :] * width / 2
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])[None, :, :]
    corners = place[:, None, :] + signs[..., :1] * along + signs[..., 1:] * across
    forward, left = ego.ground(corners)
    up = KERB_HEIGHT_M * (np.abs(road[1]) > KERB_D_M) - HEIGHT_M
    depth = np.maximum(forward, NEAR_M)
    u = lens.centre[0] - lens.focal_px * left / depth
    tilt = np.tan(ego.pitch)[:, None]
    low, high = (lens.centre[1] - lens.focal_px * ((up + z)[:, None] / depth - tilt) for z in (0.0, height))
    box = np.stack([u.min(axis=1), high.min(axis=1), u.max(axis=1), low.max(axis=1)], axis=-1)
    return box, forward.min(axis=1) > NEAREST_M


def _facing(actor: Actor, t_s: Floats) -> Floats:
    path = actor.path
    ds, dd = (
        np.interp(t_s + FACING_S, path.t_s, column) - np.interp(t_s - FACING_S, path.t_s, column)
        for column in (path.s_m, path.d_m)
    )
    return np.where(np.hypot(ds, dd) > 0.02, np.arctan2(dd, ds), path.facing_rad)
