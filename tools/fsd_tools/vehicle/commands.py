"""``fsdctl vehicle``: enrol a vehicle with a region, register it to a jurisdiction, set its user's consent."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter

from fsd_agent.wire.moments import show_moment
from fsd_tools.errors import UsageError
from fsd_tools.vehicle import egress as lists
from fsd_tools.vehicle.enrol import enrol_vehicle
from fsd_tools.vehicle.register import Validity, register_vehicle

app = cyclopts.App(
    name="vehicle",
    help="""Enrol a vehicle with a region, register it, set its user's consent, and read what it says of itself.

    For example:

        fsdctl vehicle enrol ./cn --vehicle car-1 -o ./car-1
        fsdctl vehicle register ./car-1 --registry ./registry --vehicle car-1 --jurisdiction CN
        fsdctl vehicle consent ./car-1 --give safety
        fsdctl vehicle egress ./car-1 --user fsd --apply
        fsdctl vehicle status ./cn
    """,
)
app.command("fsd_tools.vehicle.status:status", name="status")
app.command("fsd_tools.vehicle.consent:consent", name="consent")


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
    registry: Path,
    vehicle: str,
    jurisdiction: str,
    serial: int | None = None,
    not_before: str = "",
    not_after: str = "",
    trust: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Sign the registration document that firmware would hold, as registration.signed in VEHICLE_DIR.

    It counts for the device key in VEHICLE_DIR alone, which is made if there is none.

    Example: fsdctl vehicle register ./car-1 --registry ./registry --vehicle car-1 --jurisdiction CN

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory.
    registry
        The registration authority's directory, with its key.
    vehicle
        Pseudonym of the vehicle.
    jurisdiction
        ISO 3166-1 alpha-2 code.
    serial
        Grows with every re-registration; by default one more than the present document's.
    not_before
        Valid from this moment on, as 2026-11-20T10:00:00Z; by default an hour ago.
    not_after
        Valid until this moment; by default two years from not_before.
    trust
        Have the vehicle trust this authority beside those that it trusts already.
    json
        Print the registration as one JSON object.
    """
    registration = register_vehicle(
        vehicle_dir,
        registry,
        vehicle=vehicle,
        jurisdiction=jurisdiction,
        serial=serial,
        validity=Validity(not_before, not_after),
        trust=trust,
        now=dt.datetime.now(dt.UTC),
    )
    if json:
        print(msgspec.json.encode(registration).decode())
    else:
        until = show_moment(registration.not_after_wall_ns)
        print(f"Vehicle {vehicle} registered to {jurisdiction}, serial {registration.serial}, until {until}")
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
