"""Perception by the agent's own model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fsd_firmware.samples import Detections, Features, Frame


class DetectorError(Exception):
    """The model can't be loaded or can't run; the message names the package, the field and the reason."""


class DetectorStalledError(DetectorError):
    """A look took too long and was stopped. The same picture may well pass another time."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a detector makes of one frame."""

    detections: Detections
    features: Features | None
    """One vector, for trigger heads; None where the model gives none."""


class Detector(Protocol):
    """Finds persons and vehicles in one picture. One thread at a time."""

    @property
    def source(self) -> str:
        """``name@version`` of the model package; appears in :attr:`Detections.source`."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the package, 64 hex digits: which weights looked, whatever they are called."""
        ...

    def detect(self, frame: Frame, *, min_score: float, thorough: bool = False) -> Seen:
        """Boxes of one frame with a score of at least ``min_score``, and features.

        Raises :class:`DetectorError`, and :class:`DetectorStalledError` instead of taking for ever.

        ``thorough`` may take half as long again to miss less.
        """
        ...

    def features(self, frame: Frame) -> Features | None:
        """What the whole picture is about, as one vector that is near those of pictures like it; None where the model has none.

        Raises as :meth:`detect`.
        """
        ...
