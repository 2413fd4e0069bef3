"""A checker by a model package in an ONNX session; implements :class:`ports.checker.Checker`.

Pictures are looked at in tiles, by what the model is for (:data:`QUICK`, :data:`FULL`), and never in the two halves of redaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fsd_agent.adapters.model_faults import told_apart
from fsd_agent.ports.detector import DetectorError
from fsd_agent.records.check import Sight, Sightings
from fsd_agent.rules.privacy.check import lowest_score
from fsd_firmware.samples import Frame
from fsd_models.errors import ModelPackageError
from fsd_models.kinds import ModelKind
from fsd_models.package import ModelPackage, load_package
from fsd_models.session import SessionLimits

if TYPE_CHECKING:
    from fsd_models.tiles import Looks, Tiling

Shape = tuple[tuple[int, int], ...]
"""Columns and rows of each tiling."""

_SIGHT: Final[Mapping[ModelKind, Sight]] = {
    ModelKind.PEDESTRIAN: Sight.PERSON,
    ModelKind.CAR: Sight.VEHICLE,
    ModelKind.TRUCK: Sight.VEHICLE,
    ModelKind.BUS: Sight.VEHICLE,
    ModelKind.FACE: Sight.FACE,
    ModelKind.PLATE: Sight.PLATE,
}
"""Motorcycles and bicycles carry persons, who are seen as such; a motorcycle's plate is too small a part of it to tell."""
QUICK: Final[Mapping[Sight, Shape]] = {
    Sight.PERSON: ((3, 1),),
    Sight.FACE: ((1, 1),),
    Sight.PLATE: ((3, 1),),
}
FULL: Final[Mapping[Sight, Shape]] = {
    Sight.PERSON: ((1, 1), (3, 1)),
    Sight.FACE: ((1, 1), (2, 1)),
    Sight.PLATE: ((3, 1), (5, 2)),
}


class OnnxChecker:
    """One model. One thread at a time.

    ``threads`` bounds the runtime and OpenCV; ``run_limit_s`` stops each pass that takes longer (None: never); ``open_with`` opens the
    package where that is not to be done in the usual way. Raises :class:`DetectorError` when the package is damaged, can't run here, or
    finds nothing that can be checked.
    """

    def __init__(
        self,
        package_dir: Path,
        *,
        threads: int,
        run_limit_s: float | None = None,
        open_with: Callable[[ModelPackage, SessionLimits], Looks] | None = None,
    ) -> None:
        try:
            from fsd_models.detectors import open_detector
            from fsd_models.tiles import Tiling
        except ImportError as error:
            raise DetectorError(f"{package_dir}: checking needs the optional part `video`: {error}") from None
        try:
            package = load_package(package_dir)
            limits = SessionLimits(threads=threads, run_limit_s=run_limit_s)
            self._model = (open_with or open_detector)(package, limits)
        except ModelPackageError as error:
            raise DetectorError(str(error)) from None
        self._digest = package.digest
        self._sight = np.array(
            [int(_SIGHT.get(kind, 0)) for kind in package.manifest.kind_of_class()], np.uint8
        )
        sights = [Sight(one) for one in (Sight.FACE, Sight.PLATE, Sight.PERSON) if one in self._sight]
        if not sights:
            raise DetectorError(f"{package_dir}: {self.source} finds no faces, plates or persons")
        self._quick: list[Tiling] = [Tiling(*one) for one in QUICK[sights[0]]]
        self._full: list[Tiling] = [Tiling(*one) for one in FULL[sights[0]]]

    @property
    def source(self) -> str:
        """``name@version`` of the model package."""
        return self._model.manifest.source

    @property
    def digest(self) -> str:
        """Of the package's manifest, which names the weights by theirs."""
        return self._digest

    def look(self, frame: Frame, *, full: bool) -> Sightings:
        """What is in ``frame``, best first; raises :class:`DetectorError`, and ``DetectorStalledError`` of a pass past its limit."""
        from fsd_models.tiles import look_tiled

        tilings = self._full if full else self._quick
        with told_apart(frame):
            found = look_tiled(self._model, frame.bgr, lowest_score(self.source), tilings)
        what = self._sight[found.cls]
        kept = what != 0
        return Sightings(self.source, what[kept], found.score[kept], found.box[kept])
