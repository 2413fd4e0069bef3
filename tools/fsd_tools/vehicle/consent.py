"""``fsdctl vehicle consent``: set what firmware would, from the setting that the vehicle's user changes.

Every change is a new revision. It is the clock's seconds, or one more than the present document's where that is higher:
so a document that was lost, and is made anew, still counts as newer than what the vehicle has accepted before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fsd_agent.adapters.durable import write_file
from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.consent import ConsentSetting
from fsd_agent.records.purpose import MEANINGS, Purpose
from fsd_agent.wire.consent import MAX_CONSENT_BYTES, ConsentError, decode_consent, encode_consent
from fsd_tools.errors import ToolError, UsageError

_NONE_YET = ConsentSetting(0, frozenset())


def consent(
    vehicle_dir: Path,
    *,
    give: Annotated[list[Purpose] | None, Parameter(negative="")] = None,
    withdraw: Annotated[list[Purpose] | None, Parameter(negative="")] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show what the user of the vehicle in VEHICLE_DIR consents to; with --give and --withdraw, change it.

    A running agent follows within about a second. Withdrawing stops collection and destroys the keys of what has not
    left the vehicle: that can't be undone.

    Example: fsdctl vehicle consent ./car-1 --give safety --withdraw diagnostics

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory, where firmware would write consent.json.
    give
        Consent to this purpose; may be given several times.
    withdraw
        Withdraw consent to this purpose; may be given several times.
    json
        One JSON object: the revision, and whether each purpose is consented to.
    """
    setting = change_consent(vehicle_dir, give or (), withdraw or (), dt.datetime.now(dt.UTC))
    if json:
        given = {str(purpose): purpose in setting.given for purpose in Purpose}
        print(msgspec.json.encode({"revision": setting.revision, "consent": given}).decode())
    else:
        _show(setting)
    return 0


def change_consent(
    vehicle_dir: Path, give: Sequence[Purpose], withdraw: Sequence[Purpose], now: dt.datetime
) -> ConsentSetting:
    """Write what has changed, and return the setting as it is then. Raises :class:`ToolError`."""
    both = sorted(set(give) & set(withdraw))
    if both:
        raise UsageError(f"--give and --withdraw {both[0]}: one or the other.")
    files = VehicleDir(vehicle_dir)
    if not vehicle_dir.is_dir():
        raise ToolError(f"{vehicle_dir}: is no vehicle's directory; make one with fsdctl vehicle enrol")
    before = read_consent(files.consent)
    given = (before.given | set(give)) - set(withdraw)
    if not (give or withdraw) or (given == before.given and before.revision):
        return before
    after = ConsentSetting(max(int(now.timestamp()), before.revision + 1), given)
    try:
        write_file(files.consent, [encode_consent(after)])
    except SpoolError as error:
        raise ToolError(str(error)) from error
    return after


def read_consent(path: Path) -> ConsentSetting:
    """The document as it is; nothing is consented to where there is none. Raises :class:`ToolError`."""
    try:
        with path.open("rb") as file:
            return decode_consent(file.read(MAX_CONSENT_BYTES + 1))
    except FileNotFoundError:
        return _NONE_YET
    except OSError as error:
        raise ToolError(f"{path}: can't be read: {error.strerror}") from error
    except ConsentError as error:
        raise ToolError(
            f"{path}: {error}; the vehicle takes it as consent to nothing. Remove it, then give consent anew"
        ) from error


def _show(setting: ConsentSetting) -> None:
    table = Table("purpose", "consent", "meaning", box=SIMPLE_HEAD)
    for purpose in Purpose:
        table.add_row(purpose, "given" if purpose in setting.given else "not given", MEANINGS[purpose])
    Console().print(table)
