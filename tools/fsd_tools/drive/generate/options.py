"""What a person may choose about a generated drive."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsd_tools.drive.generate.scenarios import SCENARIOS
from fsd_tools.errors import UsageError

CITY_S = 30.0

BLOCK_S = 10.0
"""The city's story repeats in blocks: overtake a cyclist, then brake for a pedestrian."""


class Daylight(StrEnum):
    """When the drive takes place."""

    DAY = "day"
    NIGHT = "night"
    BOTH = "both"
    """Night falls in the middle."""


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """One drive. The same options give the same file, byte for byte, on the same machine."""

    seconds: float = CITY_S
    seed: int = 1
    width: int = 1280
    height: int = 960
    fps: float = 20.0
    daylight: Daylight = Daylight.BOTH
    detections_hz: float = 10.0
    scenario: str = ""
    """Name of one of ``scenarios.SCENARIOS``; the city's story without. A scenario brings its own light."""
    video: bool = True

    def __post_init__(self) -> None:
        if self.scenario and self.scenario not in SCENARIOS:
            raise UsageError(f"--scenario {self.scenario}: one of {', '.join(sorted(SCENARIOS))}.")
        if not 1 <= self.seconds <= 3600:
            raise UsageError(f"--seconds {self.seconds:g}: from 1 to 3600.")
        if self.width % 2 or self.height % 2 or not 96 <= self.width <= 4096 or not 96 <= self.height <= 4096:
            raise UsageError(f"--width {self.width} --height {self.height}: even numbers from 96 to 4096.")
        if not 1 <= self.fps <= 60:
            raise UsageError(f"--fps {self.fps:g}: from 1 to 60.")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: from 0 on.")


def default_seconds(scenario: str) -> float:
    """How long a drive is when nobody says otherwise."""
    return SCENARIOS[scenario].seconds if scenario in SCENARIOS else CITY_S
