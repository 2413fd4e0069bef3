"""A picture becomes an input tensor. The one file here that needs OpenCV (the optional part ``video``).

Resize is OpenCV's; normalising is one table lookup a colour plane, written straight into the tensor: 0.2 ms
for 416x416 against 1.9 ms for the plain NumPy expression, with the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_models.package import ModelInput


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a picture lies in the model's input: ``input = picture * scale + offset``, per axis."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float

    def back(self, box: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) of the model's input in pixels of the picture."""
        offset = np.array([self.offset_x, self.offset_y] * 2, np.float32)
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        back: NDArray[np.float32] = (box - offset) / scale
        return back


class Preprocessor:
    """Fits pictures into one tensor that it owns. One thread at a time."""

    def __init__(self, spec: ModelInput, *, threads: int) -> None:
        cv2.setNumThreads(threads)  # process-wide: OpenCV would take every core for a resize
        self._spec = spec
        self._tensor = np.empty((1, 3, spec.height, spec.width), np.float32)
        self._canvas = np.zeros((spec.height, spec.width, 3), np.uint8)
        level = np.arange(256, dtype=np.float32)
        mean, std = np.array(spec.mean, np.float32), np.array(spec.std, np.float32)
        self._tables = [(level - mean[c]) / std[c] for c in range(3)]

    def fit(self, bgr: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Fit]:
        """The tensor (1, 3, height, width), valid until the next call, and where the picture lies in it.

        ``bgr`` has shape (height, width, 3). Letterboxing keeps the aspect and fills with black around it.
        """
        spec = self._spec
        height, width = bgr.shape[:2]
        if spec.fit == "stretch":
            fit = Fit(spec.width / width, spec.height / height, 0.0, 0.0)
            cv2.resize(bgr, (spec.width, spec.height), dst=self._canvas)
        else:
            fit = self._letterbox(bgr)
        planes = cv2.split(self._canvas)
        for channel, table in enumerate(self._tables):
            plane = planes[channel if spec.colour == "bgr" else 2 - channel]
            cv2.LUT(plane, table, dst=self._tensor[0, channel])
        return self._tensor, fit

    def _letterbox(self, bgr: NDArray[np.uint8]) -> Fit:
        spec = self._spec
        height, width = bgr.shape[:2]
        scale = min(spec.width / width, spec.height / height)
        w, h = max(round(width * scale), 1), max(round(height * scale), 1)
        x, y = (spec.width - w) // 2, (spec.height - h) // 2
        self._canvas.fill(0)
        self._canvas[y : y + h, x : x + w] = cv2.resize(bgr, (w, h))
        return Fit(w / width, h / height, float(x), float(y))
