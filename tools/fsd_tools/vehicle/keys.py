"""``fsdctl vehicle keys``: which keys and certificates a vehicle's directory holds, and for how long they serve."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.rules.trust.certificates import CertificateState, certificate_life
from fsd_agent.rules.trust.enrolment import common_names, device_key_named
from fsd_agent.wire.moments import show_moment
from fsd_tools.vehicle.identity import plain_errors
from fsd_tools.vehicle.rotate import RotationState, rotation_state
from fsd_tools.vehicle.token import NO_TOKEN, TokenChoice


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One region's certificate."""

    region: str
    vehicle: str
    device_key_id: str
    """That it names."""
    until: str
    days_left: int
    state: CertificateState


def keys(
    vehicle_dir: Path, *, token: TokenChoice = NO_TOKEN, json: Annotated[bool, Parameter(negative="")] = False
) -> int:
    """Show the device key and the certificates in VEHICLE_DIR; exit code 1 where a certificate has expired.

    Example: fsdctl vehicle keys ./car-1

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory.
    json
        One JSON object.
    """
    state = rotation_state(vehicle_dir, token.element())
    found = certificates(vehicle_dir, time.time_ns())
    if json:
        facts = {"rotation": state, "certificates": found, "in_token": token.token_label}
        print(msgspec.json.encode(facts).decode())
    else:
        _show(state, found, token)
    return 1 if any(one.state is CertificateState.EXPIRED for one in found) else 0


def certificates(vehicle_dir: Path, now_wall_ns: int) -> list[CertificateFacts]:
    """Of every region that the vehicle is enrolled with; raises ``ToolError``."""
    tls = TlsFiles(VehicleDir(vehicle_dir))
    found = []
    with plain_errors("certificate"):
        for region in tls.regions():
            certificate, until_ns = tls.certificate(region), tls.until_ns(region)
            life = certificate_life(region, until_wall_ns=until_ns, now_wall_ns=now_wall_ns)
            name = ", ".join(common_names(certificate))
            until = show_moment(until_ns)
            found.append(
                CertificateFacts(
                    region, name, device_key_named(certificate), until, life.days_left, life.state
                )
            )
    return found


def _show(state: RotationState, found: list[CertificateFacts], token: TokenChoice) -> None:
    where = f"in token {token.token_label!r}" if token.token_label else "in a file"
    print(f"Device key {state.device_key_id}, {where}")
    if state.next_key_id:
        print(
            f"Next device key {state.next_key_id}; regions not told yet: {', '.join(state.not_told) or 'none'}"
        )
    for one in found:
        print(
            f"Region {one.region}: {one.vehicle}, until {one.until}, {one.days_left} days left: {one.state}"
        )
