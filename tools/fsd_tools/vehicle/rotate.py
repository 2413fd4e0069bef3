"""Rotate a vehicle's device key: the order of steps in which it neither holds nor loses a clip.

1. Begin: the next key, and the statement in which the present key names it. The vehicle goes on as before.
2. Every region that the vehicle is enrolled with takes the next key, and goes on taking what the present one signed.
3. The registrar issues a document for the next key. The vehicle goes by documents for either, so this may also come last.
4. Finish: one rename. From its next start the agent signs with the next key, and its ledger says so first.

A region must know the key before the vehicle signs with it, or it would hold those clips; so finishing is refused while the
certificate of a region names another key. Each step may be cut off anywhere and repeated.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.rules.trust.enrolment import device_key_named
from fsd_tools.errors import ToolError
from fsd_tools.region.enrolled import FORMER_DAYS
from fsd_tools.vehicle.enrol import enrol_vehicle
from fsd_tools.vehicle.identity import plain_errors


@dataclass(frozen=True, slots=True)
class RotationState:
    """Where a rotation stands."""

    device_key_id: str
    """Signs now."""
    next_key_id: str
    """Is prepared; empty where no rotation is under way."""
    told: tuple[str, ...]
    """Regions that know the next key (or, where none is prepared, the present one)."""
    not_told: tuple[str, ...]


def rotation_state(vehicle_dir: Path, element: SecureElement | None) -> RotationState:
    """Where it stands; raises :class:`ToolError`."""
    files = VehicleDir(vehicle_dir)
    with plain_errors():
        devices, tls = DeviceKeys(files, element), TlsFiles(files)
        following, newest = devices.following(), devices.newest().key_id
        knows = {region: device_key_named(tls.certificate(region)) == newest for region in tls.regions()}
        return RotationState(
            device_key_id=devices.current().key_id,
            next_key_id=following.key_id if following is not None else "",
            told=tuple(region for region, is_told in knows.items() if is_told),
            not_told=tuple(region for region, is_told in knows.items() if not is_told),
        )


def begin_rotation(vehicle_dir: Path, element: SecureElement | None) -> None:
    """Step 1; again, nothing. Raises :class:`ToolError`."""
    with plain_errors():
        DeviceKeys(VehicleDir(vehicle_dir), element).begin(time.time_ns())


def tell_regions(
    vehicle_dir: Path,
    regions: Sequence[Path],
    element: SecureElement | None,
    now: dt.datetime,
    *,
    former_days: int = FORMER_DAYS,
) -> None:
    """Step 2, for regions whose directories are at hand. Raises :class:`ToolError`."""
    for region in regions:
        enrol_vehicle(region, None, vehicle_dir, now, element=element, former_days=former_days)


def finish_rotation(vehicle_dir: Path, element: SecureElement | None, *, anyway: bool) -> None:
    """Step 4; ``anyway`` also where a region was not told. Raises :class:`ToolError`."""
    state = rotation_state(vehicle_dir, element)
    if not state.next_key_id:
        return
    if state.not_told and not anyway:
        raise ToolError(
            f"{vehicle_dir}: not told of device key {state.next_key_id} yet: region {', '.join(state.not_told)}; clips that "
            "it signed would wait. Run fsdctl vehicle request, region enrol and vehicle accept for each, or give --anyway"
        )
    with plain_errors():
        DeviceKeys(VehicleDir(vehicle_dir), element).commit()
