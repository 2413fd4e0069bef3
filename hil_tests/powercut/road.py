"""What vehicles drive whose power is cut: a short drive in small pictures with two firings, and short clips.

A life takes little more than a start then, and a cut lands anywhere in it.
"""

from __future__ import annotations

import re
from pathlib import Path

from fsd_agent.records.purpose import Purpose
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.rig.processes import fsdctl

SECONDS = 9
CAMPAIGNS = {
    "pedestrian_crossing_ahead": Purpose.AUTOMATED_DRIVING,
    "cyclist_overtaken_close": Purpose.SAFETY,
}
"""What each is collected for. The first leaves out what was sent already, the second wants each clip: the same seconds are driven many times."""


def lay_drive(folder: Path) -> Path:
    """A city in small pictures."""
    drive = folder / "city.mcap"
    fsdctl(
        "drive", "generate", "-o", drive, "--seconds", str(SECONDS), "--seed", "7",
        "--width", "96", "--height", "96", "--fps", "5",
    )  # fmt: skip
    return drive


def lay_campaigns(folder: Path) -> tuple[Path, ...]:
    """Without budgets, for a vehicle drives the same seconds many times; a second before and a second after."""
    paths = []
    for name in CAMPAIGNS:
        text = (FAMILIES / f"{name}.yaml").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^budget:.*\n", "", text)
        text = re.sub(r"(?m)^  (before|after): .*$", r"  \1: 1s", text)
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return tuple(paths)
