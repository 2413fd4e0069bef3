"""Regions, the vehicle, its documents and its policies: everything here that depends on how they are made.

The one file of the wire proof to change when enrolment, registration or the policy format do.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.campaign import Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.region import RegionPolicy, Registration
from fsd_agent.wire.campaigns import encode_set
from fsd_agent.wire.envelope import CAMPAIGNS, key_id_of, public_key_of, seal_envelope
from fsd_agent.wire.policy import decode_policy, sign_policy
from fsd_agent.wire.registration import encode_registration, sign_registration
from fsd_agent.wire.sealed import read_manifest
from fsd_agent.wire.spool_file import SpoolFile
from fsd_tools.region.layout import RegionDir
from fsd_tools.registry.registry import Registry
from fsd_tools.rig.rig import Rig

REGIONS: Mapping[str, str] = {"cn": "CN", "eu": "DE", "us": "US"}
"""The jurisdiction that each region serves here."""
UNSERVED = "JP"
PORT = 8883
CAR = "car-1"
SIGNED_FAULTS = ("address", "claims", "usurps")
"""What a region's own root signs, so that it is a fault of its operator; the others any writer of files can bring about."""
FAULTS = (*SIGNED_FAULTS, "unsigned", "forged", "older", "damaged", "removed", "swapped", "restored")
FIRST_VERSION = 2
"""Of every region's policy in every schedule."""
EXPIRED_FROM, EXPIRED_UNTIL = 1_600_000_000 * 10**9, 1_700_000_000 * 10**9
PURPOSE = Purpose.SAFETY
"""Of all that the proof collects."""
VALID_UNTIL = 4_100_000_000 * 10**9
"""Later than any clock of a schedule."""


def name_of(region_id: str) -> str:
    """The host name that a policy gives where it doesn't give an address."""
    return f"broker.{region_id}.test"


def make_region(rig: Rig, region_id: str, address: str) -> RegionDir:
    """A region whose broker listens on ``address``."""
    return rig.add_region(region_id, [REGIONS[region_id]], host=address, port=str(PORT))


def make_vehicle(rig: Rig) -> VehicleDir:
    """Enrolled with every region: it has certificates that each of them accepts. Its user consents to :data:`PURPOSE`."""
    firmware = {"source": "drive:drive.mcap", "speed": "real", "loop": True}
    files = rig.add_vehicle(
        CAR, "CN", list(REGIONS), {"firmware": firmware, "uplink": {"status_every_s": 0.5}}
    )
    rig.consent(CAR, give=[PURPOSE])
    return files


def registration(rig: Rig, jurisdiction: str, serial: int, how: str = "") -> bytes:
    """The document that firmware would hold; ``how``: ``unsigned``, ``forged`` or ``expired``."""
    until = EXPIRED_UNTIL if how == "expired" else VALID_UNTIL
    key_id = KeyFiles(rig.vehicle(CAR).root).device_key_id()
    text = Registration(CAR, jurisdiction, serial, key_id, EXPIRED_FROM, until)
    if how == "unsigned":
        return encode_registration(text)
    key = Registry(rig.root / "registry").private_key()
    return sign_registration(text, bytes(32) if how == "forged" else key)


def pristine_policy(region: RegionDir) -> RegionPolicy:
    """As the region's operator made it."""
    return decode_policy(region.policy.read_bytes(), str(region.policy))


def signed_policy(region: RegionDir, text: bytes, version: int) -> bytes:
    """The policy as vehicles get it, under this version."""
    text = re.sub(rb"(?m)^version = .*$", f"version = {version}".encode(), text)
    return sign_policy(text, region.root_key.read_bytes(), str(region.policy))


def policy_at(text: bytes, host: str) -> bytes:
    """The policy with another host for its endpoint."""
    return re.sub(rb'(?m)^host = "[^"]*"', f'host = "{host}"'.encode(), text)


