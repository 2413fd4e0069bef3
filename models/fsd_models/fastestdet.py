"""FastestDet: one output on one stride, a cell a box. Small and quick; its misses are others than NanoDet's.

For stride 16 the model gives one tensor (1, 5 + classes, height / 16, width / 16): per cell the objectness (already
through the sigmoid), four numbers x, y, w, h, and the classes' probabilities (already through the softmax). The box of
the cell in column c and row r has its centre at ``((c + tanh x) * 16, (r + tanh y) * 16)`` in pixels of the input,
and is ``sigmoid(w)`` of the input's width and ``sigmoid(h)`` of its height large. Its score is
``objectness ** 0.6 * class ** 0.4`` (``handle_preds`` of the model's own repository).

A cell's class is its best among those that the manifest maps to a kind: "chair" can't hide a person.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes
from fsd_models.errors import ModelPackageError
from fsd_models.network import Decode, Network, Outputs, wanted_classes
from fsd_models.package import Manifest, ModelPackage
from fsd_models.session import SessionLimits, Tensor

STRIDE = 16
BEFORE_CLASSES = 5
"""Planes of objectness, x, y, w, h."""
OBJECT_POWER, CLASS_POWER = 0.6, 0.4


class FastestDet(Network):
    """A FastestDet model in a session. One thread at a time.

    Raises :class:`ModelPackageError` when the weights don't have the manifest's inputs or classes.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits | None = None) -> None:
        super().__init__(package, limits, _decoder)


def decode(output: NDArray[np.float32], wanted: NDArray[np.int32], min_score: float) -> RawBoxes:
    """Boxes in pixels of the model's input, before suppression; ``wanted`` are the classes that count.

    ``output`` has shape (5 + classes, rows, columns).
    """
    classes = output[BEFORE_CLASSES:][wanted]
    score = output[0] ** OBJECT_POWER * classes.max(axis=0) ** CLASS_POWER
    row, column = np.nonzero(score >= min_score)
    x, y, w, h = output[1:BEFORE_CLASSES, row, column]
    centre = np.stack([column + np.tanh(x), row + np.tanh(y)], axis=1) * STRIDE
    side = np.array(output.shape[:0:-1], np.float32) * STRIDE
    half = side / (1 + np.exp(-np.stack([w, h], axis=1))) / 2
    return RawBoxes(
        np.concatenate([centre - half, centre + half], axis=1).astype(np.float32),
        score[row, column].astype(np.float32),
        wanted[classes[:, row, column].argmax(axis=0)],
    )


def _decoder(where: str, manifest: Manifest, outputs: Sequence[Tensor]) -> Decode:
    spec, wanted = manifest.input, wanted_classes(manifest)
    shape = (1, BEFORE_CLASSES + len(manifest.classes), spec.height // STRIDE, spec.width // STRIDE)
    at = next((i for i, out in enumerate(outputs) if out.shape == shape), None)
    if at is None:
        shapes = [out.shape for out in outputs]
        raise ModelPackageError(
            f"{where}: expected an output {shape} for input.width, input.height and classes of the manifest;"
            f" the model has {shapes}"
        )

    def run(found: Outputs, min_score: float) -> RawBoxes:
        return decode(found[at][0], wanted, min_score)

    return run
