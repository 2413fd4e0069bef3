"""A checker that sees marker colours: implements :class:`ports.checker.Checker` without a model.

Of each colour it sees one box, around all of its pixels, as it is in the picture it is given: what is painted over it can't see.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from fsd_agent.ports.detector import DetectorError
from fsd_agent.records.check import Sight, Sightings
from fsd_firmware.samples import Frame

TOLERANCE = 40
"""A codec moves a pure colour by less than this."""


class MarkerChecker:
    """Finds ``markers`` (blue, green, red), each with score 0.9."""

    def __init__(
        self, markers: Mapping[Sight, tuple[int, int, int]], *, source: str = "marker-checker@1"
    ) -> None:
        self._markers = markers
        self._source = source
        self._failures = 0
        self._failure: type[DetectorError] = DetectorError
        self.looked_at: list[tuple[str, int]] = []
        """(camera, t_ns) of every frame."""
        self.full: list[bool] = []
        """Whether each look was asked to be."""

    @property
    def source(self) -> str:
        """As a package's would be."""
        return self._source

    @property
    def digest(self) -> str:
        """Of its name: it has no weights."""
        return hashlib.sha256(self._source.encode()).hexdigest()

    def fail_next(self, times: int = 1, error: type[DetectorError] = DetectorError) -> None:
        """Raise ``error`` on the next ``times`` frames."""
        self._failures += times
        self._failure = error

    def look(self, frame: Frame, *, full: bool) -> Sightings:
        """One box a colour that is in the frame."""
        if self._failures:
            self._failures -= 1
            raise self._failure(f"{self._source}: told to fail")
        self.looked_at.append((frame.camera, frame.t_ns))
        self.full.append(full)
        what, boxes = [], []
        for sight, colour in self._markers.items():
            far = np.abs(frame.bgr.astype(np.int16) - np.array(colour, np.int16)).max(axis=2)
            rows, columns = np.nonzero(far <= TOLERANCE)
            if rows.size:
                what.append(int(sight))
                boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        return Sightings(
            self._source,
            np.array(what, np.uint8),
            np.full(len(what), 0.9, np.float32),
            np.array(boxes, np.float32).reshape(-1, 4),
        )
