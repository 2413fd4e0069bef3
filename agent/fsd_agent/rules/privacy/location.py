"""What of a vehicle's position may leave with a clip.

``keep``: fixes as they are. ``coarse``: one fix for the whole clip, the centre of the grid cell of its first
fix that has a position, without height, speed and heading; one, because a second cell would tell the moment at which the vehicle
crossed the border between them, and with it the exact place. ``drop``: none.

Whatever the rule is, the clip says in which nautical time zone it was made, so that local time and light can be told: a band of 15 degrees
of longitude around a multiple of 15. The legal zone would need a map of the world's borders on the car, kept current, and would often
name the country.

Unless positions are kept, signals that carry one go too; those that name somebody (:mod:`.identity`) always do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import LocationRule, RedactionRules
from fsd_agent.rules.privacy.identity import names_somebody
from fsd_agent.rules.privacy.plan import Refused
from fsd_firmware.samples import GnssFixes, empty_gnss

ZONE_DEG: Final = 15
"""The sun moves over so many degrees of longitude in an hour."""
_POSITION_BRANCH = "Vehicle.CurrentLocation."
_POSITION_LEAVES = frozenset({"Latitude", "Longitude"})


def locate(rules: RedactionRules, gnss: GnssFixes) -> tuple[GnssFixes, str] | Refused:
    """The fixes that may leave, and what was done: ``dropped``, ``coarse:<degrees>`` or ``kept``."""
    give = _GIVERS.get(rules.location)
    if give is None:
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"location: {rules.location}")
    return give(gnss, rules.location_grid_deg)


def coarse(gnss: GnssFixes, grid_deg: float) -> GnssFixes:
    """The centre of the cell of ``grid_deg`` that holds the first fix with a position; nothing for nothing."""
    known = np.flatnonzero(np.isfinite(gnss.lat_deg) & np.isfinite(gnss.lon_deg))
    if not known.size:
        return empty_gnss()
    first, unknown = int(known[0]), np.full(1, np.nan)
    return GnssFixes(
        gnss.t_ns[first : first + 1],
        _centre(float(gnss.lat_deg[first]), grid_deg, 90.0),
        _centre(float(gnss.lon_deg[first]), grid_deg, 180.0),
        unknown,
        unknown,
        unknown,
    )


def utc_offset_h(rules: RedactionRules, gnss: GnssFixes) -> int | None:
    """Hours from UTC to nautical time, -12 to 12, at the first fix with a position; None where there is none, or it may not be told.

    A longitude beyond 180 degrees is no position. Of the fix nothing but its zone counts, and of the clip no other fix.
    """
    if not rules.time_zone:
        return None
    known = np.flatnonzero(np.isfinite(gnss.lat_deg) & (np.abs(gnss.lon_deg) <= 180.0))
    return round(float(gnss.lon_deg[known[0]]) / ZONE_DEG) if known.size else None


def may_leave(rules: RedactionRules, path: str) -> bool:
    """Whether the signal at this VSS path may be in a redacted clip."""
    return not names_somebody(path) and (rules.location == LocationRule.KEEP or not tells_position(path))


def tells_position(path: str) -> bool:
    """Whether the signal at this VSS path tells where the vehicle is."""
    return path.startswith(_POSITION_BRANCH) or path.rpartition(".")[2] in _POSITION_LEAVES


def _drop(_gnss: GnssFixes, _grid_deg: float) -> tuple[GnssFixes, str]:
    return empty_gnss(), "dropped"


def _keep(gnss: GnssFixes, _grid_deg: float) -> tuple[GnssFixes, str]:
    return gnss, "kept"


def _coarsen(gnss: GnssFixes, grid_deg: float) -> tuple[GnssFixes, str] | Refused:
    if not (math.isfinite(grid_deg) and grid_deg > 0):
        return Refused(DropReason.REDACTION_UNKNOWN_RULE, f"location_grid_deg: {grid_deg}")
    return coarse(gnss, grid_deg), f"coarse:{grid_deg:g}"


_GIVERS: dict[LocationRule, Callable[[GnssFixes, float], tuple[GnssFixes, str] | Refused]] = {
    LocationRule.DROP: _drop,
    LocationRule.KEEP: _keep,
    LocationRule.COARSE: _coarsen,
}


def _centre(degrees: float, grid_deg: float, limit_deg: float) -> NDArray[np.float64]:
    centre = math.floor(degrees / grid_deg) * grid_deg + grid_deg / 2
    return np.array([min(max(centre, -limit_deg), limit_deg)], np.float64)
