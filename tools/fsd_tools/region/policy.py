"""A new region's policy from what its operator chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fsd_agent.records.region import (
    DataClass,
    Endpoint,
    ExportRule,
    FaceRule,
    Fill,
    LeftClips,
    LocationRule,
    PlateRule,
    RedactionRules,
    RegionKey,
    RegionPolicy,
    Strictness,
    TransferProfile,
)
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.moments import NS_PER_S
from fsd_agent.wire.policy_text import NS_PER_MS

RETENTION_DAYS = 365
DATA_CLASSES = frozenset(DataClass) - {DataClass.CABIN_VIDEO, DataClass.AUDIO}
"""Of a new region: what looks into the car is off until its operator lists it."""


@dataclass(frozen=True, slots=True)
class RedactionChoice:
    """Redaction rules of a new region, as given on the command line."""

    faces: FaceRule = FaceRule.HEAD_ZONE
    plates: PlateRule = PlateRule.PLATE_BAND
    hold_ms: int = 150
    max_gap_ms: int = 500
    location: LocationRule = LocationRule.COARSE
    location_grid_deg: float = 0.05
    """About 5.5 km from north to south."""
    strictness: Strictness = Strictness.STANDARD
    fill: Fill = Fill.SOLID


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """Raw public keys of a new region, 32 bytes each."""

    sealing: bytes
    receipt: bytes
    campaigns: bytes


def identity_uri(region_id: str) -> str:
    """The URI that identifies a region in its broker's certificate."""
    return f"urn:fsd:region:{region_id}"


def server_name(region_id: str) -> str:
    """The name that only this region's broker carries; ``.invalid`` (RFC 2606) resolves nowhere."""
    return f"broker.{region_id}.fsd.invalid"


def new_policy(
    region_id: str,
    jurisdictions: Sequence[str],
    *,
    endpoint: Endpoint,
    redaction: RedactionChoice,
    authority_pem: bytes,
    keys: PublicKeys,
    now_ns: int,
    transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS,
) -> RegionPolicy:
    """Version 1 of a policy; ``wire.policy`` checks it when it is encoded."""
    return RegionPolicy(
        region_id=region_id,
        version=1,
        issued_wall_ns=now_ns // NS_PER_S * NS_PER_S,
        jurisdictions=tuple(jurisdictions),
        endpoints=(endpoint,),
        authority_pem=authority_pem,
        broker_pins=(),
        identity_uri=identity_uri(region_id),
        sealing_keys=(_named(keys.sealing),),
        receipt_keys=(_named(keys.receipt),),
        campaign_keys=(_named(keys.campaigns),),
        redaction=RedactionRules(
            faces=redaction.faces,
            plates=redaction.plates,
            hold_ns=redaction.hold_ms * NS_PER_MS,
            max_gap_ns=redaction.max_gap_ms * NS_PER_MS,
            location=redaction.location,
            location_grid_deg=redaction.location_grid_deg,
            strictness=redaction.strictness,
            fill=redaction.fill,
        ),
        zones=(),
        data_classes=DATA_CLASSES,
        retention_days=RETENTION_DAYS,
        export=ExportRule.NEVER,
        left_clips=LeftClips.DELIVER,
        transfer=transfer,
    )


def _named(public_key: bytes) -> RegionKey:
    return RegionKey(key_id_of(public_key), public_key)
