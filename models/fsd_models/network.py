"""A network that finds boxes in one picture: fit, run, decode, fit back, suppress. Kinds of networks differ in decoding.

Features. Where the manifest names a tensor, its mean over the picture is given beside the boxes (:mod:`features`).

Two halves. A wide picture loses its small persons when it is squeezed into a square, so it can be looked at as
two overlapping halves, at twice the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes, merge_halves, suppress
from fsd_models.errors import ModelPackageError, ModelRunError
from fsd_models.features import Vector, find_pooled, joined, pooled_output
from fsd_models.kinds import ModelKind
from fsd_models.package import Manifest, ModelPackage
from fsd_models.picture import Preprocessor
from fsd_models.session import Session, SessionLimits, Tensor

HALVES_OVERLAP = 0.1
"""Share of the picture's width that both halves see: a person at the cut is whole in at least one."""

Outputs = Sequence[NDArray[np.float32]]
Decode = Callable[[Outputs, float], RawBoxes]
"""Outputs and the lowest score to boxes in pixels of the model's input, before suppression."""
DecoderOf = Callable[[str, Manifest, Sequence[Tensor]], Decode]
"""Where the weights lie (for errors), the manifest, and the outputs that the weights have: to the decoding that fits
them. Raises :class:`ModelPackageError` where none does."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a model makes of one picture."""

    boxes: RawBoxes
    features: Vector | None
    """Shape (k,); None where the manifest names none."""


class Network:
    """A model in a session. One thread at a time.

    Raises :class:`ModelPackageError` when the weights don't have the manifest's inputs, or ``decoder_of`` finds not
    what it needs in their outputs.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits | None, decoder_of: DecoderOf) -> None:
        limits = limits or SessionLimits()
        manifest = package.manifest
        self.manifest = manifest
        where = str(package.folder / manifest.weights.file)
        spec = manifest.features
        self._session = Session(package, limits, pooled_output(spec) if spec is not None else b"")
        self._pooled = find_pooled(where, spec, self._session.outputs) if spec is not None else None
        self._input = _check_input(where, manifest, self._session.inputs)
        self._decode = decoder_of(where, manifest, self._session.outputs)
        self._picture = Preprocessor(manifest.input, threads=limits.threads)

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
        left_end = part_width(width)
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

    def pooled(self, bgr: NDArray[np.uint8], *, halves: bool = False) -> Vector | None:
        """The features alone, None where the package has none; as :meth:`look`."""
        return None if self._pooled is None else self.look(bgr, 1.0, halves=halves).features

    def _look(self, bgr: NDArray[np.uint8], min_score: float) -> Look:
        tensor, fit = self._picture.fit(bgr)
        outputs = self._session.run({self._input: tensor})
        found = self._decode(outputs, min_score)
        box = fit.back(found.box)
        height, width = bgr.shape[:2]
        np.clip(box, 0, np.array([width, height, width, height], np.float32), out=box)
        visible = ((box[:, 2:] - box[:, :2]) >= 1).all(axis=1)
        boxes = RawBoxes(box[visible], found.score[visible], found.cls[visible])
        features = None if self._pooled is None else outputs[self._pooled].reshape(-1)
        return Look(suppress(boxes, self.manifest.thresholds.iou), features)


def part_width(width: int) -> int:
    """How wide each of the two halves of a picture is."""
    return min(round(width * (0.5 + HALVES_OVERLAP / 2)), width)


def wanted_classes(manifest: Manifest) -> NDArray[np.int32]:
    """Classes that the manifest maps to a kind: the others are never found, nor hide one of these."""
    return np.flatnonzero(np.array(manifest.kind_of_class()) != ModelKind.NONE).astype(np.int32)


def _check_input(where: str, manifest: Manifest, inputs: Sequence[Tensor]) -> str:
    wanted = (1, 3, manifest.input.height, manifest.input.width)
    if len(inputs) != 1 or not _takes(inputs[0].shape, wanted):
        shapes = [one.shape for one in inputs]
        raise ModelPackageError(f"{where}: input: the manifest says {wanted}, the model has {shapes}")
    return inputs[0].name


def _takes(shape: tuple[int | None, ...], wanted: tuple[int, ...]) -> bool:
    """A dimension that the model leaves open takes any size."""
    return len(shape) == len(wanted) and all(
        have in {None, want} for have, want in zip(shape, wanted, strict=True)
    )
