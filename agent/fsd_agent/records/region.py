"""A region, and the vehicle's registration to a jurisdiction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Registration:
    """What firmware says of where this vehicle belongs."""

    vehicle: str
    """Pseudonym of the vehicle, never the VIN: 1 to 64 of ``[a-z0-9-]``."""
    jurisdiction: str
    """ISO 3166-1 alpha-2, upper case."""
    serial: int
    """Grows with every re-registration."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the region's broker is."""

    host: str
    port: int
    server_name: str
    """The name that only this region's broker certificate carries; checked in TLS instead of ``host``."""


class FaceRule(StrEnum):
    """What is done about persons."""

    HEAD_ZONE = "head_zone"
    NONE = "none"


class PlateRule(StrEnum):
    """What is done about licence plates."""

    PLATE_BAND = "plate_band"
    NONE = "none"


class LocationRule(StrEnum):
    """What is done about positions."""

    DROP = "drop"
    COARSE = "coarse"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """What must be removed before a clip may leave the vehicle."""

    faces: FaceRule
    plates: PlateRule
    hold_ns: int
    """A box is painted this long before and after the frame that it was seen in."""
    max_gap_ns: int
    """Video with a longer stretch that no source looked at can't be redacted."""
    location: LocationRule
    location_grid_deg: float
    """Cell size for ``coarse``."""


@dataclass(frozen=True, slots=True)
class RegionPolicy:
    """Everything a vehicle must know of a region to send to it."""

    region_id: str
    """1 to 32 of ``[a-z0-9-]``."""
    version: int
    jurisdictions: tuple[str, ...]
    endpoint: Endpoint
    authority_pem: bytes
    """The only certificate authority that the connection trusts."""
    identity_uri: str
    """URI in the broker certificate's SAN, e.g. ``urn:fsd:region:cn``."""
    sealing_key_id: str
    sealing_public_key: bytes
    """Raw X25519, 32 bytes."""
    receipt_public_key: bytes
    """Raw Ed25519, 32 bytes: signs receipts."""
    campaign_public_key: bytes
    """Raw Ed25519, 32 bytes: signs campaign sets."""
    redaction: RedactionRules


class HoldReason(StrEnum):
    """Why nothing leaves."""

    NO_REGISTRATION = "no_registration"
    BAD_REGISTRATION = "bad_registration"
    NO_REGION = "no_region_serves_jurisdiction"
    TWO_REGIONS = "more_than_one_region_serves_jurisdiction"
    NO_POLICY = "no_usable_region_policy"


@dataclass(frozen=True, slots=True)
class Route:
    """The one region this vehicle's data may go to."""

    registration: Registration
    policy: RegionPolicy


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing leaves, and why."""

    reason: HoldReason
    detail: str
