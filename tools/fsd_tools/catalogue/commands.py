"""``fsdctl catalogue``: which signals a vehicle has, and whether a mapping can give them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec
from cyclopts import Parameter

from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_tools.campaign.vehicle import vehicle_of
from fsd_tools.errors import ToolError, UsageError

app = cyclopts.App(
    name="catalogue",
    help="""Show a vehicle's signals; check the mapping that fills them.

    For example:

        fsdctl catalogue show --vehicle city.mcap
        fsdctl catalogue check car.toml --dbc 0=powertrain.dbc --dbc 1=radar.dbc
    """,
)

Json = Annotated[bool, Parameter(name="--json", negative="")]
Dbc = Annotated[tuple[str, ...], Parameter(consume_multiple=False, negative="")]
Files = Annotated[tuple[Path, ...], Parameter(consume_multiple=False, negative="")]


@app.command
def show(
    *,
    vehicle: Path | None = None,
    mapping: Path | None = None,
    dbc: Dbc = (),
    standard: Path | None = None,
    overlay: Files = (),
    json: Json = False,
) -> int:
    """Show the signals of a vehicle: path, type, unit, range, labels, age.

    Without options it is the car of generated drives.

    Example: fsdctl catalogue show --mapping car.toml --dbc 0=powertrain.dbc

    Parameters
    ----------
    vehicle
        A drive whose vehicle is shown.
    mapping
        A mapping file (TOML) whose vehicle line is shown; needs --dbc.
    dbc
        BUS=FILE: the DBC file that describes a bus. May be said again.
    standard
        The standard to use: a release (.json, .yaml) or its source (.vspec).
    overlay
        An overlay (.vspec) on top of the mapping's own. May be said again.
    json
        Print one JSON object; a limit that is not there is null.
    """
    if mapping is None:
        if dbc or standard or overlay:
            raise UsageError("--dbc, --standard and --overlay go with --mapping.")
        catalogue = vehicle_of(vehicle).catalogue
    elif vehicle is not None:
        raise UsageError("--vehicle and --mapping: one of the two.")
    elif not dbc:
        raise UsageError("--mapping needs the files that it maps: --dbc BUS=FILE.")
    else:
        from fsd_tools.catalogue.resolve import compile_line
        from fsd_tools.catalogue.vss import BUILT_IN

        sources = _sources(dbc)
        catalogue, _ = compile_line(mapping, sources, standard=standard or BUILT_IN, overlays=overlay)
    if json:
        _print_json({"signals": [_as_dict(row, entry) for row, entry in enumerate(catalogue.entries)]})
    else:
        _print_lines(catalogue)
    return 0


@app.command
def check(
    mapping: Path,
    /,
    *,
    dbc: Dbc = (),
    standard: Path | None = None,
    overlay: Files = (),
    json: Json = False,
) -> int:
    """Check a mapping file against the standard, its overlays and the DBC files.

    Names every path that can't be filled, with the reason, and exits with 1.
    Without --dbc it checks paths, ranges and labels only.

    Example: fsdctl catalogue check car.toml --dbc 0=powertrain.dbc

    Parameters
    ----------
    mapping
        The mapping file (TOML).
    dbc
        BUS=FILE: the DBC file that describes a bus. May be said again.
    standard
        The standard to use: a release (.json, .yaml) or its source (.vspec).
    overlay
        An overlay (.vspec) on top of the mapping's own. May be said again.
    json
        Print one JSON object.
    """
    from fsd_tools.catalogue.mapping import load_mapping
    from fsd_tools.catalogue.resolve import resolve, tree_of
    from fsd_tools.catalogue.vss import BUILT_IN
    from fsd_tools.drive.dbc_compile import compile_messages, load_messages

    wanted = load_mapping(mapping)
    messages = load_messages(_sources(dbc)) if dbc else None
    tree = tree_of(mapping, wanted, standard or BUILT_IN, overlay)
    resolved, problems = resolve(wanted, tree, messages)
    if messages is not None:
        compile_messages(messages, resolved)
    if json:
        refused = [{"path": one.path, "reason": one.reason} for one in problems]
        _print_json({"mapping": str(mapping), "sound": list(resolved.signals), "refused": refused})
    elif problems:
        raise ToolError("\n".join(f"{mapping}: {problem}" for problem in problems))
    else:
        against = "the standard and the DBC files" if dbc else "the standard alone (no --dbc)"
        print(f"{mapping}: {len(resolved.signals)} signals, sound against {against}")
    return 1 if problems else 0


def _sources(given: Sequence[str]) -> list[Any]:
    from fsd_tools.catalogue.vspec_files import read_text
    from fsd_tools.drive.dbc_compile import DbcSource

    found = []
    for one in given:
        bus, equals, name = one.partition("=")
        if not equals or not bus.isdecimal() or int(bus) > 255 or not name:
            raise UsageError(f"--dbc {one}: expected BUS=FILE, as in 0=powertrain.dbc.")
        path = Path(name)
        found.append(DbcSource(int(bus), path.name, read_text(path)))
    return found


def _print_lines(catalogue: Catalogue) -> None:
    """One line a signal, so that it can be searched and sorted with ordinary tools."""
    lines = []
    for entry in catalogue.entries:
        labels = ", ".join(f"{code} {name}" for code, name in entry.labels)
        stale = f"stale after {entry.stale_ns / 1e6:g} ms" if entry.stale_ns else "never stale"
        lines.append((entry.path, entry.type, entry.unit, labels or _range(entry), stale))
    widths = [max((len(line[i]) for line in lines), default=0) for i in range(4)]
    for line in lines:
        print("  ".join([*(f"{text:{width}}" for text, width in zip(line, widths, strict=False)), line[-1]]))


def _range(entry: CatalogueEntry) -> str:
    if entry.type == "bool":
        return ""
    ends = (f"{end:g}" if math.isfinite(end) else "" for end in (entry.minimum, entry.maximum))
    return "{} .. {}".format(*ends)


def _as_dict(row: int, entry: CatalogueEntry) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(entry)
    found["labels"] = {name: code for code, name in entry.labels}
    for end in ("minimum", "maximum"):
        found[end] = found[end] if math.isfinite(found[end]) else None
    return {"row": row, **found}


def _print_json(data: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
