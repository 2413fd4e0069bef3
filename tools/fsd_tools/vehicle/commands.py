"""``fsdctl vehicle``: enrol a vehicle with a region, register it to a jurisdiction, set its user's consent."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.wire.enrolment import MAX_ANSWER_BYTES, decode_request
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.moments import show_moment
from fsd_tools.errors import UsageError
from fsd_tools.files import read_input, write_output
from fsd_tools.region.enrolled import FORMER_DAYS
from fsd_tools.vehicle import nft
from fsd_tools.vehicle.egress import egress_list, user_id
from fsd_tools.vehicle.enrol import enrol_vehicle
from fsd_tools.vehicle.identity import Enrolment, make_request, take_answer
from fsd_tools.vehicle.nft import InForce
from fsd_tools.vehicle.register import Validity, register_vehicle
from fsd_tools.vehicle.rotate import begin_rotation, finish_rotation, rotation_state, tell_regions
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
app.command("fsd_tools.vehicle.status:status", name="status")
app.command("fsd_tools.vehicle.watch:watch", name="watch")
app.command("fsd_tools.vehicle.consent:consent", name="consent")
app.command("fsd_tools.vehicle.link:link", name="link")
app.command("fsd_tools.vehicle.keys:keys", name="keys")
app.command("fsd_tools.vehicle.data:data", name="data")


@app.command
def enrol(
    region_dir: Path,
    *,
    vehicle: str | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    renew: Annotated[bool, Parameter(negative="")] = False,
    token: TokenChoice = NO_TOKEN,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Enrol a vehicle with the region in REGION_DIR, both directories at hand; again, to renew.

    Renewing makes a new TLS key and gets a new certificate and the newest policy; the device key stays. Where region and
    vehicle are two machines, use `vehicle request`, `region enrol` and `vehicle accept`, which this does in one.

    Example: fsdctl vehicle enrol ./cn --vehicle car-1 -o ./car-1
             fsdctl vehicle enrol ./cn --renew -o ./car-1

    Parameters
    ----------
    region_dir
        The region's directory, with its authority's key.
    vehicle
        Pseudonym of the vehicle, never its VIN: 1 to 64 of a-z, 0-9 and the hyphen.
    output
        The vehicle's directory: keys are made there if there are none, and never leave it.
    renew
        The vehicle is enrolled already, under the pseudonym that its certificates name.
    json
        Print what was done as one JSON object.
    """
    if renew == (vehicle is not None):
        raise UsageError("give --vehicle to enrol, or --renew to renew: one or the other.")
    done = enrol_vehicle(region_dir, vehicle, output, dt.datetime.now(dt.UTC), element=token.element())
    return _show_enrolment(done, as_json=json)


@app.command
def request(
    vehicle_dir: Path,
    *,
    region: str,
    vehicle: str | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    token: TokenChoice = NO_TOKEN,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Ask a region for a certificate: writes a request, signed by the device key and by a new TLS key of VEHICLE_DIR.

    It holds nothing secret. Answer it with `fsdctl region enrol`, take the answer with `fsdctl vehicle accept`.

    Example: fsdctl vehicle request ./car-1 --region cn --vehicle car-1 -o car-1.request

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory: keys are made there if there are none, and never leave it.
    region
        Id of the region.
    vehicle
        Pseudonym of the vehicle; may be left out once it is enrolled anywhere.
    output
        The request.
    json
        Print what was asked for as one JSON object.
    """
    data = make_request(vehicle_dir, region, vehicle, token.element())
    asked = decode_request(data)
    write_output(output, data)
    device_key_id = key_id_of(asked.device_key)
    if json:
        facts = {
            "vehicle": asked.vehicle,
            "region": region,
            "device_key_id": device_key_id,
            "request": str(output),
        }
        print(msgspec.json.encode(facts).decode())
    else:
        print(f"Request of vehicle {asked.vehicle} (device key {device_key_id}) to region {region}: {output}")
        print(f"Now, at the region: fsdctl region enrol REGION_DIR {output} -o ANSWER")
    return 0


@app.command
def accept(
    vehicle_dir: Path,
    answer: Path,
    *,
    root: str | None = None,
    token: TokenChoice = NO_TOKEN,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Take a region's answer into VEHICLE_DIR, if it fits the request and everything in it holds.

    Checked: root key, policy and its version, authority, purpose, pseudonym, device key, TLS key, validity. What is refused
    changes nothing. A running agent uses the new certificate at its next connection.

    Example: fsdctl vehicle accept ./car-1 car-1.answer --root 0123456789abcdef

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory, with the TLS key that the request was for.
    answer
        As `fsdctl region enrol` wrote it.
    root
        Fingerprint of the region's root key, compared over another way; needed once for each region.
    json
        Print what was done as one JSON object.
    """
    data = read_input(answer, MAX_ANSWER_BYTES)
    done = take_answer(vehicle_dir, data, root, token.element(), dt.datetime.now(dt.UTC))
    return _show_enrolment(done, as_json=json)


def _show_enrolment(done: Enrolment, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(done).decode())
    else:
        print(f"Vehicle {done.vehicle} (device key {done.device_key_id}) enrolled with region {done.region}")
        print(f"Certificate until {done.certificate_expires:%Y-%m-%d}: {done.certificate}")
    return 0


@app.command
def rotate(
    vehicle_dir: Path,
    *,
    region: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")] = (),
    finish: Annotated[bool, Parameter(negative="")] = False,
    anyway: Annotated[bool, Parameter(negative="")] = False,
    former_days: Annotated[int, Parameter(validator=Number(gte=0, lte=3650))] = FORMER_DAYS,
    token: TokenChoice = NO_TOKEN,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Give the vehicle in VEHICLE_DIR a new device key, in steps that may be cut off and repeated.

    First run: makes the next key, and a statement in which the present one names it. Then tell every region (--region where
    its directory is at hand, else `vehicle request`, `region enrol`, `vehicle accept`), and have the vehicle registered anew
    (`vehicle register`). Last, --finish: from its next start the agent signs with the new key. Clips that are sealed already
    are delivered as they are. Nothing holds in between.

    Example: fsdctl vehicle rotate ./car-1 --region ./cn ./eu
             fsdctl vehicle register ./car-1 --registry ./registry --vehicle car-1 --jurisdiction CN
             fsdctl vehicle rotate ./car-1 --finish

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory.
    region
        Directories of regions to tell.
    finish
        Put the next key in the place of the present one.
    anyway
        Finish although a region was not told: its clips wait on the vehicle until it is.
    former_days
        How long the regions given here go on taking what the present key signed.
    json
        Print where the rotation stands as one JSON object.
    """
    element = token.element()
    if not finish or region:
        begin_rotation(vehicle_dir, element)
        tell_regions(vehicle_dir, region, element, dt.datetime.now(dt.UTC), former_days=former_days)
    if finish:
        finish_rotation(vehicle_dir, element, anyway=anyway)
    state = rotation_state(vehicle_dir, element)
    if json:
        print(msgspec.json.encode(state).decode())
    elif state.next_key_id:
        print(f"Signs with {state.device_key_id}; next is {state.next_key_id}")
        print(
            f"Regions that know it: {', '.join(state.told) or 'none'}; not yet: {', '.join(state.not_told) or 'none'}"
        )
    else:
        print(f"Device key {state.device_key_id}; a running agent takes it up at its next start")
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
