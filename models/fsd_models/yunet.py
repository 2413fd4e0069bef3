"""YuNet: faces, anchor-free on three strides. A model that looks for nothing else, so its misses are others than those of person boxes.

For each stride s of 8, 16, 32 the model gives, per cell of a (height / s) by (width / s) grid in row order, a class score and an
objectness, both already through the sigmoid, and four numbers x, y, w, h. The box of the cell in column c and row r has its centre
at ``((c + x) * s, (r + y) * s)`` in pixels of the input and is ``exp(w) * s`` by ``exp(h) * s`` large; its score is
``sqrt(class * objectness)`` (OpenCV's ``FaceDetectorYN``). Key points are not used. Outputs have names: ``cls_8``, ``obj_8``, ``bbox_8`` ...

The weights take any size; the manifest's is what is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes, concatenate, no_boxes
from fsd_models.errors import ModelPackageError
from fsd_models.network import Decode, Network, Outputs
from fsd_models.package import Manifest, ModelPackage
from fsd_models.session import SessionLimits, Tensor

STRIDES = (8, 16, 32)
_PARTS = (("cls", 1), ("obj", 1), ("bbox", 4))
"""Beginnings of the outputs' names, and their columns."""
MAX_LOG_SIDE = 8.0
"""No face is 3000 cells large: keeps a nonsense output finite."""


@dataclass(frozen=True, slots=True)
class Level:
    """One stride: its grid, and which outputs are its."""

    stride: int
    columns: int
    cls: int
    obj: int
    bbox: int


class Yunet(Network):
    """A YuNet model in a session. One thread at a time.

    Raises :class:`ModelPackageError` when the weights don't have the manifest's inputs, or its outputs are others.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits | None = None) -> None:
        super().__init__(package, limits, _decoder)


def decode(outputs: Sequence[NDArray[np.float32]], levels: Sequence[Level], min_score: float) -> RawBoxes:
    """Boxes in pixels of the model's input, before suppression, all of class 0."""
    found = no_boxes()
    for level in levels:
        cls, obj = (np.clip(outputs[at][0, :, 0], 0, 1) for at in (level.cls, level.obj))
        score = np.sqrt(cls * obj)
        cells = np.flatnonzero(score >= min_score)
        row, column = np.divmod(cells, level.columns)
        numbers = outputs[level.bbox][0][cells]
        centre = (np.stack([column, row], axis=1) + numbers[:, :2]) * level.stride
        half = np.exp(np.minimum(numbers[:, 2:], MAX_LOG_SIDE)) * level.stride / 2
        box = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
        here = RawBoxes(box, score[cells].astype(np.float32), np.zeros(cells.size, np.int32))
        found = concatenate(found, here)
    return found


def find_levels(where: str, manifest: Manifest, outputs: Sequence[Tensor]) -> tuple[Level, ...]:
    """Match outputs to strides by name. Raises :class:`ModelPackageError`."""
    if len(manifest.classes) != 1:
        raise ModelPackageError(
            f"{where}: classes: this kind has one, the manifest names {len(manifest.classes)}"
        )
    spec, at = manifest.input, {one.name: number for number, one in enumerate(outputs)}
    levels = []
    for stride in STRIDES:
        cells = (spec.width // stride) * (spec.height // stride)
        for part, columns in _PARTS:
            name = f"{part}_{stride}"
            shape = outputs[at[name]].shape if name in at else None
            if shape is None or len(shape) != 3 or shape[1] not in {None, cells} or shape[2] != columns:
                raise ModelPackageError(
                    f"{where}: expected an output {name} (1, {cells}, {columns}) for input.width and input.height of the"
                    f" manifest; the model has {shape}"
                )
        own = [at[f"{part}_{stride}"] for part, _ in _PARTS]
        levels.append(Level(stride, spec.width // stride, *own))
    return tuple(levels)


def _decoder(where: str, manifest: Manifest, outputs: Sequence[Tensor]) -> Decode:
    levels = find_levels(where, manifest, outputs)

    def run(found: Outputs, min_score: float) -> RawBoxes:
        return decode(found, levels, min_score)

    return run
