"""NanoDet: anchor-free detection on three strides, box sides as distributions.

For each stride s of 8, 16, 32 the model gives, per cell of a (height / s) by (width / s) grid in row order,
one score a class (already through the sigmoid) and four times ``bins`` logits. The distance from the cell's
centre ``s * (i + 0.5) - 0.5`` to the left, top, right and bottom side is the softmax' expectation over
0 .. bins - 1, times s (generalised focal loss, arXiv:2006.04388, eq. 6).

A cell's class is its best among those that the manifest maps to a kind: "chair" can't hide a person.

Features. Where the manifest names a tensor, its mean over the picture is given beside the boxes (:mod:`features`).

Two halves. A wide picture loses its small persons when it is squeezed into a square, so it can be looked at as
two overlapping halves, at twice the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes, concatenate, merge_halves, no_boxes, suppress
from fsd_models.errors import ModelPackageError, ModelRunError
from fsd_models.features import Vector, find_pooled, joined, pooled_output
from fsd_models.kinds import ModelKind
from fsd_models.package import Manifest, ModelPackage
from fsd_models.picture import Preprocessor
from fsd_models.session import Session, SessionLimits, Tensor

STRIDES = (8, 16, 32)
HALVES_OVERLAP = 0.1
"""Share of the picture's width that both halves see: a person at the cut is whole in at least one."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a model makes of one picture."""

    boxes: RawBoxes
    features: Vector | None
    """Shape (k,); None where the manifest names none."""


class Nanodet:
    """A NanoDet model in a session. One thread at a time.

    Raises :class:`ModelPackageError` when the weights don't have the manifest's inputs, classes or strides.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits | None = None) -> None:
        limits = limits or SessionLimits()
        manifest = package.manifest
        self.manifest = manifest
        where = str(package.folder / manifest.weights.file)
        spec = manifest.features
        self._session = Session(package, limits, pooled_output(spec) if spec is not None else b"")
        self._pooled = find_pooled(where, spec, self._session.outputs) if spec is not None else None
        self._input = _check_input(where, manifest, self._session.inputs)
        self._levels = find_levels(where, manifest, self._session.outputs)
        self._picture = Preprocessor(manifest.input, threads=limits.threads)
        kinds = np.array(manifest.kind_of_class())
        self._wanted = np.flatnonzero(kinds != ModelKind.NONE).astype(np.int32)

    def look(self, bgr: NDArray[np.uint8], min_score: float, *, halves: bool = False) -> Look:
        """Boxes of ``bgr`` (height, width, 3) with a score of at least ``min_score``, best first, and features.

        Raises :class:`ModelRunError` for a picture of another shape and when the runtime fails.
        """
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8 or 0 in bgr.shape:
            raise ModelRunError(
                f"{self.manifest.source}: a picture must be uint8 (height, width, 3), got {bgr.dtype} {bgr.shape}"
            )
        if not halves:
            return self._look(bgr, min_score)
        width = bgr.shape[1]
        left_end = min(round(width * (0.5 + HALVES_OVERLAP / 2)), width)
        right_start = width - left_end
        left = self._look(bgr[:, :left_end], min_score)
        right = self._look(bgr[:, right_start:], min_score)
        right.boxes.box[:, 0::2] += right_start
        boxes = merge_halves(
            left.boxes,
            right.boxes,
            left_end=left_end,
            right_start=right_start,
            max_iou=self.manifest.thresholds.iou,
        )
        if left.features is None or right.features is None:
            return Look(boxes, None)
        return Look(boxes, joined(left.features, right.features))

    def detect(self, bgr: NDArray[np.uint8], min_score: float, *, halves: bool = False) -> RawBoxes:
        """The boxes alone; as :meth:`look`."""
        return self.look(bgr, min_score, halves=halves).boxes

    def _look(self, bgr: NDArray[np.uint8], min_score: float) -> Look:
        tensor, fit = self._picture.fit(bgr)
        outputs = self._session.run({self._input: tensor})
        found = decode(outputs, self._levels, self._wanted, min_score)
        box = fit.back(found.box)
        height, width = bgr.shape[:2]
        np.clip(box, 0, np.array([width, height, width, height], np.float32), out=box)
        visible = ((box[:, 2:] - box[:, :2]) >= 1).all(axis=1)
        boxes = RawBoxes(box[visible], found.score[visible], found.cls[visible])
        features = None if self._pooled is None else outputs[self._pooled].reshape(-1)
        return Look(suppress(boxes, self.manifest.thresholds.iou), features)


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


def _check_input(where: str, manifest: Manifest, inputs: Sequence[Tensor]) -> str:
    wanted = (1, 3, manifest.input.height, manifest.input.width)
    if len(inputs) != 1 or inputs[0].shape != wanted:
        shapes = [one.shape for one in inputs]
        raise ModelPackageError(f"{where}: input: the manifest says {wanted}, the model has {shapes}")
    return inputs[0].name
