"""A named area of a campaign: a polygon on the map."""

from __future__ import annotations

from dataclasses import dataclass


class ZoneError(ValueError):
    """The corners are not a zone; the message says why."""


@dataclass(frozen=True, slots=True)
class Zone:
    """One ring of corners, closed by itself; it may not cross the 180th meridian or hold a pole.

    Raises :class:`ZoneError`. A ring that crosses itself is one: what is inside follows the even-odd rule.
    """

    name: str
    corners: tuple[tuple[float, float], ...]
    """(latitude, longitude) in degrees WGS 84, at least three."""

    def __post_init__(self) -> None:
        for number, (latitude, longitude) in enumerate(self.corners):
            # Written so that NaN is refused.
            if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
                reason = "latitude is -90 to 90 and comes first, longitude -180 to 180"
                raise ZoneError(f"corner {number} ({latitude:g}, {longitude:g}): {reason}")
        if len(set(self.corners)) < 3:
            raise ZoneError(f"{len(set(self.corners))} different corners; an area has at least three")
        longitudes = [longitude for _, longitude in self.corners]
        if max(longitudes) - min(longitudes) > 180:
            raise ZoneError("reaches over more than 180 degrees of longitude; split it at the 180th meridian")
