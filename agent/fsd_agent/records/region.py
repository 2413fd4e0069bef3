"""A region, and the vehicle's registration to a jurisdiction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsd_agent.records.byte_limits import NO_LIMITS, ByteLimits
from fsd_agent.records.zone import Zone


@dataclass(frozen=True, slots=True)
class Registration:
    """What firmware says of where this vehicle belongs."""

    vehicle: str
    """Pseudonym of the vehicle, never the VIN: 1 to 64 of ``[a-z0-9-]``."""
    jurisdiction: str
    """ISO 3166-1 alpha-2, upper case."""
    serial: int
    """Grows with every re-registration."""
    device_key_id: str
    """Of the vehicle's device key: the document of another vehicle is of no use here."""
    not_before_wall_ns: int
    not_after_wall_ns: int
    """Unix time; the first moment that it is not valid any more."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of the region's brokers."""

    host: str
    """A DNS name or an address: what is asked for."""
    addresses: tuple[str, ...]
    """Every IP address that ``host`` may turn out to be; no other is ever dialled."""
    port: int
    server_name: str
    """The name that only this region's broker certificate carries; checked in TLS instead of ``host``."""
    country: str
    """Where it stands, as the region's signature says: ISO 3166-1 alpha-2, upper case."""


class FaceRule(StrEnum):
    """What is done about persons."""

    HEAD_ZONE = "head_zone"
    NONE = "none"


class PlateRule(StrEnum):
    """What is done about licence plates."""

    PLATE_BAND = "plate_band"
    NONE = "none"


class Strictness(StrEnum):
    """How much more than what is surely a face or a plate is painted."""

    STANDARD = "standard"
    STRICT = "strict"
    """Prefers lost pixels to a missed face."""


class Fill(StrEnum):
    """What is painted where something must not be seen."""

    SOLID = "solid"
    """Black: nothing of it can be had back."""
    PIXELATE = "pixelate"
    """A few flat cells: what is behind them stays guessable as a whole, and nobody is to be told apart by it."""


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
    strictness: Strictness = Strictness.STANDARD
    fill: Fill = Fill.SOLID
    time_zone: bool = True
    """Whether a clip may say in which time zone it was made, whatever ``location`` is. No policy says this: it follows from
    the data classes (``pipeline.classes``)."""


class DataClass(StrEnum):
    """A kind of data; only what a policy lists may be in a clip, and of the cabin not even that (``rules.cabin``)."""

    EXTERIOR_VIDEO = "exterior_video"
    CABIN_VIDEO = "cabin_video"
    AUDIO = "audio"
    SIGNALS = "signals"
    DETECTIONS = "detections"
    LOCATION = "location"


class ExportRule(StrEnum):
    """Whether data may go abroad after it has arrived. From the vehicle it never may."""

    NEVER = "never"
    AT_DATA_CENTRE = "at_data_centre_after_approval"


class LeftClips(StrEnum):
    """What becomes of clips of this region when the vehicle is registered elsewhere."""

    DELIVER = "deliver"
    """They still go to this region, under the registration that they were collected under."""
    ERASE = "erase"


class TransferProfile(StrEnum):
    """How clips travel to the region's receiver."""

    VEHICLE_TOPICS = "vehicle_topics"
    """Topics below the vehicle's own name: a broker's rules bind each vehicle to its own."""
    FILE_ASYNC = "file_async"
    """Topics of the public file convention, which name no vehicle."""


@dataclass(frozen=True, slots=True)
class RegionKey:
    """A public key of a region."""

    key_id: str
    """First 16 hex digits of the key's SHA-256."""
    public_key: bytes
    """Raw, 32 bytes."""


@dataclass(frozen=True, slots=True)
class SensitiveZone:
    """An area in which nothing is collected."""

    name: str
    polygons: tuple[tuple[Zone, ...], ...]
    """Each is a ring, followed by the rings of its holes."""


@dataclass(frozen=True, slots=True)
class RegionPolicy:
    """Everything a vehicle must know of a region to send to it."""

    region_id: str
    """1 to 32 of ``[a-z0-9-]``."""
    version: int
    issued_wall_ns: int
    """Unix time when it was signed: proof that it is not earlier now."""
    jurisdictions: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    """In the order in which they are tried."""
    authority_pem: bytes
    """The only certificate authority that the connection trusts."""
    broker_pins: tuple[bytes, ...]
    """SHA-256 of the SubjectPublicKeyInfo of each key that a broker may have; none: any that the authority certifies."""
    identity_uri: str
    """URI in the broker certificate's SAN, e.g. ``urn:fsd:region:cn``."""
    sealing_keys: tuple[RegionKey, ...]
    """X25519; clips are sealed to the first, the others still open what was sealed to them."""
    receipt_keys: tuple[RegionKey, ...]
    """Ed25519; each may sign receipts."""
    campaign_keys: tuple[RegionKey, ...]
    """Ed25519; each may sign campaign sets."""
    redaction: RedactionRules
    zones: tuple[SensitiveZone, ...]
    data_classes: frozenset[DataClass]
    retention_days: int
    """How long the region keeps a clip; carried with each clip."""
    export: ExportRule
    left_clips: LeftClips
    transfer: TransferProfile
    metered: ByteLimits = NO_LIMITS
    """What may go to it over metered links; the owner's limits count beside it."""

    @property
    def sealing_key_id(self) -> str:
        """Of the key that clips are sealed to."""
        return self.sealing_keys[0].key_id

    @property
    def sealing_public_key(self) -> bytes:
        """The key that clips are sealed to."""
        return self.sealing_keys[0].public_key

    @property
    def receipt_public_keys(self) -> tuple[bytes, ...]:
        """Keys that may sign receipts."""
        return tuple(key.public_key for key in self.receipt_keys)

    @property
    def campaign_public_keys(self) -> tuple[bytes, ...]:
        """Keys that may sign campaign sets."""
        return tuple(key.public_key for key in self.campaign_keys)


class HoldReason(StrEnum):
    """Why nothing leaves."""

    NO_REGISTRATION = "no_registration"
    NO_AUTHORITY = "no_registration_authority"
    """The vehicle was given no usable key of a registration authority."""
    BAD_REGISTRATION = "bad_registration"
    """Truncated, or not what a registration document is."""
    REGISTRATION_TOO_LARGE = "registration_too_large"
    REGISTRATION_UNSIGNED = "registration_unsigned"
    REGISTRATION_UNKNOWN_KEY = "registration_unknown_key"
    REGISTRATION_BAD_SIGNATURE = "registration_bad_signature"
    REGISTRATION_OTHER_VEHICLE = "registration_of_another_vehicle"
    REGISTRATION_OLDER = "registration_older"
    REGISTRATION_CONTRADICTS = "registration_contradicts"
    """The serial was accepted before with other content."""
    REGISTRATION_NOT_YET_VALID = "registration_not_yet_valid"
    REGISTRATION_EXPIRED = "registration_expired"
    REGISTRATION_NOT_KEPT = "registration_not_kept"
    """What was accepted before can't be read, or this can't be kept: acting on it could later be undone."""
    NO_REGION = "no_region_serves_jurisdiction"
    TWO_REGIONS = "more_than_one_region_serves_jurisdiction"
    NO_POLICY = "no_usable_region_policy"
    POLICY_FORBIDDEN = "policy_forbidden_by_jurisdiction"


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
