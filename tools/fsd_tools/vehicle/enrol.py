"""Enrol a vehicle with a region.

Enrolling is done by both sides here: the vehicle makes its keys and a certificate request, the region's authority
answers it and notes the vehicle's device key. What crosses between the two is public: the request, the device's public
key, the certificate, the region's root key, which the vehicle pins, and the signed policy.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fsd_agent.adapters.durable import write_file
from fsd_agent.adapters.key_files import (
    KeyFileError,
    KeyFiles,
    VehicleDir,
    create_keys,
    read_private,
    write_private,
)
from fsd_agent.adapters.trust_files import public_key_text, read_public_keys
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.policy import PolicyError
from fsd_agent.wire.registration import RegistrationError, check_vehicle
from fsd_tools.errors import ToolError
from fsd_tools.region.authority import (
    Authority,
    certificate_pem,
    issue_client,
    key_pem,
    new_key,
    request_client,
)
from fsd_tools.region.enrolled import save_vehicle
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.signing import read_signed


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What enrolling did."""

    vehicle: str
    region: str
    device_key_id: str
    certificate: str
    """File."""
    certificate_expires: dt.datetime
    policy: str
    """File."""


def enrol_vehicle(region_dir: Path, vehicle: str, vehicle_dir: Path, now: dt.datetime) -> Enrolment:
    """Enrol (or renew the certificate of) ``vehicle``; raises :class:`ToolError`.

    Keys that exist are kept. Doing it twice is the same as doing it once, but for a newer certificate.
    """
    region, files = RegionDir(region_dir), VehicleDir(vehicle_dir)
    with _plain_errors():
        check_vehicle(vehicle)
        policy = _policy(region)
        (root,) = read_public_keys(region.root_public)
        authority = _authority(region)
        _check_name(files, vehicle)
        _check_root(files, policy.region_id, root)
        create_keys(vehicle_dir)
        keys = KeyFiles(vehicle_dir)
        request = request_client(vehicle, _tls_key(files.tls_key(policy.region_id)))
        certificate = issue_client(authority, request, common_name=vehicle, now=now)
        save_vehicle(region, vehicle, keys.device_public_key(), now)
        write_file(files.tls_certificate(policy.region_id), [certificate_pem(certificate)])
        for folder in (files.trust, files.policies):
            folder.mkdir(exist_ok=True, mode=0o700)
        text = public_key_text(root, f"root of region {policy.region_id}, {key_id_of(root)}")
        write_file(files.region_root(policy.region_id), [text.encode()])
        write_file(files.policy(policy.region_id), [region.signed_policy.read_bytes()])
    return Enrolment(
        vehicle=vehicle,
        region=policy.region_id,
        device_key_id=keys.device_key_id(),
        certificate=str(files.tls_certificate(policy.region_id)),
        certificate_expires=certificate.not_valid_after_utc,
        policy=str(files.policy(policy.region_id)),
    )


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (KeyFileError, PolicyError, RegistrationError, SpoolError, TrustError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from error


def _policy(region: RegionDir) -> RegionPolicy:
    if not region.signed_policy.is_file():
        raise ToolError(f"{region.root}: is not a region's directory: {region.signed_policy.name} is missing")
    return read_signed(region)


def _authority(region: RegionDir) -> Authority:
    try:
        return Authority.load(region.authority_cert.read_bytes(), read_private(region.authority_key))
    except ValueError as error:
        raise ToolError(f"{region.authority_key}: {error}") from error


def _check_name(files: VehicleDir, vehicle: str) -> None:
    """One device, one pseudonym: its keys must not turn up under a second name."""
    for path in sorted(files.root.glob("tls/*.pem")):
        subject = x509.load_pem_x509_certificate(path.read_bytes()).subject
        names = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [vehicle]:
            raise ToolError(
                f"{path}: this vehicle is enrolled as {' '.join(names) or 'nobody'}, not {vehicle!r}"
            )


def _check_root(files: VehicleDir, region_id: str, root: bytes) -> None:
    """A vehicle that believes another key for this region must not be talked out of it by enrolling again."""
    path = files.region_root(region_id)
    if path.exists() and read_public_keys(path) != (root,):
        raise ToolError(
            f"{path}: the vehicle pins another root key for region {region_id!r}, not {key_id_of(root)}; "
            "if the region was made anew, remove that file first"
        )


def _tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if not path.exists():
        write_private(path, key_pem(new_key()))
    try:
        key = serialization.load_pem_private_key(read_private(path), password=None)
    except ValueError as error:
        raise ToolError(f"{path}: is not a private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ToolError(f"{path}: is not an elliptic-curve key")
    return key
