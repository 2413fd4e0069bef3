"""``fsdctl vehicle``: enrol a vehicle with a region, register it to a jurisdiction, set its user's consent."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter

from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.wire.moments import show_moment
from fsd_tools.errors import UsageError
from fsd_tools.vehicle import nft
from fsd_tools.vehicle.egress import egress_list, user_id
from fsd_tools.vehicle.nft import InForce
from fsd_tools.vehicle.register import Validity, register_vehicle
from fsd_tools.vehicle.token import NO_TOKEN, TokenChoice

app = cyclopts.App(
    name="vehicle",
    help="""Enrol a vehicle with a region, register it, set its user's consent, and read what it says of itself.

    For example:

        fsdctl vehicle enrol ./cn --vehicle car-1 -o ./car-1
        fsdctl vehicle register ./car-1 --registry ./registry --vehicle car-1 --jurisdiction CN
        fsdctl vehicle consent ./car-1 --give safety
        fsdctl vehicle link ./car-1 cellular --metered
        fsdctl vehicle enrol ./cn --renew -o ./car-1
        fsdctl vehicle rotate ./car-1 --region ./cn
        fsdctl vehicle keys ./car-1
        fsdctl vehicle egress ./car-1 --user fsd --apply
        fsdctl vehicle status ./car-1
        fsdctl vehicle status ./cn
        fsdctl vehicle watch ./cn
        fsdctl vehicle data ./car-1 --copy ./my-data
    """,
)
for _name in ("enrol", "request", "accept", "rotate"):
    app.command(f"fsd_tools.vehicle.identity_commands:{_name}", name=_name)
for _name in ("status", "watch", "consent", "link", "keys", "data"):
    app.command(f"fsd_tools.vehicle.{_name}:{_name}", name=_name)


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
    token: TokenChoice = NO_TOKEN,
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
        element=token.element(),
    )
    if json:
        print(msgspec.json.encode(registration).decode())
    else:
        until = show_moment(registration.not_after_wall_ns)
        print(f"Vehicle {vehicle} registered to {jurisdiction}, serial {registration.serial}, until {until}")
    return 0


@app.command
def egress(
    vehicle_dir: Path, *, user: str, data: Path | None = None, check: bool = False, apply: bool = False
) -> int:
    """Print where the agent's user may send, as nftables rules; with --apply, put them in force.

    On hold the list allows nothing; one that allows something closes by itself when the registration ends.

    Exit codes of --check: 0 exactly this list is in force, 1 another or none, 3 one that has closed by itself and lets
    nothing through any more.

    Example: fsdctl vehicle egress ./car-1 --user fsd --apply

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory: its registration and its policies decide.
    user
        Name or number of the user that the agent runs as, and nothing else does.
    data
        The agent's [storage] dir; by default data in VEHICLE_DIR. What the agent has accepted before is read there;
        where it can't be read, nothing is allowed.
    check
        Compare with what is in force (as root).
    apply
        Replace what is in force (as root).
    """
    if check and apply:
        raise UsageError("--check and --apply: one or the other.")
    uid, clock = user_id(user), SystemClock()
    wanted = egress_list(vehicle_dir, data or vehicle_dir / "data", uid, clock)
    if not check and not apply:
        print(wanted.ruleset, end="")
        return 0
    if apply:
        nft.apply(wanted.ruleset)
        print(f"In force for user {user}: {wanted.said}")
        return 0
    found = nft.find(wanted.ruleset, uid, clock.wall_ns())
    if found.what is InForce.THIS:
        print(f"In force for user {user}: {wanted.said}")
        return 0
    print(f"Wanted for user {user}: {wanted.said}; {_IN_FORCE[found.what]}")
    print(found.shown, end="")
    return EXIT_EXPIRED if found.what is InForce.EXPIRED else 1


EXIT_EXPIRED = 3
_IN_FORCE = {
    InForce.NONE: "no egress list is in force",
    InForce.ANOTHER: "in force is another list:",
    InForce.EXPIRED: "the list in force has expired and lets nothing through, until --apply loads the wanted one:",
}
