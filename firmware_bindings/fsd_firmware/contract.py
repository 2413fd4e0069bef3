"""What a vehicle's firmware implements for the agent, in Python terms.

Thread contract: one thread calls ``poll``; ``registration``, ``consent``, ``surroundings`` and ``give_back`` may be called
from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fsd_firmware.can.table import SignalTable
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.samples import SensedBatch
from fsd_firmware.surroundings import Surroundings


class FirmwareError(Exception):
    """The source can't give what was asked; the message names the file or device, the field and the reason."""


@dataclass(frozen=True, slots=True)
class CameraDescription:
    """One camera of the vehicle."""

    name: str
    """One that looks into the car begins with ``cabin``; its video is collected only where that is allowed."""
    width: int
    height: int
    fps: float


@dataclass(frozen=True, slots=True)
class VehicleDescription:
    """What this vehicle line has. Constant while the agent runs."""

    cameras: tuple[CameraDescription, ...]
    catalogue: Catalogue
    signal_table: SignalTable | None
    """How CAN frames become samples of ``catalogue``; None where the source gives samples only."""

    def picture_sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height in pixels of each camera's picture, by name."""
        return {camera.name: (camera.width, camera.height) for camera in self.cameras}


class Firmware(Protocol):
    """A source of everything the vehicle senses."""

    def describe(self) -> VehicleDescription:
        """What this vehicle line has."""
        ...

    def registration(self) -> bytes | None:
        """The vehicle's registration document as the maker's firmware holds it, or None when there is none."""
        ...

    def consent(self) -> bytes | None:
        """The document of what the vehicle's user consents to, or None when there is none: then to nothing.

        It is replaced whole, never written to in place.
        """
        ...

    def surroundings(self) -> Surroundings:
        """Which link is up and how long there is power, at this moment. Never raises: what is unknown has its own answer."""
        ...

    def give_back(self) -> None:
        """The agent needs no more of the drain window: nothing is under way, and nobody is connected.

        Called once for each time that the ignition is off, whether the window is over or not. From then on firmware may
        take the power away; the agent sleeps until the ignition is on again. Raises :class:`FirmwareError`.
        """
        ...

    def poll(self) -> SensedBatch | None:
        """Wait for the next batch (some milliseconds of samples); None when the source has ended.

        A source that has nothing to give returns an empty batch at least once a second, also while the ignition is off.
        Raises :class:`FirmwareError` when the source breaks; what was given before stays valid.
        """
        ...

    def close(self) -> None:
        """Release devices and files. Safe to call twice."""
        ...
