"""``fsdctl vehicle data``: what was collected from the vehicle, and copies of what is still on it, for its user.

Who may: whoever can run this on the vehicle with access to its keys and files; there is no other login.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress

from fsd_agent.adapters.key_files import KeyFiles
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_tools.errors import ToolError
from fsd_tools.region.data import answer_of
from fsd_tools.rights.answers import join, read_answer
from fsd_tools.rights.choose import choose
from fsd_tools.rights.copies import Copied, copy_clips
from fsd_tools.rights.entries import CopyState, State
from fsd_tools.rights.folder import CATALOGUE, copy_folder
from fsd_tools.rights.show import Catalogue, facts, lines
from fsd_tools.rights.sources import Collected, read_vehicle
from fsd_tools.vehicle.token import NO_TOKEN, TokenChoice

EXIT_ALL, EXIT_PART = 0, 3


def data(
    vehicle_dir: Path,
    *,
    data: Path | None = None,
    clip: Annotated[tuple[str, ...], Parameter(name="--clip", consume_multiple=False, negative="")] = (),
    copy: Path | None = None,
    region: Annotated[tuple[Path, ...], Parameter(name="--region", consume_multiple=False, negative="")] = (),
    answers: Annotated[
        tuple[Path, ...], Parameter(name="--answers", consume_multiple=False, negative="")
    ] = (),
    token: TokenChoice = NO_TOKEN,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show what was collected from the vehicle in VEHICLE_DIR; with --copy, copy what is still on it.

    Changes nothing, asks nobody, and works while the agent runs. A clip is copied once it is redacted, because other
    people can be recognised in it before; what was delivered is the region's to copy.

    Exit codes: 0 everything was read and given, 3 something could not be: a clip on the vehicle, or one named with --clip,
    of which there is no copy; a source that can't be read; a region's answer that does not fit. All of it is said.

    Example: fsdctl vehicle data ./car-1
             fsdctl vehicle data ./car-1 --copy ./my-data
             fsdctl vehicle data ./car-1 --answers ./from-cn/catalogue.json

    Parameters
    ----------
    vehicle_dir
        The vehicle's directory.
    data
        The agent's [storage] dir; by default data in VEHICLE_DIR.
    clip
        Only this clip; the beginning of its id is enough. May be given several times.
    copy
        New or empty folder for the copies: MCAP files, and this catalogue as catalogue.json.
    region
        A region's directory, where it is at hand: does it hold what it receipted? May be given several times.
    answers
        A region's answer instead, as `fsdctl region data` wrote it. May be given several times.
    json
        One JSON object.
    """
    storage = data or vehicle_dir / "data"
    found = read_vehicle(vehicle_dir, storage)
    if (answers or region) and not found.vehicle:
        raise ToolError(
            f"{vehicle_dir}: nothing readable names the vehicle, so no region's answer is about it"
        )
    replies = [*map(read_answer, answers), *(answer_of(one, found.vehicle) for one in region)]
    fits, wrong = join(found.vehicle, found.entries, replies, found.policies)
    ids = choose([one.clip_id for one in found.entries], clip)
    entries = tuple(one for one in found.entries if one.clip_id in ids)
    dropped = () if clip else found.dropped
    shown = Catalogue(found.vehicle, entries, dropped, fits, (*found.not_read, *wrong))
    if copy is not None:
        shown = _copy(shown, found, storage, _keys(vehicle_dir, token), copy)
    if json:
        print(msgspec.json.encode(facts(shown)).decode())
    else:
        for line in lines(shown):
            print(line)
    missing = copy is not None and _missing(shown, named=bool(clip))
    return EXIT_PART if shown.not_read or missing else EXIT_ALL


def _keys(vehicle_dir: Path, token: TokenChoice) -> KeyFiles:
    try:
        return KeyFiles(vehicle_dir, token.element())
    except VehicleKeyError as error:
        raise ToolError(str(error)) from error


def _copy(shown: Catalogue, found: Collected, storage: Path, keys: KeyFiles, out: Path) -> Catalogue:
    """With what became of each copy; the catalogue is written last."""
    copied: dict[str, Copied] = {}
    here = sum(one.copy is CopyState.HERE for one in shown.entries)
    with (
        copy_folder(out) as folder,
        Progress(console=Console(stderr=True), transient=True) as bar,
    ):
        task = bar.add_task("copying clips", total=here)
        for clip_id, made in copy_clips(shown.entries, found.sealed, storage, keys, folder):
            copied[clip_id] = made
            bar.update(task, advance=1)
        done = replace(shown, copied=copied)
        folder.put(CATALOGUE, [msgspec.json.format(msgspec.json.encode(facts(done))), b"\n"])
    return done


def _missing(shown: Catalogue, *, named: bool) -> bool:
    """Whether a copy was not given that was named, or that is of a clip on the vehicle."""
    return any(
        not _given(one.clip_id, shown.copied) and (named or _is_owed(one.state)) for one in shown.entries
    )


def _given(clip_id: str, copied: Mapping[str, Copied]) -> bool:
    return clip_id in copied and bool(copied[clip_id].file)


def _is_owed(state: State) -> bool:
    return state not in (State.DELIVERED, State.GIVEN_UP)
