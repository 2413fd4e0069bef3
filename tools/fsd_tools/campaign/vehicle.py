"""Which signals and cameras campaigns are checked against: a drive's own description, or the line that ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsd_firmware.catalogue import Catalogue
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.drive.format import DriveError
from fsd_firmware.drive.reader import DriveReader
from fsd_tools.drive.vehicles import DEMO_CAMERAS, fsd_demo
from fsd_tools.errors import ToolError


@dataclass(frozen=True, slots=True, eq=False)
class Vehicle:
    """What a condition may refer to."""

    catalogue: Catalogue
    cameras: tuple[str, ...]


def vehicle_of(drive: Path | None) -> Vehicle:
    """The vehicle of a drive file, or the fictional car of generated drives. Raises :class:`ToolError`."""
    if drive is None:
        return Vehicle(fsd_demo().catalogue, DEMO_CAMERAS)
    try:
        return described(DriveReader(drive).description)
    except (DriveError, OSError) as error:
        raise ToolError(f"--vehicle {drive}: {error}") from None


def described(description: VehicleDescription) -> Vehicle:
    """The vehicle of a description."""
    return Vehicle(description.catalogue, tuple(camera.name for camera in description.cameras))
