"""What the demo plays: a drive, campaigns, and who looks at the pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsd_tools.campaign.families import FAMILIES
from fsd_tools.drive.generate.drive import generate_drive
from fsd_tools.drive.generate.options import GenerateOptions
from fsd_tools.errors import ToolError
from fsd_tools.rig.processes import fsdctl

REAL_VIDEO = "pedestrian_cyclist_1.mp4"
REAL_MODEL = "nanodet-m-416-int8"
REAL_CAMERA_AT_S = 20.0
VRU_ANY = Path(__file__).parent / "vru_any.yaml"
"""Fires on any pedestrian or cyclist: NanoDet knows no distances, without which the families have little to say."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One drive for every vehicle of the demo."""

    title: str
    drive: Path
    seconds: float
    campaigns: tuple[Path, ...]
    agent: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Tables of ``agent.toml``."""


def rendered(
    root: Path, *, seconds: float, seed: int, say: Callable[[str], None], progress: Callable[[float], None]
) -> Scenario:
    """A procedural city drive, day and night, with the driving computer's own detections.

    ``progress`` is called with the share that is rendered.
    """
    drive = root / "city.mcap"
    say(f"rendering a city drive of {seconds:.0f} s")
    generate_drive(drive, GenerateOptions(seconds=seconds, seed=seed, width=960, height=720), progress)
    names = ("pedestrian_crossing_ahead", "cyclist_overtaken_close", "hard_braking_vru_near")
    shipped = tuple(FAMILIES / f"{name}.yaml" for name in names)
    return Scenario(
        title="a rendered city drive, seen by the driving computer",
        drive=drive,
        seconds=seconds,
        campaigns=(*shipped, _one_a_day(root)),
        agent={"firmware": {"source": f"drive:{drive}", "speed": "max"}},
    )


def _one_a_day(root: Path) -> Path:
    """The cyclists again, but one clip a day: shows firings that a budget drops."""
    path = root / "cyclist_one_a_day.yaml"
    lines = (FAMILIES / "cyclist_overtaken_close.yaml").read_text(encoding="utf-8").splitlines()
    changed = {"id": "id: cyclist_one_a_day", "budget": "budget: {clips_per_day: 1}"}
    path.write_text(
        "\n".join(changed.get(line.partition(":")[0], line) for line in lines) + "\n", encoding="utf-8"
    )
    return path


def real(root: Path, data: Path, *, say: Callable[[str], None]) -> Scenario:
    """The real minute with a real street as its camera, seen by NanoDet on the vehicle."""
    source, video, weights = data / "comma2k19", data / "video" / REAL_VIDEO, data / "models"
    for path in (source, video, weights):
        if not path.exists():
            raise ToolError(f"--data {data}: {path.relative_to(data)} is not there")
    drive = root / "real.mcap"
    say("importing the real minute and its camera")
    fsdctl(
        "drive", "import", "comma2k19", source, "--camera", video, "--camera-at", str(REAL_CAMERA_AT_S),
        "-o", drive, timeout_s=300,
    )  # fmt: skip
    package = root / "models" / REAL_MODEL
    say("assembling the model package")
    fsdctl("model", "assemble", REAL_MODEL, "--weights-from", weights, "-o", package)
    return Scenario(
        title="the real minute with a real street, seen by NanoDet on the vehicle",
        drive=drive,
        seconds=60.0,
        campaigns=(VRU_ANY,),
        agent={
            "firmware": {"source": f"drive:{drive}", "speed": "max"},
            "perception": {"package": str(package), "rate_hz": 10.0, "halves": True},
        },
    )
