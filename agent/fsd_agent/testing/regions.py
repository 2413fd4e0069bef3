"""Regions with every private key at hand, and a small clip to seal: for tests, never for vehicles.

Everything is a function of the names, so that a failing test fails again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.region import (
    DataClass,
    Endpoint,
    ExportRule,
    FaceRule,
    LeftClips,
    LocationRule,
    PlateRule,
    RedactionRules,
    RegionKey,
    RegionPolicy,
    Registration,
    Route,
    TransferProfile,
)
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.envelope import key_id_of, public_key_of
from fsd_agent.wire.policy import encode_policy, sign_policy
from fsd_agent.wire.registration import sign_registration
from fsd_firmware.samples import empty_gnss, empty_signals

AUTHORITY_KEY = hashlib.sha256(b"registration authority").digest()
"""Raw Ed25519 private key of the registration authority that sample vehicles trust."""
ISSUED_WALL_NS = 1_600_000_000_000_000_000
"""When sample policies were signed: before the clocks of all tests."""
BEGIN_WALL_NS, END_WALL_NS = 1_590_000_000_000_000_000, 4_000_000_000_000_000_000
"""Validity of sample registrations, until 2096."""


def sample_registration(
    vehicle: str = "car-1", jurisdiction: str = "CN", serial: int = 1, *, keys: str = ""
) -> Registration:
    """The registration of the vehicle that has ``MemoryVehicleKeys(keys or vehicle)``."""
    device_key_id = MemoryVehicleKeys(keys or vehicle).device_key_id()
    return Registration(vehicle, jurisdiction, serial, device_key_id, BEGIN_WALL_NS, END_WALL_NS)


def sample_document(registration: Registration) -> bytes:
    """It, signed by the authority that sample vehicles trust."""
    return sign_registration(registration, AUTHORITY_KEY)


@dataclass(frozen=True, slots=True)
class SampleRegion:
    """A region as its own operators see it: the policy and the private halves of its keys, raw, 32 bytes each."""

    policy: RegionPolicy
    sealing_key: bytes
    receipt_key: bytes
    campaign_key: bytes

    @property
    def root_key(self) -> bytes:
        """Raw Ed25519 private key: signs the policy."""
        return hashlib.sha256(f"{self.policy.region_id} root".encode()).digest()

    def signed(self) -> bytes:
        """The policy as vehicles get it."""
        return sign_policy(encode_policy(self.policy), self.root_key, self.policy.region_id)

    def route(self, vehicle: str = "car-1") -> Route:
        """The route of a vehicle that is registered here."""
        return Route(sample_registration(vehicle, self.policy.jurisdictions[0]), self.policy)


def sample_region(
    region_id: str = "cn",
    jurisdictions: tuple[str, ...] = ("CN",),
    port: int = 8883,
    transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS,
) -> SampleRegion:
    """A region; the same arguments give the same keys. Its authority can't issue anything: see ``fsd_tools.region``."""
    sealing, receipt, campaigns = (
        hashlib.sha256(f"{region_id} {purpose}".encode()).digest()
        for purpose in ("sealing", "receipt", "campaigns")
    )
    sealing_public = X25519PrivateKey.from_private_bytes(sealing).public_key().public_bytes_raw()
    policy = RegionPolicy(
        region_id=region_id,
        version=1,
        issued_wall_ns=ISSUED_WALL_NS,
        jurisdictions=jurisdictions,
        endpoints=(
            Endpoint("127.0.0.1", ("127.0.0.1",), port, f"broker.{region_id}.fsd.invalid", jurisdictions[0]),
        ),
        authority_pem=_authority_pem(),
        broker_pins=(),
        identity_uri=f"urn:fsd:region:{region_id}",
        sealing_keys=(sample_key(sealing_public),),
        receipt_keys=(sample_key(public_key_of(receipt)),),
        campaign_keys=(sample_key(public_key_of(campaigns)),),
        redaction=RedactionRules(
            faces=FaceRule.HEAD_ZONE,
            plates=PlateRule.PLATE_BAND,
            hold_ns=300_000_000,
            max_gap_ns=500_000_000,
            location=LocationRule.COARSE,
            location_grid_deg=0.05,
        ),
        zones=(),
        data_classes=frozenset(DataClass) - {DataClass.CABIN_VIDEO, DataClass.AUDIO},
        retention_days=365,
        export=ExportRule.NEVER,
        left_clips=LeftClips.DELIVER,
        transfer=transfer,
    )
    return SampleRegion(policy, sealing, receipt, campaigns)


def sample_key(public_key: bytes) -> RegionKey:
    """A public key under its name."""
    return RegionKey(key_id_of(public_key), public_key)


def sample_redacted_clip(clip_id: str = "0123456789abcdef" * 2, region_id: str = "cn") -> RedactedClip:
    """A clip with nothing in it, bound to a region, ready to be sealed."""
    row = ClipRow(clip_id, region_id, Purpose.SAFETY, ClipState.CAPTURED, 0, 1, 0, ("front",), (), 0)
    clip = Clip(row, (), (), empty_signals(), (), (), empty_gnss(), ())
    return RedactedClip(clip, RedactionRecord(("faces=head_zone",), ("firmware",), 1, 2, 0.25, "coarse:0.05"))


@cache
def _authority_pem() -> bytes:
    """Self-signed; its key is forgotten at once."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sample authority")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2046))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
