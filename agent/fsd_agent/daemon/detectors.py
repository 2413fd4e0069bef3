"""The agent's own models: one for the sensing loop, and one or two that look at clips before they are painted.

Each is used by one thread, so the sensing loop's is a session of its own, also where it is the same package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsd_agent.daemon.config import PerceptionConfig
from fsd_agent.ports.detector import Detector


@dataclass(frozen=True, slots=True)
class Detectors:
    """None at all without ``[perception]``."""

    sensing: Detector | None
    redaction: tuple[Detector, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """``name@version`` of every package, sorted, each once."""
        everyone = (self.sensing, *self.redaction)
        return tuple(sorted({one.source for one in everyone if one is not None}))


def open_detectors(perception: PerceptionConfig | None, base: Path) -> Detectors:
    """Raises :class:`DetectorError` where one can't run: a clip is never painted by fewer models than configured."""
    if perception is None:
        return Detectors(None, ())
    from fsd_agent.adapters.onnx_detector import OnnxDetector

    def load(package: str) -> Detector:
        return OnnxDetector(base / package, halves=perception.halves, threads=perception.threads)

    named = (perception.package, perception.second_package)
    return Detectors(load(perception.package), tuple(load(one) for one in named if one is not None))
