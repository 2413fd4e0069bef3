"""Writes a policy as the TOML text that operators edit and regions sign."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence

from fsd_agent.records.region import (
    Endpoint,
    Fill,
    RegionKey,
    RegionPolicy,
    SensitiveZone,
    Strictness,
    TransferProfile,
)
from fsd_agent.records.zone import Zone
from fsd_agent.wire.moments import encode_moment

NS_PER_MS = 1_000_000
FORMAT = 2


def write_policy(policy: RegionPolicy) -> str:
    """The text, unchecked. Raises ``ValueError`` for a time that is not whole in its unit."""
    # A JSON string, number or array is also a TOML value.
    lines = [f"# Policy of region {policy.region_id}: public, given to every vehicle that it serves."]
    lines += [f"{key} = {json.dumps(value)}" for key, value in _head(policy)]
    pem = policy.authority_pem.decode("ascii", errors="replace").strip()
    lines.append(f"authority = '''\n{pem}\n'''")
    for endpoint in policy.endpoints:
        lines += ["", "[[endpoints]]", *_pairs(_endpoint(endpoint))]
    lines += ["", "[keys]", f"seal_to = {json.dumps(policy.sealing_key_id)}"]
    for purpose, keys in (
        ("sealing", policy.sealing_keys),
        ("receipt", policy.receipt_keys),
        ("campaigns", policy.campaign_keys),
    ):
        lines += ["", f"[keys.{purpose}]", *_keys(keys)]
    lines += ["", "[redaction]", *_pairs(_redaction(policy))]
    for zone in policy.zones:
        lines += ["", "[[zones]]", *_pairs(_zone(zone))]
    return "\n".join(lines) + "\n"


def whole_ms(field: str, ns: int) -> int:
    """Milliseconds, where they are whole."""
    if ns % NS_PER_MS:
        raise ValueError(f"{field}: {ns} is not a whole number of milliseconds")
    return ns // NS_PER_MS


def _head(policy: RegionPolicy) -> Iterator[tuple[str, object]]:
    yield "format", FORMAT
    yield "region", policy.region_id
    yield "version", policy.version
    yield "issued", encode_moment(policy.issued_wall_ns)
    yield "jurisdictions", list(policy.jurisdictions)
    yield "identity_uri", policy.identity_uri
    yield "data_classes", sorted(policy.data_classes)
    yield "retention_days", policy.retention_days
    yield "export", policy.export
    yield "left_clips", policy.left_clips
    if policy.metered.day_bytes is not None:
        yield "metered_bytes_per_day", policy.metered.day_bytes
    if policy.metered.month_bytes is not None:
        yield "metered_bytes_per_month", policy.metered.month_bytes
    if policy.transfer is not TransferProfile.VEHICLE_TOPICS:
        # Who knows no other can read what is written without it
        yield "transfer", policy.transfer
    yield "broker_pins", [_base64(pin) for pin in policy.broker_pins]


def _endpoint(endpoint: Endpoint) -> Iterator[tuple[str, object]]:
    yield "host", endpoint.host
    yield "addresses", list(endpoint.addresses)
    yield "port", endpoint.port
    yield "server_name", endpoint.server_name
    yield "country", endpoint.country


def _redaction(policy: RegionPolicy) -> Iterator[tuple[str, object]]:
    rules = policy.redaction
    yield "faces", rules.faces
    yield "plates", rules.plates
    yield "hold_ms", whole_ms("hold_ns", rules.hold_ns)
    yield "max_gap_ms", whole_ms("max_gap_ns", rules.max_gap_ns)
    yield "location", rules.location
    yield "location_grid_deg", rules.location_grid_deg
    if rules.strictness is not Strictness.STANDARD:
        # Who knows no other can read what is written without it, and refuses what it could not do
        yield "strictness", rules.strictness
    if rules.fill is not Fill.SOLID:
        yield "fill", rules.fill


def _zone(zone: SensitiveZone) -> Iterator[tuple[str, object]]:
    polygons = [[_ring(ring) for ring in polygon] for polygon in zone.polygons]
    yield "name", zone.name
    yield "type", "Polygon" if len(polygons) == 1 else "MultiPolygon"
    yield "coordinates", polygons[0] if len(polygons) == 1 else polygons


def _ring(ring: Zone) -> list[tuple[float, float]]:
    """Longitude first, and closed, as GeoJSON has it."""
    return [(longitude, latitude) for latitude, longitude in (*ring.corners, ring.corners[0])]


def _keys(keys: Sequence[RegionKey]) -> list[str]:
    return [f"{key.key_id} = {json.dumps(_base64(key.public_key))}" for key in keys]


def _pairs(values: Iterator[tuple[str, object]]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in values]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
