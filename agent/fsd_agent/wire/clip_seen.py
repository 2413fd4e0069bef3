"""What was seen in a clip's video, as ``foxglove.ImageAnnotations``: one message a frame, all sources in it.

One message, because a viewer shows the newest message of a topic: a second source's would hide the first's. A
frame in which nothing was seen has an empty message, which takes the last frame's boxes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from foxglove_schemas_protobuf.ImageAnnotations_pb2 import ImageAnnotations
from foxglove_schemas_protobuf.PointsAnnotation_pb2 import PointsAnnotation
from google.protobuf.message import DecodeError

from fsd_agent.wire.clip_messages import ClipMessageError
from fsd_firmware.samples import Detections, Kind

COLOURS: Final[Mapping[Kind, tuple[float, float, float]]] = {
    Kind.UNKNOWN: (0.75, 0.75, 0.75),
    Kind.PEDESTRIAN: (1.0, 0.35, 0.2),
    Kind.CYCLIST: (1.0, 0.8, 0.1),
    Kind.BICYCLE: (0.8, 0.7, 0.3),
    Kind.MOTORCYCLE: (0.9, 0.45, 0.8),
    Kind.CAR: (0.25, 0.65, 1.0),
    Kind.TRUCK: (0.35, 0.5, 0.95),
    Kind.BUS: (0.3, 0.85, 0.85),
    Kind.ANIMAL: (0.5, 0.85, 0.35),
}
"""Red, green, blue, 0 to 1: persons warm, vehicles cool."""

_KINDS: Final = {int(kind): kind for kind in Kind}
_THICKNESS_PX = 2.0
_FONT_PX = 14.0


@dataclass(frozen=True, slots=True)
class SeenBox:
    """One box of an annotation."""

    kind: Kind
    score: float
    source: str
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels."""
    distance_m: float | None = None
    """None where unknown."""
    ttc_s: float | None = None
    """Time to collision as the source knows it; None where unknown."""


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """What was seen in one frame, by all sources together; no box means looked and nothing seen."""

    camera: str
    t_ns: int
    boxes: tuple[SeenBox, ...]


def seen_frames(detections: Sequence[Detections]) -> list[SeenFrame]:
    """Detections regrouped by camera and frame, sources united, in order of time for each camera."""
    frames: dict[tuple[str, int], list[SeenBox]] = {}
    for one in detections:
        edges = np.searchsorted(one.frame, np.arange(one.frame_t_ns.shape[0] + 1))
        for at, t_ns in enumerate(one.frame_t_ns.tolist()):
            boxes = frames.setdefault((one.camera, t_ns), [])
            for row in range(int(edges[at]), int(edges[at + 1])):
                x1, y1, x2, y2 = one.box[row].tolist()
                kind = _KINDS.get(int(one.kind[row]), Kind.UNKNOWN)
                far, ttc = _known(one.distance_m[row]), _known(one.ttc_s[row])
                boxes.append(SeenBox(kind, float(one.score[row]), one.source, (x1, y1, x2, y2), far, ttc))
    return [SeenFrame(camera, t_ns, tuple(frames[camera, t_ns])) for camera, t_ns in sorted(frames)]


def encode_annotations(frame: SeenFrame, wall_ns: int) -> bytes:
    """``foxglove.ImageAnnotations``: a rectangle and a label for each box.

    Metadata: ``kind``, ``score``, ``source``, and ``distance_m`` and ``ttc_s`` where they are known.
    """
    message = ImageAnnotations()
    message.timestamp.FromNanoseconds(wall_ns)
    for seen in frame.boxes:
        x1, y1, x2, y2 = seen.box
        red, green, blue = COLOURS[seen.kind]
        name = seen.kind.name.lower()
        shape = message.points.add(type=PointsAnnotation.LINE_LOOP, thickness=_THICKNESS_PX)
        shape.timestamp.FromNanoseconds(wall_ns)
        for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)):
            shape.points.add(x=x, y=y)
        _colour(shape.outline_color, red, green, blue, 1.0)
        for key, value in (("kind", name), ("score", repr(seen.score)), ("source", seen.source)):
            shape.metadata.add(key=key, value=value)
        for key, number in (("distance_m", seen.distance_m), ("ttc_s", seen.ttc_s)):
            if number is not None:
                shape.metadata.add(key=key, value=repr(number))
        label = message.texts.add(text=f"{name} {seen.score:.2f}", font_size=_FONT_PX)
        label.timestamp.FromNanoseconds(wall_ns)
        label.position.x, label.position.y = x1, y1
        _colour(label.text_color, red, green, blue, 1.0)
        _colour(label.background_color, 0.0, 0.0, 0.0, 0.5)
    return bytes(message.SerializeToString(deterministic=True))


def decode_annotations(data: bytes, camera: str, t_ns: int) -> SeenFrame:
    """Inverse of :func:`encode_annotations`. Raises :class:`ClipMessageError`."""
    message = ImageAnnotations()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ClipMessageError(f"not a foxglove.ImageAnnotations: {error}") from None
    boxes = []
    for shape in message.points:
        about = {pair.key: pair.value for pair in shape.metadata}
        try:
            kind, score, source = Kind[about["kind"].upper()], float(about["score"]), about["source"]
            far, ttc = (float(about[key]) if key in about else None for key in ("distance_m", "ttc_s"))
        except (KeyError, ValueError) as error:
            raise ClipMessageError(f"points.metadata: {error}") from None
        if len(shape.points) != 4:
            raise ClipMessageError(f"points: {len(shape.points)} corners of a box")
        low, high = shape.points[0], shape.points[2]
        boxes.append(SeenBox(kind, score, source, (low.x, low.y, high.x, high.y), far, ttc))
    return SeenFrame(camera, t_ns, tuple(boxes))


def _known(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


def _colour(field: Any, red: float, green: float, blue: float, alpha: float) -> None:
    field.r, field.g, field.b, field.a = red, green, blue, alpha
