"""What redaction takes of memory: a second model, and a clip of any length. Each is run as a process of its own.

python -m fsd_tools.bench.redact_memory models PACKAGE [PACKAGE]    resident size after a look, in MB
python -m fsd_tools.bench.redact_memory clip SECONDS                peak size less the packets that came out, in MB

A clip's packets are in memory before and after, so they are counted apart; they are bounded by ``Limits.max_clip_ns`` of
:mod:`fsd_agent.rules.capture.plan` (60 s) and the ring. What is measured is everything else: pictures, looks and the plan.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_agent.pipeline.redact import redact
from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_agent.testing.streams import row
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import PyAvFrame, frame_from_bgr
from fsd_firmware.samples import EncodedPacket, Frame, Kind, empty_gnss, empty_signals
from fsd_tools.bench.frame import peak_mb
from fsd_tools.errors import ToolError

PICTURE = (720, 1280, 3)
CLIP_PICTURE = (352, 640, 3)
CLIP_FPS = 5
LOOP_FRAMES = 10
"""Pictures that come again and again; the first is a key frame."""
CLIP_SOURCES = ("nanodet-m-416-int8", "fastestdet-352")
"""Two that confirm each other, as the agent's own do."""
PERSONS = 8
CLIP_RULES = RedactionRules(
    FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 150_000_000, 500_000_000, LocationRule.DROP, 0.05
)


def second_model_mb(first: Path, second: Path) -> float:
    """In 10^6 bytes: resident size with both, less that with the first alone, each after having looked once."""
    return _told("models", str(first), str(second)) - _told("models", str(first))


def clip_mb(seconds: int) -> float:
    """In 10^6 bytes: the peak of a process that redacts a clip of this length, less the packets that come out."""
    return _told("clip", str(seconds))


def _told(*arguments: str) -> float:
    command = [sys.executable, "-m", "fsd_tools.bench.redact_memory", *arguments]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    return float(ran.stdout)


def _models_mb(packages: Sequence[str]) -> float:
    detectors = [OnnxDetector(Path(one), halves=True, threads=1, fitted=True) for one in packages]
    frame = Frame("front", 0, np.zeros(PICTURE, np.uint8))
    for detector in detectors:
        detector.detect(frame, min_score=0.15)
    return psutil.Process().memory_info().rss / 1e6


def _clip_mb(seconds: int) -> float:
    step = 1_000_000_000 // CLIP_FPS
    packets = tuple(_packets(seconds * CLIP_FPS, step))
    clip = Clip(
        row=row(0, seconds * CLIP_FPS * step),
        firings=(),
        catalogue=(),
        signals=empty_signals(),
        packets=packets,
        detections=(),
        gnss=empty_gnss(),
        modes=(),
    )
    sizes = {"front": (CLIP_PICTURE[1], CLIP_PICTURE[0])}
    detectors = [MarkerDetector(source=f"{one}@1") for one in CLIP_SOURCES]
    done = redact(clip, CLIP_RULES, PyAvCodec(), detectors, sizes=sizes)
    if not isinstance(done, RedactedClip):
        raise ToolError(f"refused: {done.detail}")
    return peak_mb(os.getpid()) - sum(len(one.data) for one in done.clip.packets) / 1e6


def _packets(frames: int, step: int) -> Iterator[EncodedPacket]:
    """A short loop over and over, whose bytes are in memory once."""
    pictures = [_picture(n) for n in range(LOOP_FRAMES)]
    loop = list(PyAvCodec().encode("front", pictures, fps=CLIP_FPS, keyframe_every=LOOP_FRAMES))
    for n in range(frames):
        one = loop[n % LOOP_FRAMES]
        yield EncodedPacket("front", n * step, one.codec, one.keyframe, one.data)


def _picture(number: int) -> PyAvFrame:
    """Noise, and a row of persons who stand."""
    bgr: NDArray[np.uint8] = np.random.default_rng(number).integers(90, 130, CLIP_PICTURE, np.uint8)
    for at in range(PERSONS):
        bgr[100:220, 16 + 76 * at : 56 + 76 * at] = MARKERS[Kind.PEDESTRIAN]
    return frame_from_bgr(number, bgr)


def _main() -> None:
    what, *arguments = sys.argv[1:]
    print(_models_mb(arguments) if what == "models" else _clip_mb(int(arguments[0])))


if __name__ == "__main__":
    _main()
