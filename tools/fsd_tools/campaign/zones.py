"""``zones`` in a campaign file: areas on the map, by name.

``{depot: [[48.137, 11.575], ...]}`` lists corners as [latitude, longitude]; ``{depot: depot.geojson}`` names a file
that holds one polygon (RFC 7946: a Polygon, a Feature with one, or a FeatureCollection with one of those), whose
positions are [longitude, latitude] and whose ring ends where it began. Holes are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from fsd_agent.records.campaign import LIMITS
from fsd_agent.records.zone import Zone, ZoneError
from fsd_tools.campaign.schema import FieldError

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MAX_FILE_BYTES: Final = 1 << 20
"""Of a GeoJSON file: 256 corners are about 10 kB."""
_Corners = list[tuple[float, float]]
_Ring = list[Annotated[list[float], Meta(min_length=2, max_length=3)]]
"""Positions of GeoJSON may carry a height."""


def compile_zones(parsed: dict[Any, Any], folder: Path) -> tuple[Zone, ...]:
    """The zones of a file that lies in ``folder``. Raises :class:`FieldError`."""
    if len(parsed) > LIMITS.zones:
        raise FieldError("zones", f"{len(parsed)} zones; at most {LIMITS.zones}")
    return tuple(_zone(name, spec, folder) for name, spec in parsed.items())


def check_name(field: str, name: Any) -> None:
    """Names of zones and heads. Raises :class:`FieldError`."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise FieldError(field, f"{name!r}: a name is 1 to 64 of a-z0-9_-, beginning with a letter or digit")


def _zone(name: Any, spec: Any, folder: Path) -> Zone:
    check_name("zones", name)
    field = f"zones.{name}"
    corners = _from_file(field, folder / spec) if isinstance(spec, str) else _listed(field, spec)
    if len(corners) > 1 and corners[0] == corners[-1]:
        corners = corners[:-1]
    if len(corners) > LIMITS.corners:
        raise FieldError(field, f"{len(corners)} corners; at most {LIMITS.corners}")
    try:
        return Zone(name, tuple(corners))
    except ZoneError as error:
        raise FieldError(field, str(error)) from None


def _listed(field: str, spec: Any) -> _Corners:
    try:
        return msgspec.convert(spec, _Corners, strict=True)
    except msgspec.ValidationError as error:
        wanted = "corners as [latitude, longitude], or the name of a GeoJSON file"
        raise FieldError(field, f"{error}; a zone is a list of {wanted}") from None


def _from_file(field: str, path: Path) -> _Corners:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise FieldError(field, f"{path}: more than {MAX_FILE_BYTES} bytes")
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise FieldError(field, f"{path}: can't be read as GeoJSON: {error}") from None
    polygon = _polygon(found)
    if polygon is None:
        raise FieldError(field, f"{path}: holds no single GeoJSON polygon")
    try:
        rings = msgspec.convert(polygon.get("coordinates"), list[_Ring], strict=True)
    except msgspec.ValidationError as error:
        raise FieldError(field, f"{path}: coordinates: {error}") from None
    if len(rings) != 1:
        raise FieldError(field, f"{path}: {len(rings)} rings; a zone is one ring without holes")
    return [(position[1], position[0]) for position in rings[0]]


def _polygon(found: Any) -> dict[str, Any] | None:
    """The one polygon in an object of GeoJSON; None where there is none or there are several."""
    if not isinstance(found, dict):
        return None
    kind = found.get("type")
    features: Sequence[Any] = found.get("features") or ()
    if kind == "FeatureCollection" and isinstance(features, list) and len(features) == 1:
        return _polygon(features[0])
    if kind == "Feature":
        return _polygon(found.get("geometry"))
    return found if kind == "Polygon" else None
