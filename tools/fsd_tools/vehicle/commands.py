"""``fsdctl vehicle``: enrol a vehicle with a region and register it to a jurisdiction."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter

from fsd_tools.errors import UsageError
from fsd_tools.vehicle import egress as lists
from fsd_tools.vehicle.enrol import enrol_vehicle, register_vehicle

app = cyclopts.App(
    name="vehicle",
    help="""Enrol a vehicle with a region, register it to a jurisdiction, and read what it says of itself.

    For example:

        fsdctl vehicle enrol ./cn --vehicle car-1 -o ./car-1
        fsdctl vehicle register ./car-1 --vehicle car-1 --jurisdiction CN
        fsdctl vehicle egress ./car-1 --user fsd --apply
        fsdctl vehicle status ./cn
    """,
)
app.command("fsd_tools.vehicle.status:status", name="status")


@app.command
def enrol(
    region_dir: Path,
    *,
    vehicle: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Enrol a vehicle with the region in REGION_DIR; again, to renew its certificate or policy.

    Example: fsdctl vehicle enrol ./cn --vehicle car-1 -o ./car-1

    Parameters
    ----------
    region_dir
        The region's directory, with its authority's key.
    vehicle
        Pseudonym of the vehicle, never its VIN: 1 to 64 of a-z, 0-9 and the hyphen.
    output
        The vehicle's directory: keys are made there if there are none, and never leave it.
    json
        Print what was done as one JSON object.
    """
    done = enrol_vehicle(region_dir, vehicle, output, dt.datetime.now(dt.UTC))
    if json:
        print(msgspec.json.encode(done).decode())
    else:
        print(f"Vehicle {done.vehicle} (device key {done.device_key_id}) enrolled with region {done.region}")
        print(f"Certificate until {done.certificate_expires:%Y-%m-%d}: {done.certificate}")
    return 0


@app.command
def register(
    vehicle_dir: Path,
    *,
    vehicle: str,
    jurisdiction: str,
    serial: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write the registration document that firmware would hold, to registration.json in VEHICLE_DIR.

    Example: fsdctl vehicle register ./car-1 --vehicle car-1 --jurisdiction CN --serial 1

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory.
    vehicle
        Pseudonym of the vehicle.
    jurisdiction
        ISO 3166-1 alpha-2 code.
    serial
        Grows with every re-registration; by default one more than the present document's.
    json
        Print the registration as one JSON object.
    """
    registration = register_vehicle(vehicle_dir, vehicle, jurisdiction, serial)
    if json:
        print(msgspec.json.encode(registration).decode())
    else:
        print(f"Vehicle {vehicle} registered to {jurisdiction}, serial {registration.serial}")
    return 0


@app.command
def egress(vehicle_dir: Path, *, user: str, check: bool = False, apply: bool = False) -> int:
    """Print where the agent's user may send, as nftables rules; with --apply, put them in force.

    Exits with 1 if --check finds anything else in force. On hold the list allows nothing.

    Example: fsdctl vehicle egress ./car-1 --user fsd --apply

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory: its registration and its policies decide.
    user
        Name or number of the user that the agent runs as, and nothing else does.
    check
        Compare with what is in force (as root).
    apply
        Replace what is in force (as root).
    """
    if check and apply:
        raise UsageError("--check and --apply: one or the other.")
    ruleset, allowed = lists.ruleset_for(lists.route_of(vehicle_dir), lists.user_id(user))
    if not check and not apply:
        print(ruleset, end="")
        return 0
    said = ", ".join(f"{one.address} port {one.port}" for one in allowed) or "nothing: the vehicle holds"
    if apply:
        lists.apply(ruleset)
        print(f"In force for user {user}: {said}")
        return 0
    found = lists.difference(ruleset)
    print(
        f"In force for user {user}: {said}" if found is None else f"Wanted for user {user}: {said}; {found}"
    )
    return 0 if found is None else 1
