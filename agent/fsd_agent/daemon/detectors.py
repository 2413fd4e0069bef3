"""The agent's own models: one for the sensing loop, one or two that look at clips before they are painted, and others that check them.

Each is used by one thread, so the sensing loop's is a session of its own, also where it is the same package. Those that
look at clips fit their input to the pictures, which is quicker. The sensing loop's does not: heads were trained on features of
the package's own input. A look at a clip that takes longer than ``LOOK_LIMIT_S`` a pass
is stopped, and the clip is tried again later; the third time it is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters.model_faults import LOOK_LIMIT_S
from fsd_agent.daemon.config import CheckConfig, PerceptionConfig
from fsd_agent.ports.checker import Checker
from fsd_agent.ports.detector import Detector


@dataclass(frozen=True, slots=True)
class Detectors:
    """None at all without ``[perception]`` and ``[check]``."""

    sensing: Detector | None
    redaction: tuple[Detector, ...]
    checkers: tuple[Checker, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """``name@version`` of every package, sorted, each once."""
        everyone = (self.sensing, *self.redaction, *self.checkers)
        return tuple(sorted({one.source for one in everyone if one is not None}))


def open_detectors(
    perception: PerceptionConfig | None, base: Path, check: CheckConfig | None = None
) -> Detectors:
    """Raises :class:`DetectorError` where one can't run: a clip is never painted, or checked, by fewer models than configured."""
    checkers = _checkers(check, base)
    if perception is None:
        return Detectors(None, (), checkers)
    from fsd_agent.adapters.onnx_detector import OnnxDetector

    def for_clips(package: str) -> Detector:
        return OnnxDetector(
            base / package,
            halves=perception.halves,
            threads=perception.threads,
            run_limit_s=LOOK_LIMIT_S,
            fitted=True,
        )

    named = (perception.package, perception.second_package)
    sensing = OnnxDetector(base / perception.package, halves=perception.halves, threads=perception.threads)
    return Detectors(sensing, tuple(for_clips(one) for one in named if one is not None), checkers)


def _checkers(check: CheckConfig | None, base: Path) -> tuple[Checker, ...]:
    if check is None:
        return ()
    from fsd_agent.adapters.onnx_checker import OnnxChecker

    return tuple(
        OnnxChecker(base / one, threads=check.threads, run_limit_s=LOOK_LIMIT_S) for one in check.packages
    )
