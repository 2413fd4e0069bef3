"""Frames of boxes by hand, and what the engine's detections say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsd_agent.records.nodes import FIELDS, ValueType
from fsd_agent.rules.triggers.detections.looks import DetectionState, Looks
from fsd_firmware.samples import Detections, Kind

MS: Final = 1_000_000
NAN: Final = float("nan")
CAMERAS: Final = {"front": (1000, 500), "rear": (640, 480)}
NUMBERS: Final = tuple(name for name, kind in FIELDS.items() if kind is not ValueType.TEXT)
Row = dict[str, float]
"""Every numeric field of one box."""


@dataclass(frozen=True)
class Seen:
    """A box: the middle of its lower edge, its size, and what else comes with it."""

    x: float
    y: float = 300.0
    tall: float = 100.0
    wide: float = 40.0
    kind: Kind = Kind.PEDESTRIAN
    track: int = -1
    distance: float = NAN
    ttc: float = NAN

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2."""
        return self.x - self.wide / 2, self.y - self.tall, self.x + self.wide / 2, self.y


@dataclass(frozen=True)
class Frame:
    """What one source saw in one picture."""

    ms: int
    boxes: tuple[Seen, ...] = ()
    camera: str = "front"
    source: str = "firmware"


def columns(frames: Sequence[Frame]) -> Detections:
    """Frames of one camera and source."""
    rows = [(at, box) for at, frame in enumerate(frames) for box in frame.boxes]
    boxes = [box for _, box in rows]
    return Detections(
        camera=frames[0].camera,
        source=frames[0].source,
        frame_t_ns=np.array([frame.ms * MS for frame in frames], np.int64),
        frame=np.array([at for at, _ in rows], np.int32),
        kind=np.array([box.kind for box in boxes], np.uint8),
        score=np.full(len(boxes), 0.5, np.float32),
        box=np.array([box.corners for box in boxes], np.float32).reshape(-1, 4),
        distance_m=np.array([box.distance for box in boxes], np.float32),
        track_id=np.array([box.track for box in boxes], np.int32),
        ttc_s=np.array([box.ttc for box in boxes], np.float32),
    )


def streams(frames: Sequence[Frame]) -> tuple[Detections, ...]:
    """Frames of any cameras and sources."""
    keys = dict.fromkeys((frame.camera, frame.source) for frame in frames)
    return tuple(columns([one for one in frames if (one.camera, one.source) == key]) for key in keys)


def rows_at(looks: Looks, t_ns: int) -> list[Row]:
    """The boxes that are seen at an instant."""
    boxes = looks.axis_at(np.array([t_ns], np.int64)).box.tolist()
    return [{name: float(looks.column(name)[box]) for name in NUMBERS} for box in boxes]


def followed(frames: Sequence[Frame], ends_ms: Sequence[int] = (10_000,)) -> list[list[Row]]:
    """What is seen at the time of each frame, batches ending at ``ends_ms``."""
    state = DetectionState(CAMERAS)
    found: list[list[Row]] = []
    start_ms = -1
    for end_ms in ends_ms:
        inside = [frame for frame in frames if start_ms <= frame.ms < end_ms]
        batch = streams(inside)
        looks = state.looks(batch, since_ns=start_ms * MS, until_ns=end_ms * MS)
        found += [rows_at(looks, frame.ms * MS) for frame in inside]
        state.store(batch)
        start_ms = end_ms
    return found
