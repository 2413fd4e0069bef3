"""``fsdctl vehicle enrol``, ``request``, ``accept`` and ``rotate``: who a vehicle is, and which regions know it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from fsd_agent.wire.enrolment import MAX_ANSWER_BYTES, decode_request
from fsd_agent.wire.envelope import key_id_of
from fsd_tools.errors import UsageError
from fsd_tools.files import read_input, write_output
from fsd_tools.region.enrolled import FORMER_DAYS
from fsd_tools.vehicle.enrol import enrol_vehicle
from fsd_tools.vehicle.identity import Enrolment, make_request, take_answer
from fsd_tools.vehicle.rotate import begin_rotation, finish_rotation, rotation_state, tell_regions
from fsd_tools.vehicle.token import NO_TOKEN, TokenChoice


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
