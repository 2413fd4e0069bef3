"""``fsdctl vehicle link``: say what firmware would of the link and the ignition, on a bench.

The file is made whole from the arguments each time: what is not said is not carried over from before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from fsd_agent.adapters.durable import write_file
from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.ports.spool import SpoolError
from fsd_firmware.surroundings import LinkKind, Surroundings
from fsd_firmware.surroundings_file import (
    LinkFile,
    PowerFile,
    SurroundingsFile,
    boot_ns,
    encode_surroundings,
    read_surroundings,
)
from fsd_tools.errors import ToolError, UsageError

_S = 1_000_000_000


def link(
    vehicle_dir: Path,
    kind: LinkKind | None = None,
    *,
    metered: Annotated[bool, Parameter(negative="")] = False,
    roaming: Annotated[bool, Parameter(negative="")] = False,
    ignition_off: Annotated[bool, Parameter(negative="")] = False,
    drain_s: float = 0.0,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show which link the vehicle in VEHICLE_DIR has; with KIND, change it.

    A running agent follows within about a second.

    Example: fsdctl vehicle link ./car-1 cellular --metered
             fsdctl vehicle link ./car-1 wifi --ignition-off --drain-s 120

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory, where firmware would write link.json.
    kind
        What the way to the network is.
    metered
        Somebody pays by the byte.
    roaming
        In another operator's network.
    ignition_off
        The ignition is off from now on.
    drain_s
        How long the agent may go on then.
    json
        One JSON object: what the agent would be told now.
    """
    files = VehicleDir(vehicle_dir)
    if not vehicle_dir.is_dir():
        raise ToolError(f"{vehicle_dir}: is no vehicle's directory; make one with fsdctl vehicle enrol")
    if kind is not None:
        if drain_s and not ignition_off:
            raise UsageError("--drain-s: the drain window begins with --ignition-off.")
        if not 0 <= drain_s <= 2**31:
            raise UsageError(f"--drain-s {drain_s}: is no number of seconds from 0 to 2^31.")
        _write(files, LinkFile(kind, metered, roaming), drain_s if ignition_off else None)
    elif metered or roaming or ignition_off or drain_s:
        raise UsageError("KIND: say which link there is, too.")
    _show(read_surroundings(files.link), as_json=json)
    return 0


def _write(files: VehicleDir, said: LinkFile, drain_s: float | None) -> None:
    power = PowerFile("off", boot_ns() / _S, drain_s) if drain_s is not None else PowerFile("on")
    try:
        write_file(files.link, [encode_surroundings(SurroundingsFile(1, said, power))])
    except SpoolError as error:
        raise ToolError(str(error)) from error


def _show(now: Surroundings, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(now).decode())
        return
    words = [str(now.link.kind), "metered" if now.link.metered else "not metered"]
    words += ["roaming"] if now.link.roaming else []
    left_s = now.power.drain_left_ns / _S
    ignition = "on" if now.power.ignition_on else f"off, {left_s:.0f} s of the drain window left"
    print(f"link: {', '.join(words)}; ignition {ignition}")
    if now.fault:
        print(f"  {now.fault}: the careful answer counts")
