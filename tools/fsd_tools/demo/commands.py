"""``fsdctl demo``."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import cyclopts
from rich.console import Console

from fsd_tools.clip.sheet import make_sheet
from fsd_tools.demo.account import Account
from fsd_tools.demo.play import play
from fsd_tools.demo.scenario import real, rendered
from fsd_tools.demo.show import Painter, as_json, show
from fsd_tools.errors import ToolError

app = cyclopts.App(name="demo", help="The main job, end to end: two regions, two vehicles.")

MARKER = ".fsd-demo"
"""Only a folder that holds this file is emptied: never a person's own."""


@app.default
def demo(
    *,
    data: Path | None = None,
    out: Path = Path("out/demo"),
    seconds: float = 24.0,
    seed: int = 1,
    as_json_: Annotated[bool, cyclopts.Parameter(name="--json")] = False,
) -> int:
    """Run two vehicles against two regions and account for every firing and every byte.

    A vehicle registered in CN and one registered in DE drive the same street. Campaigns are pushed over MQTT; clips
    are captured, redacted, sealed, sent, verified, receipted. Exits with 1 unless every firing is accounted for,
    every clip arrived whole and nothing left for a region that is not the vehicle's own.

    Examples::

        fsdctl demo
        fsdctl demo --data ../shared/data --json

    Parameters
    ----------
    data
        Folder with real input (comma2k19, video, models): play the real minute instead of a rendered drive.
    out
        Where everything is put; emptied first if an earlier demo made it.
    seconds
        Length of the rendered drive.
    seed
        Of the rendered drive.
    as_json_
        One JSON object on stdout instead of tables.
    """
    began = time.monotonic()
    root = _fresh(out)
    console = Console(stderr=True)
    painter = Painter(console, seconds if data is None else 60.0)
    try:
        if data is None:
            scenario = rendered(root, seconds=seconds, seed=seed, say=painter.say, progress=painter.rendered)
        else:
            scenario = real(root, data.resolve(), say=painter.say)
        account = play(scenario, root, say=painter.say, paint=painter.paint)
    finally:
        painter.stop()
    sheet = _sheet(account, root)
    if as_json_:
        print(json.dumps(as_json(account, sheet=sheet), indent=2))
    else:
        show(account, _wide_console(), sheet=sheet, root=root)
        console.print(f"[dim]{time.monotonic() - began:.0f} s[/dim]")
    return 1 if account.complaints else 0


def _wide_console() -> Console:
    """The terminal as it is; a file or a pipe is as wide as the tables need."""
    console = Console()
    return console if console.is_terminal else Console(width=140)


def _fresh(out: Path) -> Path:
    root = out.resolve()
    if root.exists():
        if any(root.iterdir()) and not (root / MARKER).exists():
            raise ToolError(
                f"{root} is not empty and was not made by the demo; give another folder with --out"
            )
        shutil.rmtree(root)
    root.mkdir(parents=True)
    (root / MARKER).touch()
    return root


def _sheet(account: Account, root: Path) -> Path | None:
    if not account.arrived:
        return None
    sheet = root / "clips.png"
    captions = [
        (f"{one.vehicle} to {one.region}: {', '.join(one.campaigns)}", one.path) for one in account.arrived
    ]
    make_sheet(captions, sheet)
    return sheet
