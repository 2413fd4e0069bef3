"""Perception by a model package in an ONNX session; implements :class:`ports.detector.Detector`.

Kinds of ``fsd_models`` and of ``fsd_firmware`` meet here, by name: the two packages don't know each other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fsd_agent.adapters.model_faults import told_apart
from fsd_agent.ports.detector import DetectorError, Seen
from fsd_firmware.samples import Detections, Features, Frame, Kind
from fsd_models.boxes import RawBoxes, concatenate, suppress
from fsd_models.errors import ModelPackageError
from fsd_models.features import HALVES_SUFFIX, Vector
from fsd_models.kinds import ModelKind
from fsd_models.package import load_package
from fsd_models.session import SessionLimits
from fsd_models.vru import EVIDENCE, with_cyclists

_KIND = np.array([Kind.__members__.get(kind.name, Kind.UNKNOWN) for kind in ModelKind], np.uint8)
"""``Kind`` by ``ModelKind``."""
_NO_DETECTION = (ModelKind.FACE, ModelKind.PLATE)
"""What only a checker looks for: a campaign has no name for it, and redaction no zone."""


class OnnxDetector:
    """One model. One thread at a time.

    ``halves`` looks at two overlapping halves of each picture: twice the time, far more of the small persons.
    ``threads`` bounds the runtime and OpenCV. ``run_limit_s`` stops each pass that takes longer (None: never).
    ``fitted`` gives the network an input as low as the pictures: quicker, and looks are without features.

    Raises :class:`DetectorError` when the package is damaged or can't run here.
    """

    def __init__(
        self,
        package_dir: Path,
        *,
        halves: bool,
        threads: int,
        run_limit_s: float | None = None,
        fitted: bool = False,
    ) -> None:
        try:
            from fsd_models.detectors import open_detector
            from fsd_models.fitted import FittedNetwork
        except ImportError as error:
            raise DetectorError(
                f"{package_dir}: perception needs the optional part `video`: {error}"
            ) from None
        try:
            package = load_package(package_dir)
            limits = SessionLimits(threads=threads, run_limit_s=run_limit_s)
            self._model = FittedNetwork(package, limits) if fitted else open_detector(package, limits)
        except ModelPackageError as error:
            raise DetectorError(str(error)) from None
        self._halves = halves
        self._digest = package.digest
        self._kinds = np.array(package.manifest.kind_of_class(), np.uint8)
        if np.isin(self._kinds, _NO_DETECTION).any():
            raise DetectorError(
                f"{package_dir}: {self.source} finds faces or plates alone: it can check clips (check.packages), not detect"
            )

    @property
    def source(self) -> str:
        """``name@version`` of the model package."""
        return self._model.manifest.source

    @property
    def digest(self) -> str:
        """Of the package's manifest, which names the weights by theirs."""
        return self._digest

    def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
        """Boxes of one frame with a score of at least ``min_score``, best first, cyclists told apart; and features.

        ``thorough`` adds what is seen the other way: on the whole picture to halves, or on halves to the whole picture.
        """
        least = min_score * EVIDENCE
        with told_apart(frame):
            look = self._model.look(frame.bgr, least, halves=self._halves)
            boxes = look.boxes
            if thorough:
                more = self._model.detect(frame.bgr, least, halves=not self._halves)
                boxes = suppress(concatenate(boxes, more), self._model.manifest.thresholds.iou)
        return Seen(self._detections(frame, boxes, min_score), self._features(frame, look.features))

    def features(self, frame: Frame) -> Features | None:
        """See the port; of halves where boxes are looked for in halves, as for trigger heads."""
        with told_apart(frame):
            return self._features(frame, self._model.pooled(frame.bgr, halves=self._halves))

    def _features(self, frame: Frame, vector: Vector | None) -> Features | None:
        if vector is None:
            return None
        source = self.source + HALVES_SUFFIX if self._halves else self.source
        return Features(frame.camera, source, np.array([frame.t_ns], np.int64), vector[None])

    def _detections(self, frame: Frame, found: RawBoxes, min_score: float) -> Detections:
        seen = with_cyclists(found, self._kinds, min_score)
        n = len(seen)
        return Detections(
            camera=frame.camera,
            source=self.source,
            frame_t_ns=np.array([frame.t_ns], np.int64),
            frame=np.zeros(n, np.int32),
            kind=_KIND[seen.kind],
            score=seen.score,
            box=seen.box,
            distance_m=np.full(n, np.nan, np.float32),
            track_id=np.full(n, -1, np.int32),
            ttc_s=np.full(n, np.nan, np.float32),
        )
