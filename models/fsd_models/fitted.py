"""A network whose input is only as large as the pictures need: black rows around a wide picture cost time and show nothing.

Half of a 1242x375 picture fills 55 % of a square of 416x416 and is looked at in 416x256; half of a 1280x720 one fills all of
it. The size follows from the picture's shape alone: the package's input, each side cut to the smallest multiple of 32 that
still holds the picture at the scale that it has there.

Each size is a session of its own, made when the first such picture comes and kept for the next: of the verified bytes,
with other shapes (:mod:`resized`). At most ``MAX_SIZES`` beside the package's own; the one that was used longest ago goes.

A package that isn't said to be resizable, or that stretches pictures, is looked at as it is. Looks give no features: a mean
over fewer black rows is another number than heads were trained on. Who wants them asks for them, and gets those of the
package's own input.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes
from fsd_models.detectors import open_detector
from fsd_models.errors import ModelPackageError, ModelRunError
from fsd_models.features import Vector
from fsd_models.network import Look, Network, part_width
from fsd_models.package import Manifest, ModelInput, ModelPackage
from fsd_models.resized import Size, resized
from fsd_models.session import SessionLimits

STEP_PX = 32
"""The coarsest stride."""
ROUNDING_PX = 1e-6
MAX_SIZES = 3
"""Cameras differ in two or three shapes, each looked at whole or in halves; a session takes some 30 MB."""


class FittedNetwork:
    """Looks at pictures of any shape. One thread at a time.

    Raises :class:`ModelPackageError` where the package itself can't be opened.
    """

    def __init__(self, package: ModelPackage, limits: SessionLimits) -> None:
        self._package, self._limits = package, limits
        self._own = open_detector(package, limits)
        self._by_size: dict[Size, Network] = {}

    @property
    def manifest(self) -> Manifest:
        """Of the package, whatever size is looked at."""
        return self._own.manifest

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Other than the package's own, with a session now; used last at the end."""
        return tuple(self._by_size)

    def look(self, bgr: NDArray[np.uint8], min_score: float, *, halves: bool = False) -> Look:
        """As :meth:`Network.look`. Raises :class:`ModelRunError`, also where no session of the size can be made."""
        return Look(self._network(bgr, halves=halves).detect(bgr, min_score, halves=halves), None)

    def detect(self, bgr: NDArray[np.uint8], min_score: float, *, halves: bool = False) -> RawBoxes:
        """The boxes alone; as :meth:`look`."""
        return self.look(bgr, min_score, halves=halves).boxes

    def pooled(self, bgr: NDArray[np.uint8], *, halves: bool = False) -> Vector | None:
        """Features in the package's own input; as :meth:`Network.pooled`."""
        return self._own.pooled(bgr, halves=halves)

    def _network(self, bgr: NDArray[np.uint8], *, halves: bool) -> Network:
        spec = self._package.manifest.input
        if not spec.resizable or bgr.ndim != 3 or 0 in bgr.shape:
            return self._own
        height, width = bgr.shape[:2]
        size = input_size(spec, part_width(width) if halves else width, height)
        if size == (spec.width, spec.height):
            return self._own
        network = self._by_size.pop(size, None) or self._made(size)
        self._by_size[size] = network
        return network

    def _made(self, size: Size) -> Network:
        if len(self._by_size) == MAX_SIZES:
            del self._by_size[next(iter(self._by_size))]
        try:
            return open_detector(resized(self._package, *size), self._limits)
        except ModelPackageError as error:
            raise ModelRunError(f"{self.manifest.source}: {size[0]}x{size[1]}: {error}") from None


def input_size(spec: ModelInput, width: int, height: int) -> Size:
    """Width and height of the input for a picture of ``width`` x ``height``; never larger than the package's own."""
    scale = min(spec.width / width, spec.height / height)
    return _side(width * scale, spec.width), _side(height * scale, spec.height)


def _side(needed: float, own: int) -> int:
    """The multiple of 32 for ``needed`` pixels out of ``own``; what is a hair more than one, by rounding, is that one."""
    return min(own, STEP_PX * math.ceil((needed - ROUNDING_PX) / STEP_PX))
