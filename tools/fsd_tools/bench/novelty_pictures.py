"""Pictures again, for ``fsdctl bench novelty``: what the code of pictures takes for the same, and what for another.

``street_eval``: real street pictures, of which the reporting half is asked (:mod:`.street`). The same again is the picture cut to 95 % of its
width and height at a place drawn at random, its contrast and brightness changed by up to a quarter; or its mirror image. Different is
every other picture, ten at a time. The videos: clips of a second, three pictures each, one after the other, through one memory.
Features are those of the shipped detector on two halves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_agent.records.novelty import ClipCode, Maker, NoveltyMode, SentCode, Subject
from fsd_agent.rules.selection.code import pictures_code
from fsd_agent.rules.selection.novelty import judge_novelty, remember
from fsd_firmware.samples import Frame
from fsd_tools.bench.detect import FLOAT, read_pictures
from fsd_tools.bench.frame import Figure, figure
from fsd_tools.bench.street import REPORTED, read_street
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

PACKAGE: Final = f"{FLOAT}-int8"
PART: Final = 0.95
BRIGHTER: Final = 0.25
TEN: Final = 10
DRAWS: Final = 100
VIDEOS: Final = (("pedestrian_cyclist_1.mp4", 30), ("person-bicycle-car-detection.mp4", 12))
"""And how many pictures a second they have."""

Picture = NDArray[np.uint8]
Vector = NDArray[np.float32]


def picture_figures() -> list[Figure]:
    """See the module."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="fsd-bench-") as folder:
        package = assemble_package(PACKAGE, data_dir() / "models", Path(folder) / "nanodet")
        detector = OnnxDetector(package, halves=True, threads=1)

    def features(bgr: Picture) -> Vector:
        found = detector.features(Frame("front", 0, bgr))
        if found is None:
            raise TypeError(f"{PACKAGE}: gives no features")
        return found.value

    return [*_street(features), *(_video(features, *video) for video in VIDEOS)]


def changed(bgr: Picture, rng: np.random.Generator) -> Picture:
    """The same again; see the module."""
    height, width = bgr.shape[:2]
    high, wide = int(height * PART), int(width * PART)
    top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
    cut = bgr[top : top + high, left : left + wide].astype(np.float32)
    contrast, more = rng.uniform(1 - BRIGHTER, 1 + BRIGHTER), rng.uniform(-10, 10)
    made: Picture = np.clip(cut * contrast + more, 0, 255).astype(np.uint8)
    return made


def share_new(codes: Sequence[ClipCode], known: Sequence[ClipCode]) -> float:
    """Of codes, each against the known one of its place alone."""
    pairs = zip(codes, known, strict=True)
    new = [
        judge_novelty(one, [SentCode(other, "")], None, NoveltyMode.NORMAL).drop is None
        for one, other in pairs
    ]
    return float(np.mean(new))


def kept(codes: Sequence[ClipCode]) -> int:
    """How many are sent, one after the other."""
    sent: tuple[SentCode, ...] = ()
    for code in codes:
        if judge_novelty(code, sent, None, NoveltyMode.NORMAL).drop is None:
            sent = remember(sent, SentCode(code, ""))
    return len(sent)


def _street(features: Callable[[Picture], Vector]) -> Iterator[Figure]:
    rng = np.random.default_rng(3)
    pictures = [one.bgr() for one in read_street(data_dir() / "street_eval") if one.half == REPORTED]
    first = [_code([features(one)]) for one in pictures]
    again = [_code([features(changed(one, rng))]) for one in pictures]
    mirrored = [_code([features(np.ascontiguousarray(one[:, ::-1]))]) for one in pictures]
    count = len(pictures)
    draws = [rng.choice(count, TEN, replace=False).tolist() for _ in range(DRAWS)]
    left_out = 1 - np.mean([kept([first[at] for at in drawn]) for drawn in draws]) / TEN
    yield figure(
        "a street picture cut and brighter or darker, taken for new",
        100 * share_new(again, first),
        f"% of {count}",
    )
    yield figure(
        "a street picture mirrored, taken for new", 100 * share_new(mirrored, first), f"% of {count}"
    )
    yield figure("ten different street pictures, left out", 100 * float(left_out), "%")
    yield figure(f"all {count} street pictures, left out", 100 * (1 - kept(first) / count), "%")


def _video(features: Callable[[Picture], Vector], name: str, fps: int) -> Figure:
    pictures = read_pictures(data_dir() / "video" / name)
    starts = range(0, len(pictures) - fps + 1, fps)
    codes = [_code([features(pictures[at + part * fps // 3]) for part in range(3)]) for at in starts]
    return figure(f"clips of a second of {name}, sent", kept(codes), f"of {len(codes)}")


def _code(features: Sequence[Vector]) -> ClipCode:
    values = pictures_code(np.concatenate(features))
    if values is None:
        raise ValueError("no code of a picture")
    return ClipCode(Subject("bench", Maker.PICTURES, PACKAGE, "front"), values)
