"""The members of a policy file, as they are spelled; what they mean and how they are checked: :mod:`.policy`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fsd_agent.records.region import (
    DataClass,
    ExportRule,
    FaceRule,
    Fill,
    LeftClips,
    LocationRule,
    PlateRule,
    Strictness,
    TransferProfile,
)

MAX_ENDPOINTS = 16
MAX_KEYS = 8
"""Of one purpose: the one in use and those that are not forgotten yet."""
MAX_ZONES = 500

_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=60_000)]
_Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
_Keys = Annotated[dict[str, str], msgspec.Meta(min_length=1, max_length=MAX_KEYS)]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**50)]
Position = tuple[float, float]
"""Longitude, then latitude, as GeoJSON has it (RFC 7946, section 3.1.1)."""
Rings = list[list[Position]]


class EndpointFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of ``endpoints``."""

    host: Annotated[str, msgspec.Meta(max_length=253, pattern=r"^[A-Za-z0-9.:-]+\Z")]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    server_name: str
    country: _Country
    addresses: Annotated[tuple[str, ...], msgspec.Meta(max_length=32)] = ()


class KeysFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``keys``: each purpose's public keys, base64 of the raw 32 bytes, by key id."""

    seal_to: str
    sealing: _Keys
    receipt: _Keys
    campaigns: _Keys


class RedactionFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``redaction``."""

    faces: FaceRule
    plates: PlateRule
    hold_ms: _Milliseconds
    max_gap_ms: _Milliseconds
    location: LocationRule
    location_grid_deg: Annotated[float, msgspec.Meta(gt=0, le=10)]
    """Also where it is not used: a rule changed to ``coarse`` later has no hidden default."""
    strictness: Strictness = Strictness.STANDARD
    fill: Fill = Fill.SOLID


class PolygonFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="Polygon"):
    """One of ``zones``, with one outline."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    coordinates: Rings


class MultiPolygonFile(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="MultiPolygon"
):
    """One of ``zones``, with several outlines."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    coordinates: list[Rings]


class PolicyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    format: Literal[2]
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    version: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    issued: str
    jurisdictions: Annotated[tuple[_Country, ...], msgspec.Meta(min_length=1, max_length=250)]
    identity_uri: Annotated[str, msgspec.Meta(pattern=r"^urn:[a-z0-9][a-z0-9:.-]*\Z", max_length=128)]
    data_classes: Annotated[tuple[DataClass, ...], msgspec.Meta(max_length=len(DataClass))]
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)]
    export: ExportRule
    left_clips: LeftClips
    broker_pins: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_KEYS)]
    authority: str
    endpoints: Annotated[tuple[EndpointFile, ...], msgspec.Meta(min_length=1, max_length=MAX_ENDPOINTS)]
    keys: KeysFile
    redaction: RedactionFile
    zones: Annotated[tuple[PolygonFile | MultiPolygonFile, ...], msgspec.Meta(max_length=MAX_ZONES)] = ()
    transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS
    metered_bytes_per_day: _Bytes | None = None
    metered_bytes_per_month: _Bytes | None = None
