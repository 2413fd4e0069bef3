"""NanoDet: anchor-free detection on three strides, box sides as distributions.

For each stride s of 8, 16, 32 the model gives, per cell of a (height / s) by (width / s) grid in row order,
one score a class (already through the sigmoid) and four times ``bins`` logits. The distance from the cell's
centre ``s * (i + 0.5) - 0.5`` to the left, top, right and bottom side is the softmax' expectation over
0 .. bins - 1, times s (generalised focal loss, arXiv:2006.04388, eq. 6).

A cell's class is its best among those that the manifest maps to a kind: "chair" can't hide a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes, concatenate, no_boxes
from fsd_models.errors import ModelPackageError
from fsd_models.network import Decode, Network, Outputs, wanted_classes
from fsd_models.package import Manifest, ModelPackage
from fsd_models.session import SessionLimits, Tensor

STRIDES = (8, 16, 32)


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One stride's outputs and grid."""

    stride: int
    scores: int
    """Which output holds the scores."""
    sides: int
    """Which output holds the distributions."""
    bins: int
    centre: NDArray[np.float32]
    """Shape (cells, 2): x, y in pixels of the input."""


class Nanodet(Network):
    """A NanoDet model in a session. One thread at a time.

    Raises :class:`ModelPackageError` when the weights don't have the manifest's inputs, classes or strides.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits | None = None) -> None:
        super().__init__(package, limits, _decoder)


def _decoder(where: str, manifest: Manifest, outputs: Sequence[Tensor]) -> Decode:
    levels, wanted = find_levels(where, manifest, outputs), wanted_classes(manifest)

    def run(found: Outputs, min_score: float) -> RawBoxes:
        return decode(found, levels, wanted, min_score)

    return run


def decode(
    outputs: Sequence[NDArray[np.float32]],
    levels: Sequence[Level],
    wanted: NDArray[np.int32],
    min_score: float,
) -> RawBoxes:
    """Boxes in pixels of the model's input, before suppression; ``wanted`` are the classes that count."""
    found = no_boxes()
    for level in levels:
        scores = outputs[level.scores][0][:, wanted]
        best = scores.max(axis=1)
        cells = np.flatnonzero(best >= min_score)
        if not cells.shape[0]:
            continue
        logits = outputs[level.sides][0][cells].reshape(-1, 4, level.bins)
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        expected = weights @ np.arange(level.bins, dtype=np.float32) / weights.sum(axis=2)
        side = (expected * level.stride).astype(np.float32)
        centre = level.centre[cells]
        box = np.concatenate([centre - side[:, :2], centre + side[:, 2:]], axis=1)
        cls = wanted[scores[cells].argmax(axis=1)]
        found = concatenate(found, RawBoxes(box, best[cells].astype(np.float32), cls))
    return found


def grid(width: int, height: int, stride: int) -> NDArray[np.float32]:
    """Centres (cells, 2) of one stride's cells in row order."""
    x = stride * (np.arange(width // stride, dtype=np.float32) + 0.5) - 0.5
    y = stride * (np.arange(height // stride, dtype=np.float32) + 0.5) - 0.5
    across, down = np.meshgrid(x, y)
    return np.stack([across.ravel(), down.ravel()], axis=1)


def find_levels(where: str, manifest: Manifest, outputs: Sequence[Tensor]) -> tuple[Level, ...]:
    """Match outputs to strides by shape. Raises :class:`ModelPackageError`."""
    spec, classes = manifest.input, len(manifest.classes)
    levels = []
    for stride in STRIDES:
        centre = grid(spec.width, spec.height, stride)
        cells = centre.shape[0]
        here = [i for i, out in enumerate(outputs) if out.shape[:2] == (1, cells) and len(out.shape) == 3]
        scores = next((i for i in here if outputs[i].shape[2] == classes), None)
        sides = next((i for i in here if i != scores and (outputs[i].shape[2] or 1) % 4 == 0), None)
        if scores is None or sides is None or len(here) != 2:
            shapes = [out.shape for out in outputs]
            raise ModelPackageError(
                f"{where}: stride {stride}: expected outputs (1, {cells}, {classes}) and (1, {cells}, 4 * bins)"
                f" for input.width, input.height and classes of the manifest; the model has {shapes}"
            )
        bins = (outputs[sides].shape[2] or 0) // 4
        levels.append(Level(stride, scores, sides, bins, centre))
    return tuple(levels)
