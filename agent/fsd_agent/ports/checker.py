"""A model that looks at redacted video, and is none of those that redaction was planned from."""

from __future__ import annotations

from typing import Protocol

from fsd_agent.records.check import Sightings
from fsd_firmware.samples import Frame


class Checker(Protocol):
    """Finds faces, plates, persons or vehicles in one picture. One thread at a time."""

    @property
    def source(self) -> str:
        """``name@version`` of the model package."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the package, 64 hex digits."""
        ...

    def look(self, frame: Frame, *, full: bool) -> Sightings:
        """What is in ``frame``, down to the lowest score that may count.

        ``full`` takes several times as long to see what is small. Raises ``ports.detector.DetectorError``, and its
        ``DetectorStalledError`` instead of taking for ever.
        """
        ...
