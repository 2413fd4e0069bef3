"""A named area of a campaign: a polygon on the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

    def contains(self, lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each position lies inside, shape (n,). Edges are straight in latitude and longitude.

        Even-odd rule: a position is inside when a line from it due north crosses the ring an odd number of times.
        A corner's meridian belongs to the edge east of it, so that no crossing counts twice.
        """
        lat, lon = (np.array(column, np.float64) for column in zip(*self.corners, strict=True))
        lat2, lon2 = np.roll(lat, -1), np.roll(lon, -1)
        spans = (lon[None, :] > lon_deg[:, None]) != (lon2[None, :] > lon_deg[:, None])
        run = np.where(lon2 == lon, 1.0, lon2 - lon)
        at = lat + (lon_deg[:, None] - lon) * (lat2 - lat) / run
        inside: NDArray[np.bool_] = np.count_nonzero(spans & (lat_deg[:, None] < at), axis=1) % 2 == 1
        return inside
