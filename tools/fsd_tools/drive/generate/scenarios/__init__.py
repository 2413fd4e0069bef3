"""The scenarios by name: each is the drive of the campaign family of the same name."""

from __future__ import annotations

from collections.abc import Mapping

from fsd_tools.drive.generate.scenarios.cyclists import CYCLISTS
from fsd_tools.drive.generate.scenarios.detector import DETECTOR
from fsd_tools.drive.generate.scenarios.driver import DRIVER
from fsd_tools.drive.generate.scenarios.pedestrians import PEDESTRIANS
from fsd_tools.drive.generate.scenarios.surroundings import SURROUNDINGS
from fsd_tools.drive.generate.script import Script

SCENARIOS: Mapping[str, Script] = {
    **PEDESTRIANS,
    **CYCLISTS,
    **DETECTOR,
    **DRIVER,
    **SURROUNDINGS,
}
