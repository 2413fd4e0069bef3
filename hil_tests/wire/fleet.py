"""Regions, the vehicle, its documents and its policies: everything here that depends on how they are made.

The one file of the wire proof to change when enrolment, registration or the policy format do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.records.campaign import Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.region import RegionPolicy, Registration
from fsd_agent.wire.campaigns import encode_set
from fsd_agent.wire.envelope import CAMPAIGNS, key_id_of, public_key_of, seal_envelope
from fsd_agent.wire.policy import decode_policy
from fsd_agent.wire.registration import encode_registration
from fsd_agent.wire.sealed import read_manifest
from fsd_tools.region.layout import RegionDir
from fsd_tools.rig.rig import Rig

REGIONS: Mapping[str, str] = {"cn": "CN", "eu": "DE", "us": "US"}
"""The jurisdiction that each region serves here."""
UNSERVED = "JP"
PORT = 8883
CAR = "car-1"
POLICIES_ARE_SIGNED = False
"""While they are not, who can write the vehicle's files can write a policy: a region's policy that claims another's
jurisdiction, in place of that one's, is then believed, and is left out of the schedules."""


def name_of(region_id: str) -> str:
    """The host name that a policy gives where it doesn't give an address."""
    return f"broker.{region_id}.test"


def make_region(rig: Rig, region_id: str, address: str) -> RegionDir:
    """A region whose broker listens on ``address``."""
    return rig.add_region(region_id, [REGIONS[region_id]], host=address, port=str(PORT))


def make_vehicle(rig: Rig) -> VehicleDir:
    """Enrolled with every region: it has certificates that each of them accepts."""
    firmware = {"source": "drive:drive.mcap", "speed": "real", "loop": True}
    return rig.add_vehicle(
        CAR, "CN", list(REGIONS), {"firmware": firmware, "uplink": {"status_every_s": 0.5}}
    )


def registration(jurisdiction: str, serial: int) -> bytes:
    """The document that firmware would hold."""
    return encode_registration(Registration(CAR, jurisdiction, serial))


def pristine_policy(region: RegionDir) -> RegionPolicy:
    """As the region's operator made it."""
    return decode_policy(region.policy.read_bytes(), str(region.policy))


def policy_at(text: bytes, host: str) -> bytes:
    """The policy with another host for its endpoint."""
    return re.sub(rb'(?m)^host = "[^"]*"', f'host = "{host}"'.encode(), text)


def policy_for(text: bytes, *jurisdictions: str) -> bytes:
    """The policy with other jurisdictions."""
    codes = ", ".join(f'"{code}"' for code in jurisdictions)
    return re.sub(rb"(?m)^jurisdictions = .*$", f"jurisdictions = [{codes}]".encode(), text)


def push_policy(
    files: VehicleDir, fault: str, region: str, other: str, texts: Mapping[str, bytes], address: str
) -> None:
    """Change a vehicle's policy files; ``texts`` are the regions' own, ``address`` is the other region's."""
    path, text = files.policy(region), texts[region]
    both = policy_for(text, REGIONS[region], REGIONS[other])
    match fault:
        case "address":
            path.write_bytes(policy_at(text, address))
        case "claims":
            path.write_bytes(both)
        case "damaged":
            path.write_bytes(text[: len(text) // 2])
        case "removed":
            path.unlink(missing_ok=True)
        case "swapped":
            path.write_bytes(texts[other])
        case "usurps":
            files.policy(other).unlink(missing_ok=True)
            path.write_bytes(both)
        case "restored":
            path.write_bytes(text)


def campaign_set(region_id: str, version: int) -> CampaignSet:
    """One campaign: fires when the vehicle gets faster than 30 km/h, and asks for its speed."""
    nodes = (Node(Op.SIGNAL_DOUBLE, (), "Vehicle.Speed"), Node(Op.LITERAL, (), 30.0), Node(Op.GT, (0, 1)))
    fast = Campaign(
        id="fast",
        version=version,
        purpose="wire proof",
        region_id=region_id,
        source="Vehicle.Speed > 30",
        program=Program(PROGRAM_VERSION, nodes),
        hold_ns=0,
        cooldown_ns=0,
        capture=CaptureSpec(500_000_000, 500_000_000, (), ("Vehicle.Speed",)),
        budget=Budget(None, None),
        sample_ratio=1.0,
        priority=1,
        valid_from_wall_ns=0,
        valid_until_wall_ns=2**62,
    )
    return CampaignSet(region_id, version, (fast,))


def signed_campaigns(signer: RegionDir, region_id: str, version: int) -> bytes:
    """A set for ``region_id``, signed by ``signer``, which need not be the same."""
    key = signer.campaign_key.read_bytes()
    return seal_envelope(
        CAMPAIGNS, encode_set(campaign_set(region_id, version)), key_id_of(public_key_of(key)), key
    )


def sealed_files(data: Path) -> list[Path]:
    """Every sealed clip in the spool of an agent's data folder."""
    return sorted((data / "spool").glob("*/*.sealed"))


def unwraps(sealed: Path, private_key: bytes) -> bool:
    """Whether the clip's key opens with a region's private key, whatever the file says it is for.

    Every check that the receiver makes before is left out on purpose: RFC 9180 alone answers.
    """
    with sealed.open("rb") as file:
        manifest = read_manifest(file)
    parts = (manifest.suite, manifest.region_id, manifest.sealing_key_id, manifest.clip_id)
    info = b"fsd-sealed-1 hpke\0" + b"".join(bytes([len(part)]) + part.encode() for part in parts)
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    try:
        suite.decrypt(manifest.wrapped_key, X25519PrivateKey.from_private_bytes(private_key), info)
    except (InvalidTag, ValueError):
        return False
    return True
