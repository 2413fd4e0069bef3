"""Enrol a vehicle with a region, and register it to a jurisdiction.

Enrolling is done by both sides here: the vehicle makes its keys and a certificate request, the region's authority
answers it and notes the vehicle's device key. What crosses between the two is public: the request, the device's public
key, the certificate and the policy.
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
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.region import RegionPolicy, Registration
from fsd_agent.wire.policy import PolicyError, decode_policy, encode_policy
from fsd_agent.wire.registration import (
    RegistrationError,
    check_vehicle,
    decode_registration,
    encode_registration,
)
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
        authority = _authority(region)
        _check_name(files, vehicle)
        create_keys(vehicle_dir)
        keys = KeyFiles(vehicle_dir)
        request = request_client(vehicle, _tls_key(files.tls_key(policy.region_id)))
        certificate = issue_client(authority, request, common_name=vehicle, now=now)
        save_vehicle(region, vehicle, keys.device_public_key(), now)
        write_file(files.tls_certificate(policy.region_id), [certificate_pem(certificate)])
        files.policies.mkdir(exist_ok=True, mode=0o700)
        write_file(files.policy(policy.region_id), [encode_policy(policy)])
    return Enrolment(
        vehicle=vehicle,
        region=policy.region_id,
        device_key_id=keys.device_key_id(),
        certificate=str(files.tls_certificate(policy.region_id)),
        certificate_expires=certificate.not_valid_after_utc,
        policy=str(files.policy(policy.region_id)),
    )


def register_vehicle(vehicle_dir: Path, vehicle: str, jurisdiction: str, serial: int | None) -> Registration:
    """Write the registration document; ``serial`` None is the one after the present document's.

    Raises :class:`ToolError`, also for a serial that is not newer than the present one.
    """
    path = VehicleDir(vehicle_dir).registration
    with _plain_errors():
        present = _registration(path)
        if serial is None:
            serial = present.serial + 1 if present else 1
        registration = Registration(vehicle, jurisdiction, serial)
        data = encode_registration(registration)
        if present is not None and present != registration and serial <= present.serial:
            raise ToolError(
                f"{path}: has serial {present.serial}; a re-registration needs a greater one than {serial}"
            )
        vehicle_dir.mkdir(parents=True, exist_ok=True)
        write_file(path, [data])
    return registration


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except (KeyFileError, PolicyError, RegistrationError, SpoolError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from error


def _policy(region: RegionDir) -> RegionPolicy:
    if not region.policy.is_file():
        raise ToolError(f"{region.root}: is not a region's directory: {region.policy.name} is missing")
    return decode_policy(region.policy.read_bytes(), str(region.policy))


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


def _registration(path: Path) -> Registration | None:
    if not path.exists():
        return None
    try:
        return decode_registration(path.read_bytes())
    except RegistrationError as error:
        raise ToolError(f"{path}: {error}; remove it to register afresh") from error
