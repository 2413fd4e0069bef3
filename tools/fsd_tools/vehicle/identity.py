"""A vehicle's side of enrolment: it asks with keys that never leave it, and takes an answer only if everything fits.

What is written is written in an order in which every beginning is of use: the TLS key before anybody is asked for its
certificate; then key and certificate in use by one rename; then the root that the vehicle pins; then the policy, with which
the region begins to count.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.durable import make_folder, write_file
from fsd_agent.adapters.key_files import create_keys
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.adapters.trust_files import public_key_text, read_public_keys
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.trust_store import TrustError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.rules.residency.jurisdictions import violations
from fsd_agent.rules.trust.enrolment import AcceptedEnrolment, Asking, accept_answer, common_names
from fsd_agent.rules.trust.policies import accept_policy
from fsd_agent.wire.enrolment import EnrolmentError, decode_answer, encode_request
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.floors import PolicyFloor
from fsd_agent.wire.policy import MAX_SIGNED_POLICY_BYTES, PolicyError
from fsd_agent.wire.registration import RegistrationError, check_vehicle
from fsd_agent.wire.rotation import RotationError
from fsd_tools.errors import ToolError
from fsd_tools.region.authority import request_client


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What taking an answer did."""

    vehicle: str
    region: str
    device_key_id: str
    root: str
    """Fingerprint of the root key that the vehicle pins for the region."""
    certificate: str
    """File."""
    certificate_expires: dt.datetime
    policy: str
    """File."""


def make_request(
    vehicle_dir: Path, region_id: str, vehicle: str | None, element: SecureElement | None
) -> bytes:
    """A request for a certificate of ``region_id``, with a TLS key that has none yet; raises :class:`ToolError`.

    Keys that the vehicle does not have are made. ``vehicle`` None is the pseudonym by which it is enrolled already. While a
    device key is being rotated, the next one asks.
    """
    files = VehicleDir(vehicle_dir)
    with plain_errors("request"):
        name = _name(files, vehicle)
        create_keys(vehicle_dir, element)
        devices = DeviceKeys(files, element)
        device = devices.newest()
        tls = TlsFiles(files)
        csr = request_client(name, tls.asking(region_id))
        tls.note(region_id, csr)
        return encode_request(
            vehicle=name,
            region_id=region_id,
            device_key=device.public_key,
            csr=csr.public_bytes(Encoding.DER),
            rotations=devices.rotations(),
            sign=device.sign,
        )


def take_answer(
    vehicle_dir: Path, answer: bytes, root: str | None, element: SecureElement | None, now: dt.datetime
) -> Enrolment:
    """Check an answer and put it in use; ``root`` is the fingerprint that a person has compared.

    Raises :class:`ToolError` with the reason; nothing has changed then.
    """
    files = VehicleDir(vehicle_dir)
    with plain_errors():
        told = decode_answer(answer)
        pinned = _pinned(files, told.region_id)
        tls = TlsFiles(files)
        asking = Asking(
            vehicle=enrolled_as(files),
            device_key_id=DeviceKeys(files, element).newest().key_id,
            asked=tls.asked(told.region_id),
            pinned_root=pinned,
            given_root=root,
            floor=_floor(files, told.region_id, pinned),
            now=now,
        )
        taken = accept_answer(told, asking)
        broken = violations(taken.policy)
        if broken:
            raise ToolError(f"answer: policy: {'; '.join(broken)}")
        path = tls.take(told.region_id, taken.tls_key_id, taken.certificate.public_bytes(Encoding.PEM))
        _pin(files, taken, told.root)
        write_file(files.policy(told.region_id), [told.policy])
    return Enrolment(
        vehicle=taken.vehicle,
        region=told.region_id,
        device_key_id=asking.device_key_id,
        root=key_id_of(told.root),
        certificate=str(path),
        certificate_expires=taken.certificate.not_valid_after_utc,
        policy=str(files.policy(told.region_id)),
    )


def enrolled_as(files: VehicleDir) -> str | None:
    """The pseudonym in the vehicle's certificates; None where it has none. Raises :class:`ToolError`."""
    tls = TlsFiles(files)
    names = {name for region in tls.regions() for name in common_names(tls.certificate(region))}
    if len(names) > 1:
        raise ToolError(f"{files.tls}: this vehicle's certificates name {', '.join(sorted(names))}")
    return next(iter(names), None)


@contextlib.contextmanager
def plain_errors(what: str = "answer") -> Iterator[None]:
    """Everything that can go wrong with a vehicle's directory, as :class:`ToolError`."""
    try:
        yield
    except EnrolmentError as error:
        raise ToolError(f"{what}: {error}") from error
    except (PolicyError, RegistrationError, RotationError, SpoolError, TrustError, VehicleKeyError) as error:
        raise ToolError(str(error)) from error
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from error


def _name(files: VehicleDir, vehicle: str | None) -> str:
    """One device, one pseudonym: its keys must not turn up under a second name."""
    known = enrolled_as(files)
    if vehicle is None and known is None:
        raise ToolError(f"{files.root}: this vehicle is enrolled nowhere yet; give --vehicle")
    name = check_vehicle(vehicle or known or "")
    if known is not None and name != known:
        raise ToolError(f"{files.tls}: this vehicle is enrolled as {known}, not {name!r}")
    return name


def _pinned(files: VehicleDir, region_id: str) -> bytes | None:
    path = files.region_root(region_id)
    if not path.exists():
        return None
    keys = read_public_keys(path)
    if len(keys) != 1:
        raise ToolError(f"{path}: {len(keys)} keys, a region has one root")
    return keys[0]


def _floor(files: VehicleDir, region_id: str, root: bytes | None) -> PolicyFloor | None:
    """Of the policy that is laid down; None where there is none that counts."""
    path = files.policy(region_id)
    if root is None or not path.exists():
        return None
    with path.open("rb") as file:
        signed = file.read(MAX_SIGNED_POLICY_BYTES + 1)
    try:
        return accept_policy(signed, name=str(path), region_id=region_id, root=root, floor=None).floor
    except PolicyError:  # what does not count binds nobody; the answer's policy takes its place
        return None


def _pin(files: VehicleDir, taken: AcceptedEnrolment, root: bytes) -> None:
    for folder in (files.trust, files.policies):
        make_folder(folder)
    text = public_key_text(root, f"root of region {taken.policy.region_id}, {key_id_of(root)}")
    write_file(files.region_root(taken.policy.region_id), [text.encode()])
