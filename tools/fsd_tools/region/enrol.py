"""A region answers a vehicle's enrolment request (``wire.enrolment``).

The request's own signatures say that device key and TLS key are one vehicle's. Whether that vehicle is to be enrolled is
the operator's decision, who gives the request to this command; after that a name has one device key, and another takes its
place only by a statement that the one before signed. What is asked for beyond a key and a name is not granted.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cryptography.hazmat.primitives.serialization import Encoding

from fsd_agent.adapters.key_files import KeyFileError, read_private
from fsd_agent.adapters.trust_files import read_public_keys
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.enrolment import EnrolmentError, decode_request, encode_answer
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.policy import PolicyError
from fsd_tools.errors import ToolError
from fsd_tools.region.authority import Authority, issue_client
from fsd_tools.region.enrolled import FORMER_DAYS, save_vehicle
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.signing import read_signed


@dataclass(frozen=True, slots=True)
class Answered:
    """What answering did."""

    answer: bytes
    vehicle: str
    region: str
    device_key_id: str
    root: str
    """Fingerprint of the region's root key, for people to compare."""
    certificate_expires: dt.datetime


def answer_request(
    region: RegionDir, request: bytes, now: dt.datetime, *, former_days: int = FORMER_DAYS
) -> Answered:
    """Enrol the vehicle that asks, or renew its certificate; raises :class:`ToolError`."""
    try:
        policy = _policy(region)
        asked = decode_request(request)
        if asked.region_id != policy.region_id:
            raise ToolError(f"request: asks region {asked.region_id!r}, this is {policy.region_id!r}")
        (root,) = read_public_keys(region.root_public)
        authority = _authority(region)
        device_key_id = key_id_of(asked.device_key)
        certificate = issue_client(
            authority, asked.csr, common_name=asked.vehicle, now=now, device_key_id=device_key_id
        )
        save_vehicle(
            region, asked.vehicle, asked.device_key, now, rotations=asked.rotations, former_days=former_days
        )
        answer = encode_answer(
            region_id=policy.region_id,
            certificate=certificate.public_bytes(Encoding.DER),
            policy=region.signed_policy.read_bytes(),
            root=root,
        )
    except EnrolmentError as error:
        raise ToolError(f"request: {error}") from error
    except (KeyFileError, PolicyError, SpoolError, TrustError, ValueError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from error
    return Answered(
        answer,
        asked.vehicle,
        policy.region_id,
        device_key_id,
        key_id_of(root),
        certificate.not_valid_after_utc,
    )


def region_id(region: RegionDir) -> str:
    """Of the region in this directory; raises :class:`ToolError`."""
    try:
        return _policy(region).region_id
    except (PolicyError, OSError) as error:
        raise ToolError(str(error)) from error


def _policy(region: RegionDir) -> RegionPolicy:
    if not region.signed_policy.is_file():
        raise ToolError(f"{region.root}: is not a region's directory: {region.signed_policy.name} is missing")
    return read_signed(region)


def _authority(region: RegionDir) -> Authority:
    try:
        return Authority.load(region.authority_cert.read_bytes(), read_private(region.authority_key))
    except ValueError as error:
        raise ToolError(f"{region.authority_key}: {error}") from error
