"""``fsdctl bench confirm``: false hits that a second look throws out, and true ones that it keeps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_agent.records.staged import join_detections
from fsd_agent.rules.selection.confirm import Verdict, scores_of
from fsd_firmware.pyav_frames import file_fps, frames_of_file
from fsd_firmware.samples import Detections
from fsd_tools.bench.confirm_hits import (
    APART,
    STEP_NS,
    Hit,
    Scene,
    judged,
    looks,
    read_persons,
    street_scene,
    video_scenes,
)
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, this_machine
from fsd_tools.bench.quality import VIDEOS
from fsd_tools.bench.select_cost import cost_beside_redaction
from fsd_tools.bench.side_by_side import drawn_for, side_by_side, threads
from fsd_tools.bench.street import REPORTED, SET, StreetPicture, read_street
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

FIRST, SECOND = "nanodet-m-416-int8", "fastestdet-352"
EVERY: Final = 4
"""Of street pictures one in so many: each is looked at fourteen times."""
TIMED_ROUNDS: Final = 3
"""At most: a redaction in which every frame is looked at again takes many seconds."""
KEPT: Final = 97.0
"""Percent of true hits; what is lost here no later stage brings back."""


def bench_confirm(rounds: int, progress: Progress) -> BenchResult:
    """Hits of a driving computer, true and planted, through the agent's own rule with the models that redaction has.

    Of every fourth picture of `street_eval`: true hits are its labelled pedestrians and cyclists, planted ones boxes of the same sizes at
    random places of the same pictures where nobody is labelled. Seven looks, the picture driven into by a percent each. Of
    the videos: whoever NanoDet follows through seven pictures a fifth of a second apart is true, by which it judges
    itself, so of these only FastestDet's silence is a second opinion; planted where it suspects nobody. Scores were set on one half of
    the street pictures (every second by name) and are reported on the other; "set on" tells the first. A hit is large that
    the rule draws a conclusion from; smaller ones are always kept. Planted hits may by chance lie on people
    whom nobody labelled. Times are of the agent's own loop on the car's video (two seconds of 1280x720, decoding included), in turns, in three rounds at most; a
    redaction of a longer clip takes longer, and selecting it does not.
    """
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="fsd-bench-") as folder:
        progress("assembling packages")
        packages = [
            assemble_package(one, data_dir() / "models", Path(folder) / one) for one in (FIRST, SECOND)
        ]
        tools = [_open(packages) for _ in range(threads())]
        street = _street(tools, progress)
        figures: list[Figure] = []
        for half, named in ((REPORTED, ""), (SET, ", half that it was set on")):
            scenes = [one for one in street if one.half == half]
            for who, used in _used(tools[0]).items():
                figures += _shares(f"street, {who}{named}", scenes, used, goal=half == REPORTED)
        for name, file in VIDEOS.items():
            scenes = _video(name, data_dir() / "video" / file, tools, progress)
            for who, used in _used(tools[0]).items():
                figures += _shares(f"{name}, {who}", scenes, used, goal=False)
        timed = min(rounds, TIMED_ROUNDS)
        progress(f"{timed} rounds in turns")
        car = data_dir() / "video" / next(iter(VIDEOS.values()))
        figures += cost_beside_redaction(timed, car, tools[0])
    return BenchResult("confirm", this_machine(), tuple(figures))


def _open(packages: Sequence[Path]) -> list[OnnxDetector]:
    return [OnnxDetector(one, halves=True, threads=1, fitted=True) for one in packages]


def _used(models: Sequence[OnnxDetector]) -> dict[str, list[str]]:
    return {"both models": [one.source for one in models], "the second alone": [models[1].source]}


def _street(tools: Sequence[Sequence[OnnxDetector]], progress: Progress) -> list[Scene]:
    pictures, persons = read_street(data_dir() / "street_eval"), read_persons(data_dir() / "street_eval")
    chosen = [
        one for half in (SET, REPORTED) for one in [each for each in pictures if each.half == half][::EVERY]
    ]

    def scene(models: Sequence[OnnxDetector], numbered: tuple[int, StreetPicture]) -> Scene:
        number, one = numbered
        return street_scene(one.bgr(), persons[one.path.name], one.half, models, drawn_for(1, number))

    return list(side_by_side(tools, list(enumerate(chosen)), scene, progress, "street picture"))


def _video(name: str, path: Path, tools: Sequence[Sequence[OnnxDetector]], progress: Progress) -> list[Scene]:
    pictures = _pictures(path)

    def look(models: Sequence[OnnxDetector], at: int) -> tuple[Detections, ...]:
        return looks(pictures[at : at + 1], models, at)

    found = list(side_by_side(tools, range(len(pictures)), look, progress, f"{name}: picture"))
    height, width = pictures[0].shape[:2]
    seen = join_detections(one for each in found for one in each)
    return video_scenes(seen, (width, height), tools[0][0].source, drawn_for(2))


def _pictures(video: Path) -> list[np.ndarray]:
    """A fifth of a second apart."""
    every = max(1, round(file_fps(video) * APART * STEP_NS / 1e9))
    return [frame.bgr() for at, frame in enumerate(frames_of_file(video)) if at % every == 0]


def _shares(name: str, scenes: Sequence[Scene], used: Sequence[str], *, goal: bool) -> list[Figure]:
    """Thrown out and kept, of those that are large enough, and of all."""
    tall = min(scores_of(source).tall for source in used)
    hits = [(one, hit, judged(one, hit, used)) for one in scenes for hit in one.hits]

    def part(
        what: str, is_true: bool, wanted: Callable[[Scene, Hit], bool], limit: Goal | None = None
    ) -> list[Figure]:
        found = [verdict for scene, hit, verdict in hits if hit.is_true is is_true and wanted(scene, hit)]
        if not found:
            return []
        out = 100 * float(np.mean([one is Verdict.FALSE_HIT for one in found]))
        verb = ("kept", 100 - out) if is_true else ("thrown out", out)
        return [figure(f"{name}: {what} {verb[0]}", verb[1], f"% of {len(found)}", goal=limit)]

    def large(scene: Scene, hit: Hit) -> bool:
        return hit.height >= tall * scene.width

    return [
        *part("true hits", True, lambda *_: True, Goal(">=", KEPT, "value") if goal else None),
        *part("true hits that are large", True, large),
        *part("planted hits", False, lambda *_: True),
        *part("planted hits that are large", False, large),
    ]
