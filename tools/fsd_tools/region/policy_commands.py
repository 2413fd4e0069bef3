"""``fsdctl region policy``: edit, check, sign and show what a region's vehicles are told."""

from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter

from fsd_agent.records.region import RegionKey, RegionPolicy
from fsd_agent.wire.moments import show_moment
from fsd_agent.wire.policy import PolicyError
from fsd_tools.errors import ToolError
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.rotate import KeyPurpose, rotate_key
from fsd_tools.region.signing import read_draft, read_signed_text, sign_draft

app = cyclopts.App(
    name="policy",
    help="""Edit, check, sign and show a region's policy.

    For example:

        $EDITOR ./cn/region.toml
        fsdctl region policy check ./cn
        fsdctl region policy sign ./cn
        fsdctl vehicle enrol ./cn --vehicle car-1 -o ./car-1     # gives it to a vehicle
    """,
)


@app.command
def check(directory: Path, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Say whether the draft, region.toml in DIRECTORY, could be signed, and whether it is what was signed.

    Exit code 1 where it could not. Example: fsdctl region policy check ./cn

    Parameters
    ----------
    directory
        The region's directory.
    json
        Print one JSON object.
    """
    region = RegionDir(directory)
    text, draft = read_draft(region)
    try:
        signed = load_policy(region)
        is_signed = read_signed_text(region) == text
    except PolicyError as error:  # read a moment ago: replaced meanwhile
        raise ToolError(str(error)) from None
    if json:
        facts = {"region": draft.region_id, "signed_version": signed.version, "is_signed": is_signed}
        print(msgspec.json.encode(facts).decode())
    elif is_signed:
        print(f"{region.policy}: ok, and signed as version {signed.version}")
    else:
        print(f"{region.policy}: ok, but not what was signed as version {signed.version}")
    return 0


@app.command
def sign(directory: Path, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Sign the draft, region.toml in DIRECTORY, as the next version.

    A draft that was not changed is not signed again. Example: fsdctl region policy sign ./cn

    Parameters
    ----------
    directory
        The region's directory, with its root key.
    json
        Print what was signed as one JSON object.
    """
    region = RegionDir(directory)
    done = sign_draft(region, dt.datetime.now(dt.UTC))
    version = done.policy.version
    if json:
        facts = {
            "region": done.policy.region_id,
            "version": version,
            "changed": done.changed,
            "signed": str(region.signed_policy),
        }
        print(msgspec.json.encode(facts).decode())
    elif done.changed:
        print(
            f"Region {done.policy.region_id}: version {version} signed; vehicles get {region.signed_policy}"
        )
    else:
        print(f"Region {done.policy.region_id}: nothing new; version {version} is signed already")
    return 0


@app.command
def show(directory: Path, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Show the newest signed policy of the region in DIRECTORY, after its signature was verified.

    Example: fsdctl region policy show ./cn

    Parameters
    ----------
    directory
        The region's directory.
    json
        Print it as one JSON object.
    """
    region = RegionDir(directory)
    policy = load_policy(region)
    if json:
        print(msgspec.json.encode(_facts(policy)).decode())
        return 0
    for name, value in _facts(policy).items():
        lines = value if isinstance(value, list) else [value]
        print(f"{name:<16}{lines[0] if lines else '-'}", *(f"{'':<16}{line}" for line in lines[1:]), sep="\n")
    return 0


@app.command
def rotate(directory: Path, *, key: KeyPurpose, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Make a new key for the region in DIRECTORY and put it into the draft; sign the draft afterwards.

    What was sealed to an older key is still opened. To retire a key for good, take its line out of the draft and remove its
    file. Example: fsdctl region policy rotate ./cn --key sealing

    Parameters
    ----------
    directory
        The region's directory.
    key
        What the key is for.
    json
        Print what was made as one JSON object.
    """
    region = RegionDir(directory)
    key_id = rotate_key(region, key)
    if json:
        print(msgspec.json.encode({"key": str(key), "key_id": key_id, "draft": str(region.policy)}).decode())
    else:
        print(f"New {key} key {key_id} in {region.policy}; now run: fsdctl region policy sign {directory}")
    return 0


def _facts(policy: RegionPolicy) -> dict[str, str | int | list[str]]:
    rules = policy.redaction
    return {
        "region": policy.region_id,
        "version": policy.version,
        "issued": show_moment(policy.issued_wall_ns),
        "jurisdictions": list(policy.jurisdictions),
        "identity_uri": policy.identity_uri,
        "endpoints": [
            f"{one.host}:{one.port} in {one.country} as {one.server_name} ({' '.join(one.addresses)})"
            for one in policy.endpoints
        ],
        "broker_pins": [base64.b64encode(pin).decode("ascii") for pin in policy.broker_pins],
        "seal_to": policy.sealing_key_id,
        "sealing_keys": _ids(policy.sealing_keys),
        "receipt_keys": _ids(policy.receipt_keys),
        "campaign_keys": _ids(policy.campaign_keys),
        "redaction": [
            f"faces {rules.faces}, plates {rules.plates}, {rules.strictness}, {rules.fill}",
            f"location {rules.location}, grid {rules.location_grid_deg:g} deg",
        ],
        "data_classes": sorted(policy.data_classes),
        "zones": [zone.name for zone in policy.zones],
        "retention_days": policy.retention_days,
        "export": policy.export,
        "left_clips": policy.left_clips,
        "metered_bytes_per_day": _limit(policy.metered.day_bytes),
        "metered_bytes_per_month": _limit(policy.metered.month_bytes),
        "transfer": policy.transfer,
    }


def _limit(size: int | None) -> int | str:
    return "no limit" if size is None else size


def _ids(keys: tuple[RegionKey, ...]) -> list[str]:
    return [key.key_id for key in keys]
