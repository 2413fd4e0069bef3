"""A detector that sees marker colours: implements :class:`ports.detector.Detector` without a model.

It looks at the pixels it is given. A colour's rectangles may share columns or rows with each other as long as
an empty row or column separates them (an XY-cut: split by empty columns, then by empty rows). Its features are the
frame's mean blue, green and red, 0 to 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fsd_agent.ports.detector import DetectorError, Seen
from fsd_firmware.samples import Detections, Features, Frame, Kind

MARKERS: Mapping[Kind, tuple[int, int, int]] = {
    Kind.PEDESTRIAN: (255, 0, 255),
    Kind.CYCLIST: (255, 255, 0),
    Kind.CAR: (0, 255, 255),
}
"""Blue, green, red."""
TOLERANCE = 60
"""A codec moves a pure colour by less than this."""
MIN_SIDE_PX = 3
"""Smaller specks are codec noise."""


class MarkerDetector:
    """Finds rectangles of ``MARKERS``; the score is the filled share of the rectangle."""

    def __init__(
        self, markers: Mapping[Kind, tuple[int, int, int]] = MARKERS, *, source: str = "marker@1"
    ) -> None:
        self._markers = markers
        self._failures = 0
        self._failure: type[DetectorError] = DetectorError
        self._source = source
        self.thorough: list[bool] = []
        """Whether each look was asked to be."""
        self.looked_at: list[tuple[str, int]] = []
        """(camera, t_ns) of every frame that was asked about, failures too."""

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

    def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
        """Boxes of one frame, best first, and its mean colour."""
        self.thorough.append(thorough)
        self._look(frame)
        rows = sorted(
            (row for kind, bgr in self._markers.items() for row in _rectangles(frame.bgr, kind, bgr)),
            key=lambda row: -row[1],
        )
        seen = self._detections(frame, [row for row in rows if row[1] >= min_score])
        return Seen(seen, self._mean(frame))

    def features(self, frame: Frame) -> Features:
        """The frame's mean colour."""
        self._look(frame)
        return self._mean(frame)

    def _look(self, frame: Frame) -> None:
        self.looked_at.append((frame.camera, frame.t_ns))
        if self._failures:
            self._failures -= 1
            raise self._failure(f"{frame.camera} at {frame.t_ns} ns: {self._source}: told to fail")

    def _mean(self, frame: Frame) -> Features:
        mean = (frame.bgr.mean(axis=(0, 1), keepdims=True)[0] / 255).astype(np.float32)
        return Features(frame.camera, self.source, np.array([frame.t_ns], np.int64), mean)

    def _detections(
        self, frame: Frame, rows: Sequence[tuple[Kind, float, tuple[int, int, int, int]]]
    ) -> Detections:
        n = len(rows)
        return Detections(
            camera=frame.camera,
            source=self.source,
            frame_t_ns=np.array([frame.t_ns], np.int64),
            frame=np.zeros(n, np.int32),
            kind=np.array([row[0] for row in rows], np.uint8),
            score=np.array([row[1] for row in rows], np.float32),
            box=np.array([row[2] for row in rows], np.float32).reshape(n, 4),
            distance_m=np.full(n, np.nan, np.float32),
            track_id=np.full(n, -1, np.int32),
            ttc_s=np.full(n, np.nan, np.float32),
        )


def _rectangles(
    bgr: NDArray[np.uint8], kind: Kind, colour: tuple[int, int, int]
) -> Iterator[tuple[Kind, float, tuple[int, int, int, int]]]:
    mask: NDArray[np.bool_] = np.ones(bgr.shape[:2], np.bool_)
    for plane, level in zip(np.moveaxis(bgr, 2, 0), colour, strict=True):
        near = (plane >= max(level - TOLERANCE, 0)) & (plane <= min(level + TOLERANCE, 255))
        np.logical_and(mask, near, out=mask)
    for x1, x2 in _runs(np.logical_or.reduce(mask, axis=0)):
        for y1, y2 in _runs(np.logical_or.reduce(mask[:, x1:x2], axis=1)):
            across = np.flatnonzero(mask[y1:y2, x1:x2].any(axis=0))
            left, right = x1 + int(across[0]), x1 + int(across[-1]) + 1
            if min(right - left, y2 - y1) >= MIN_SIDE_PX:
                yield kind, float(mask[y1:y2, left:right].mean()), (left, y1, right, y2)


def _runs(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and end (exclusive) of every run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
