"""LPD-YuNet: licence plates, by offsets to fixed boxes (SSD priors). It needs plates some 20 pixels wide: wide pictures are tiled.

Priors. On grids of strides 8, 16, 32 and 64, in row order, each cell has a square of each of its stride's ``SIZES`` around its
centre. The model gives for each prior a row of three outputs: ``loc`` (n, 14), ``conf`` (n, 2) and ``iou`` (n, 1). The four corners of a
plate are the prior's centre plus columns 4:6, 6:8, 10:12 and 12:14 of ``loc``, times 0.1 and the prior's side; the box is the
upright one around them. The score is ``sqrt(conf[1] * iou)`` (``lpd_yunet.py`` of the OpenCV model zoo).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes
from fsd_models.errors import ModelPackageError
from fsd_models.network import Decode, Network, Outputs
from fsd_models.package import Manifest, ModelPackage
from fsd_models.session import SessionLimits, Tensor

SIZES = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}
VARIANCE = 0.1
_CORNERS = (4, 5, 6, 7, 10, 11, 12, 13)
_PARTS = (("loc", 14), ("conf", 2), ("iou", 1))

Priors = NDArray[np.float32]


class LpdYunet(Network):
    """An LPD-YuNet model in a session. One thread at a time.

    Raises :class:`ModelPackageError` when the weights don't have the manifest's inputs, or its outputs are others.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits | None = None) -> None:
        super().__init__(package, limits, _decoder)


def priors_of(width: int, height: int) -> Priors:
    """Shape (n, 3): centre x, y and side of every prior, in pixels of the input."""
    rows = []
    for stride, sizes in SIZES.items():
        for row in range(height // stride):
            for column in range(width // stride):
                centre = ((column + 0.5) * stride, (row + 0.5) * stride)
                rows += [(*centre, float(size)) for size in sizes]
    return np.array(rows, np.float32)


def decode(
    loc: NDArray[np.float32],
    conf: NDArray[np.float32],
    iou: NDArray[np.float32],
    priors: Priors,
    min_score: float,
) -> RawBoxes:
    """Boxes in pixels of the model's input, before suppression, all of class 0."""
    score = np.sqrt(np.clip(conf[:, 1], 0, 1) * np.clip(iou[:, 0], 0, 1))
    rows = np.flatnonzero(score >= min_score)
    offset = loc[rows][:, _CORNERS].reshape(-1, 4, 2) * VARIANCE
    corner = priors[rows, None, :2] + offset * priors[rows, None, 2:]
    box = np.concatenate([corner.min(axis=1), corner.max(axis=1)], axis=1)
    return RawBoxes(box.astype(np.float32), score[rows].astype(np.float32), np.zeros(rows.size, np.int32))


def _decoder(where: str, manifest: Manifest, outputs: Sequence[Tensor]) -> Decode:
    if len(manifest.classes) != 1:
        raise ModelPackageError(
            f"{where}: classes: this kind has one, the manifest names {len(manifest.classes)}"
        )
    priors = priors_of(manifest.input.width, manifest.input.height)
    at = {one.name: number for number, one in enumerate(outputs)}
    for name, columns in _PARTS:
        shape = outputs[at[name]].shape if name in at else None
        if shape != (priors.shape[0], columns):
            raise ModelPackageError(
                f"{where}: expected an output {name} {(priors.shape[0], columns)} for input.width and input.height of the"
                f" manifest; the model has {shape}"
            )
    loc, conf, iou = (at[name] for name, _ in _PARTS)

    def run(found: Outputs, min_score: float) -> RawBoxes:
        return decode(found[loc], found[conf], found[iou], priors, min_score)

    return run
