"""Sensitive zones: where nothing is collected.

A firing inside a zone of the region's policy is dropped, and so is one whose place is not known: while there are zones,
the newest known position at or before the firing must not be older than :data:`POSITION_GOOD_NS`. A clip that fired
outside and reaches into a zone before it ends is dropped whole when it is finished. Without zones, positions don't
matter.

Edges are straight in latitude and longitude; positions are as exact as the receiver's: draw zones with a margin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import SensitiveZone
from fsd_firmware.samples import GnssFixes

POSITION_GOOD_NS: Final = 30_000_000_000
"""A tunnel, or a street between towers; at 30 m/s it is 900 m."""


class Positions:
    """The newest known positions, as they arrive; older ones than anybody can ask for are forgotten."""

    def __init__(self) -> None:
        self._fixes: deque[tuple[int, float, float]] = deque()

    def take(self, gnss: GnssFixes) -> None:
        """Fixes of the next batch; those without a position count for nothing."""
        known = np.isfinite(gnss.lat_deg) & np.isfinite(gnss.lon_deg)
        for row in np.flatnonzero(known):
            self._fixes.append((int(gnss.t_ns[row]), float(gnss.lat_deg[row]), float(gnss.lon_deg[row])))
        while self._fixes and self._fixes[-1][0] - self._fixes[0][0] > 2 * POSITION_GOOD_NS:
            self._fixes.popleft()

    def at(self, t_ns: int) -> tuple[float, float] | None:
        """Latitude and longitude at a moment of the newest batches, in degrees; None where they aren't known."""
        for at_ns, latitude, longitude in reversed(self._fixes):
            if at_ns <= t_ns:
                return (latitude, longitude) if t_ns - at_ns <= POSITION_GOOD_NS else None
        return None


def collected_here(zones: Sequence[SensitiveZone], position: tuple[float, float] | None) -> DropReason | None:
    """Why nothing is collected at this place; None where it may be."""
    if not zones:
        return None
    if position is None:
        return DropReason.POSITION_UNKNOWN
    latitude, longitude = (np.array([degrees]) for degrees in position)
    inside = any(bool(_inside(zone, latitude, longitude)) for zone in zones)
    return DropReason.SENSITIVE_ZONE if inside else None


def zone_reached(zones: Sequence[SensitiveZone], gnss: GnssFixes) -> str | None:
    """The name of a zone that holds one of these positions; None where none does."""
    known = np.isfinite(gnss.lat_deg) & np.isfinite(gnss.lon_deg)
    latitude, longitude = gnss.lat_deg[known], gnss.lon_deg[known]
    for zone in zones:
        if _inside(zone, latitude, longitude).any():
            return zone.name
    return None


def _inside(
    zone: SensitiveZone, latitude: NDArray[np.float64], longitude: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Inside the outline of one of its polygons, and in none of that one's holes."""
    found = np.zeros(latitude.shape, np.bool_)
    for outline, *holes in zone.polygons:
        inside = outline.contains(latitude, longitude)
        for hole in holes:
            inside &= ~hole.contains(latitude, longitude)
        found |= inside
    return found
