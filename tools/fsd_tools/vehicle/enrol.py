"""Enrol a vehicle with a region where both directories are at hand: request, answer and taking it, one after the other.

Only what would cross between two machines crosses here. The person who runs this has the region's directory before him, so
its root key needs no comparing.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.wire.registration import RegistrationError, check_vehicle
from fsd_tools.errors import ToolError
from fsd_tools.region.enrol import answer_request, region_id
from fsd_tools.region.enrolled import FORMER_DAYS
from fsd_tools.region.layout import RegionDir
from fsd_tools.vehicle.identity import Enrolment, enrolled_as, make_request, plain_errors, take_answer


def enrol_vehicle(
    region_dir: Path,
    vehicle: str | None,
    vehicle_dir: Path,
    now: dt.datetime,
    *,
    element: SecureElement | None = None,
    former_days: int = FORMER_DAYS,
) -> Enrolment:
    """Enrol ``vehicle``, or renew its TLS key, certificate and policy; raises :class:`ToolError`.

    Its device key is kept. ``vehicle`` None is the pseudonym by which it is enrolled already.
    """
    region = RegionDir(region_dir)
    name = region_id(region)
    try:
        check_vehicle(vehicle if vehicle is not None else _known(vehicle_dir))
    except RegistrationError as error:
        raise ToolError(str(error)) from error
    request = make_request(vehicle_dir, name, vehicle, element)
    done = answer_request(region, request, now, former_days=former_days)
    pinned = VehicleDir(vehicle_dir).region_root(name).exists()
    return take_answer(vehicle_dir, done.answer, None if pinned else done.root, element, now)


def _known(vehicle_dir: Path) -> str:
    with plain_errors():
        known = enrolled_as(VehicleDir(vehicle_dir))
    if known is None:
        raise ToolError(
            f"{vehicle_dir}: this vehicle is enrolled nowhere yet; give --vehicle, and not --renew"
        )
    return known
