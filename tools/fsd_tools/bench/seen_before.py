"""A model that looks at no piece of a picture twice, for benchmarks that count what is found.

A quick look's tiles are among those of a full one, and a picture in which one head was left open differs from the clean one in the
tiles that show it. So of pieces that are equal to the byte the boxes are remembered. Nothing that is timed may use it.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes
from fsd_models.detectors import open_detector
from fsd_models.package import Manifest, ModelPackage
from fsd_models.session import SessionLimits
from fsd_models.tiles import Looks

KEPT: Final = 64
"""Pieces: those of one picture in all its forms, and some."""


class SeenBefore:
    """A network as :func:`fsd_models.tiles.look_tiled` asks it. One thread at a time."""

    def __init__(self, network: Looks) -> None:
        self._network = network
        self._seen: OrderedDict[tuple[float, tuple[int, ...], bytes], RawBoxes] = OrderedDict()
        self.passes = 0
        """How often the network was asked."""

    @property
    def manifest(self) -> Manifest:
        """Of the network."""
        return self._network.manifest

    def detect(self, bgr: NDArray[np.uint8], min_score: float) -> RawBoxes:
        """As the network's own; the boxes are the caller's to change. Raises ``ModelRunError``."""
        key = (min_score, bgr.shape, blake2b(bgr.tobytes()).digest())
        if key not in self._seen:
            self.passes += 1
            self._seen[key] = self._network.detect(bgr, min_score)
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        found = self._seen[key]
        return RawBoxes(found.box.copy(), found.score.copy(), found.cls.copy())


def open_remembering(package: ModelPackage, limits: SessionLimits) -> SeenBefore:
    """Raises ``ModelPackageError``."""
    return SeenBefore(open_detector(package, limits))
