"""A scenario as data: how the car drives, who does what where, and the course of the rest.

Places are told from where the car is at a moment, the *anchor*: ``ahead_m`` along the road from there, ``d`` to the
left of the road's centre line as everywhere (the car drives at -1.75, the kerb of its side is at -5.8).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fsd_firmware.samples import Kind
from fsd_tools.drive.generate.course import Course, Points, Spans

Waypoint = tuple[float, float, float]
"""Seconds after the anchor, metres ahead of it, ``d``."""


@dataclass(frozen=True, slots=True)
class Role:
    """One pedestrian, cyclist or standing car. It stands still before its first and after its last waypoint."""

    kind: Kind
    anchor_s: float
    way: tuple[Waypoint, ...]
    height_m: float | None = None
    """Of a person; a random adult's without."""
    unseen_front: Spans = ()
    """When the driving computer misses it on camera ``front``, in seconds of the drive."""
    unseen_narrow: Spans = ()
    alive_s: tuple[float, float] = (-1e9, 1e9)


@dataclass(frozen=True, slots=True)
class Script:
    """One scenario."""

    summary: str
    """A sentence for people."""
    seconds: float
    speed_mps: Points
    roles: tuple[Role, ...]
    aside_m: Points = ((0.0, 0.0),)
    """The car's way to the left of the middle of its lane."""
    course: Course = field(default_factory=Course)
    zebras: tuple[tuple[float, float], ...] = ()
    """Zebra crossings: anchor and metres ahead."""
    extras: bool = True
    """Parked cars, walkers on the pavements and oncoming traffic, all by chance."""


def walk(
    anchor_s: float, ahead_m: float, d: float, to_d: float, mps: float, *, height_m: float | None = None
) -> Role:
    """A pedestrian who waits at ``d`` and crosses to ``to_d`` from the anchor on."""
    way = ((0.0, ahead_m, d), (abs(to_d - d) / mps, ahead_m, to_d))
    return Role(Kind.PEDESTRIAN, anchor_s, way, height_m)


def stand(anchor_s: float, ahead_m: float, d: float, *, height_m: float | None = None) -> Role:
    """A pedestrian who doesn't move."""
    return Role(Kind.PEDESTRIAN, anchor_s, ((0.0, ahead_m, d),), height_m)


def ride(anchor_s: float, ahead_m: float, d: float, mps: float, *, for_s: float = 30.0) -> Role:
    """A cyclist who is ``ahead_m`` ahead at the anchor and rides evenly along the road; backwards where negative."""
    way = ((-for_s, ahead_m - mps * for_s, d), (for_s, ahead_m + mps * for_s, d))
    return Role(Kind.CYCLIST, anchor_s, way)


def parked(anchor_s: float, ahead_m: float) -> Role:
    """A car at the kerb of the car's side, its middle that far ahead."""
    return Role(Kind.CAR, anchor_s, ((0.0, ahead_m, -4.72),))
