"""What a second model costs a process that has one already: run as a process of its own, it prints its resident size.

python -m fsd_tools.bench.redact_memory PACKAGE [PACKAGE]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_firmware.samples import Frame

PICTURE = (720, 1280, 3)


def second_model_mb(first: Path, second: Path) -> float:
    """In 10^6 bytes: resident size with both, less that with the first alone, each after having looked once."""
    return _resident_mb([first, second]) - _resident_mb([first])


def _resident_mb(packages: Sequence[Path]) -> float:
    command = [sys.executable, "-m", "fsd_tools.bench.redact_memory", *map(str, packages)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    return float(ran.stdout)


def _main() -> None:
    detectors = [OnnxDetector(Path(one), halves=True, threads=1, fitted=True) for one in sys.argv[1:]]
    frame = Frame("front", 0, np.zeros(PICTURE, np.uint8))
    for detector in detectors:
        detector.detect(frame, min_score=0.15)
    print(psutil.Process().memory_info().rss / 1e6)


if __name__ == "__main__":
    _main()
