"""A named area of a campaign: a polygon on the map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Zone:
    """One ring of corners, closed by itself; it may not cross the 180th meridian or hold a pole."""

    name: str
    corners: tuple[tuple[float, float], ...]
    """(latitude, longitude) in degrees WGS 84, at least three."""