def policy_dialling(text: bytes, address: str) -> bytes:
    """The policy with another address for its endpoint."""
    text = re.sub(rb"(?m)^addresses = .*$", f'addresses = ["{address}"]'.encode(), text)
    return policy_at(text, address)


def policy_for(text: bytes, *jurisdictions: str) -> bytes:
    """The policy with other jurisdictions."""
    codes = ", ".join(f'"{code}"' for code in jurisdictions)
    return re.sub(rb"(?m)^jurisdictions = .*$", f"jurisdictions = [{codes}]".encode(), text)


def push_policy(
    files: VehicleDir,
    fault: str,
    pair: tuple[RegionDir, RegionDir],
    texts: tuple[bytes, bytes],
    address: str,
    version: int,
) -> None:
    """Change the policy file of the first of two regions; ``texts`` are their own, ``address`` is the other's.

    What is signed gets ``version``, which must be above all before, and ``older`` one that is below all of them.
    """
    (own, other), (text, theirs) = pair, texts
    path = files.policy(decode_policy(text, "policy").region_id)
    elsewhere = files.policy(decode_policy(theirs, "policy").region_id)
    codes = [REGIONS[one.stem] for one in (path, elsewhere)]
    both, away = policy_for(text, *codes), policy_dialling(text, address)
    laid = {
        "address": lambda: signed_policy(own, away, version),
        "claims": lambda: signed_policy(own, both, version),
        "usurps": lambda: signed_policy(own, both, version),
        "unsigned": lambda: away,
        "forged": lambda: signed_policy(other, away, version),
        "older": lambda: signed_policy(own, away, FIRST_VERSION - 1),
        "damaged": lambda: signed_policy(own, away, version)[:-70],
        "swapped": lambda: signed_policy(other, theirs, version),
        "restored": lambda: signed_policy(own, text, version),
    }
    path.unlink(missing_ok=True)
    if fault in laid:
        path.write_bytes(laid[fault]())
    if fault == "usurps":
        elsewhere.unlink(missing_ok=True)


def campaign_set(region_id: str, version: int) -> CampaignSet:
    """One campaign: fires when the vehicle gets faster than 30 km/h, and asks for its speed."""
    nodes = (Node(Op.SIGNAL_DOUBLE, (), "Vehicle.Speed"), Node(Op.LITERAL, (), 30.0), Node(Op.GT, (0, 1)))
    fast = Campaign(
        id="fast",
        version=version,
        purpose=PURPOSE,
        description="wire proof",
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
    return sorted((data / "spool").glob("*/*/*.sealed"))


def compartment_of(spooled: Path) -> Compartment:
    """By the folder that it lies in."""
    return Compartment(spooled.parents[1].name, Purpose(spooled.parent.name))


def inner(spooled: Path, keys: VehicleKeys) -> bytes:
    """The sealed file in a file of the spool, as the region would get it; raises ``SpoolFileError``."""
    data, compartment = spooled.read_bytes(), compartment_of(spooled)
    file = SpoolFile.open(
        lambda at, size: data[at : at + size],
        compartment,
        spooled.stem,
        key=keys.compartment_key(*compartment),
    )
    return file.read(0, file.header.size)


def unwraps(sealed: bytes, private_key: bytes) -> bool:
    """Whether the clip's key opens with a region's private key, whatever the file says it is for.

    Every check that the receiver makes before is left out on purpose: RFC 9180 alone answers.
    """
    manifest = read_manifest(io.BytesIO(sealed))
    parts = (manifest.suite, manifest.region_id, manifest.sealing_key_id, manifest.clip_id)
    info = b"fsd-sealed-1 hpke\0" + b"".join(bytes([len(part)]) + part.encode() for part in parts)
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    try:
        suite.decrypt(manifest.wrapped_key, X25519PrivateKey.from_private_bytes(private_key), info)
    except (InvalidTag, ValueError):
        return False
    return True
