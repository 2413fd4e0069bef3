"""``fsdctl region``: make a region, sign its policy and serve it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from fsd_agent.records.region import (
    Endpoint,
    FaceRule,
    Fill,
    LocationRule,
    PlateRule,
    RegionPolicy,
    Strictness,
    TransferProfile,
)
from fsd_agent.wire.enrolment import MAX_REQUEST_BYTES
from fsd_tools.files import read_input, write_output
from fsd_tools.region.enrol import answer_request
from fsd_tools.region.enrolled import FORMER_DAYS
from fsd_tools.region.init import init_region
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.policy import RedactionChoice, server_name

app = cyclopts.App(
    name="region",
    help="""Make a region, sign its policy and serve it.

    For example:

        fsdctl region init ./cn --id cn --jurisdiction CN
        fsdctl region policy sign ./cn
        fsdctl region enrol ./cn car-1.request -o car-1.answer
        fsdctl region serve ./cn
        fsdctl region data ./cn --vehicle car-1 --copy ./for-car-1
    """,
)
app.command(
    "fsd_tools.region.policy_commands:app",
    name="policy",
    help="Edit, check, sign and show a region's policy.",
)
for _name in ("serve", "retention", "data"):
    app.command(f"fsd_tools.region.{_name}:{_name}", name=_name)
app.command("fsd_tools.region.sketch_command:sketch", name="sketch")
app.command("fsd_tools.region.check_command:check", name="check")


@app.command
def init(
    directory: Path,
    *,
    id: Annotated[str, Parameter(name="--id")],  # noqa: A002 - the option's name
    jurisdiction: Annotated[
        tuple[str, ...], Parameter(name="--jurisdiction", consume_multiple=False, negative="")
    ],
    host: str = "127.0.0.1",
    port: int = 8883,
    address: Annotated[
        tuple[str, ...], Parameter(name="--address", consume_multiple=False, negative="")
    ] = (),
    country: str = "",
    faces: FaceRule = FaceRule.HEAD_ZONE,
    plates: PlateRule = PlateRule.PLATE_BAND,
    hold_ms: int = 150,
    max_gap_ms: int = 500,
    location: LocationRule = LocationRule.COARSE,
    location_grid_deg: float = 0.05,
    strictness: Strictness = Strictness.STANDARD,
    fill: Fill = Fill.SOLID,
    transfer: TransferProfile = TransferProfile.VEHICLE_TOPICS,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make a region in DIRECTORY: root key, certificate authority, broker, receiver, operator, keys and signed policy.

    Example: fsdctl region init ./eu --id eu --jurisdiction DE --jurisdiction FR --port 8884

    Parameters
    ----------
    directory
        Made here; a folder that has anything in it is not touched.
    id
        1 to 32 of a-z, 0-9 and the hyphen.
    jurisdiction
        ISO 3166-1 alpha-2 code of a jurisdiction that the region serves; may be repeated.
    host
        Where vehicles reach the broker.
    port
        Its port.
    address
        Every IP address that HOST may turn out to be, where it is a name; may be repeated.
    country
        Where the broker stands, ISO 3166-1 alpha-2; by default the first jurisdiction.
    faces
        What is done about persons.
    plates
        What is done about licence plates.
    hold_ms
        A box is painted this long before and after the frame in which it was seen.
    max_gap_ms
        Video with a longer stretch that nothing looked at is not sent.
    location
        What is done about positions.
    location_grid_deg
        Cell size for coarse positions, in degrees.
    strictness
        How much more than what is surely a face or a plate is painted.
    fill
        What is painted: solid black, or strong pixelation, which keeps more of the street and hides less surely.
    transfer
        How clips travel: by topics below each vehicle's name, or by the public file convention.
    json
        Print what was made as one JSON object.
    """
    choice = RedactionChoice(
        faces, plates, hold_ms, max_gap_ms, location, location_grid_deg, strictness, fill
    )
    now = dt.datetime.now(dt.UTC)
    where = country or jurisdiction[0]
    addresses = address or ((host,) if _is_address(host) else ())
    endpoint = Endpoint(host, addresses, port, server_name(id), where)
    policy = init_region(
        directory, id, jurisdiction, endpoint=endpoint, redaction=choice, now=now, transfer=transfer
    )
    if json:
        print(msgspec.json.encode(_facts(RegionDir(directory), policy)).decode())
    else:
        served = ", ".join(policy.jurisdictions)
        print(f"Region {policy.region_id} for {served} at {host}:{port} made in {directory}")
        print(f"Vehicles get {RegionDir(directory).signed_policy}; every *.key stays where it is.")
    return 0


@app.command
def enrol(
    directory: Path,
    request: Path,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    former_days: Annotated[int, Parameter(validator=Number(gte=0, lte=3650))] = FORMER_DAYS,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Answer a vehicle's REQUEST: enrol it with the region in DIRECTORY, renew its certificate, or take its new device key.

    A name belongs to one device key; another takes its place only by a statement of that key. Give the answer to the vehicle
    and, over another way, the root's fingerprint that is printed here.

    Example: fsdctl region enrol ./cn car-1.request -o car-1.answer

    Parameters
    ----------
    directory
        The region's directory, with its authority's key.
    request
        As `fsdctl vehicle request` wrote it.
    output
        The answer: certificate and signed policy. Nothing in it is secret.
    former_days
        How long clips and ledger heads that a former device key signed are still taken.
    json
        Print what was done as one JSON object.
    """
    asked = read_input(request, MAX_REQUEST_BYTES)
    done = answer_request(RegionDir(directory), asked, dt.datetime.now(dt.UTC), former_days=former_days)
    write_output(output, done.answer)
    if json:
        facts = {
            "vehicle": done.vehicle,
            "region": done.region,
            "device_key_id": done.device_key_id,
            "root": done.root,
            "certificate_expires": done.certificate_expires,
            "answer": str(output),
        }
        print(msgspec.json.encode(facts).decode())
    else:
        print(f"Vehicle {done.vehicle} (device key {done.device_key_id}) enrolled with region {done.region}")
        print(f"Certificate until {done.certificate_expires:%Y-%m-%d}; root {done.root}")
        print(f"Now, at the vehicle: fsdctl vehicle accept VEHICLE_DIR {output} --root {done.root}")
    return 0


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _facts(region: RegionDir, policy: RegionPolicy) -> dict[str, object]:
    return {
        "region": policy.region_id,
        "jurisdictions": policy.jurisdictions,
        "host": policy.endpoints[0].host,
        "port": policy.endpoints[0].port,
        "server_name": policy.endpoints[0].server_name,
        "identity_uri": policy.identity_uri,
        "sealing_key_id": policy.sealing_key_id,
        "directory": str(region.root),
        "policy": str(region.policy),
        "signed_policy": str(region.signed_policy),
        "root": str(region.root_public),
        "broker_conf": str(region.broker_conf),
    }
