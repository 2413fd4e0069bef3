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

from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip, RedactionRecord
from fsd_agent.records.region import (
    Endpoint,
    FaceRule,
    LocationRule,
    PlateRule,
    RedactionRules,
    RegionPolicy,
    Registration,
    Route,
)
from fsd_agent.wire.envelope import key_id_of, public_key_of
from fsd_firmware.samples import empty_gnss, empty_signals


@dataclass(frozen=True, slots=True)
class SampleRegion:
    """A region as its own operators see it: the policy and the private halves of its keys, raw, 32 bytes each."""

    policy: RegionPolicy
    sealing_key: bytes
    receipt_key: bytes
    campaign_key: bytes

    def route(self, vehicle: str = "car-1") -> Route:
        """The route of a vehicle that is registered here."""
        return Route(Registration(vehicle, self.policy.jurisdictions[0], 1), self.policy)


def sample_region(
    region_id: str = "cn", jurisdictions: tuple[str, ...] = ("CN",), port: int = 8883
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
        jurisdictions=jurisdictions,
        endpoint=Endpoint("127.0.0.1", port, f"broker.{region_id}.fsd.invalid"),
        authority_pem=_authority_pem(),
        identity_uri=f"urn:fsd:region:{region_id}",
        sealing_key_id=key_id_of(sealing_public),
        sealing_public_key=sealing_public,
        receipt_public_key=public_key_of(receipt),
        campaign_public_key=public_key_of(campaigns),
        redaction=RedactionRules(
            faces=FaceRule.HEAD_ZONE,
            plates=PlateRule.PLATE_BAND,
            hold_ns=300_000_000,
            max_gap_ns=500_000_000,
            location=LocationRule.COARSE,
            location_grid_deg=0.05,
        ),
    )
    return SampleRegion(policy, sealing, receipt, campaigns)


def sample_redacted_clip(clip_id: str = "0123456789abcdef" * 2, region_id: str = "cn") -> RedactedClip:
    """A clip with nothing in it, bound to a region, ready to be sealed."""
    row = ClipRow(clip_id, region_id, ClipState.CAPTURED, 0, 1, 0, ("front",), (), 0)
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
