"""What a model may say that it sees.

Names equal those of the vehicle's own detections, so that whoever stands above both can map by name; numbers
are local to this package.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

KindName = Literal["pedestrian", "bicycle", "motorcycle", "car", "truck", "bus", "animal", "face", "plate"]
"""What a manifest may map a class to. A cyclist is never a class: it is derived, see ``vru``."""


class ModelKind(IntEnum):
    """Kinds of boxes."""

    NONE = 0
    """The class is of no use to the agent; its boxes are never reported."""
    PEDESTRIAN = 1
    CYCLIST = 2
    BICYCLE = 3
    MOTORCYCLE = 4
    CAR = 5
    TRUCK = 6
    BUS = 7
    ANIMAL = 8
    FACE = 9
    """For who checks redacted video; no vehicle's detections have it."""
    PLATE = 10
    """The same."""


def kind_named(name: KindName) -> ModelKind:
    """The kind of a manifest's name."""
    return ModelKind[name.upper()]
