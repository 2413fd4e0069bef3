"""``fsdctl bench quality``: which clips the verdict on quality throws away, of good pictures and of spoilt ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.selection_rule import USUAL, Fault
from fsd_agent.rules.selection.quality import faults, shrunk
from fsd_firmware.codec_pyav import PyAvCodec, file_fps, frame_from_bgr, frames_of_file
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.bench.quality_spoilt import WAYS, Picture, Way, driven
from fsd_tools.bench.street import REPORTED, SET, StreetPicture, read_street
from fsd_tools.data import data_dir

PICTURES: Final = 5
"""Of a clip."""
EVERY: Final = 3
"""Of street pictures one in so many: a clip is made of each, in fourteen ways."""
APART_S: Final = 0.5
VIDEOS: Final = {
    "car's video": "pedestrian_cyclist_1.mp4",
    "fixed camera's video": "person-bicycle-car-detection.mp4",
}
FALSE_ALARMS: Final = 1.0
"""Percent of good clips; a true one is not to be lost to its quality."""


def bench_quality(rounds: int, progress: Progress) -> BenchResult:
    """Clips of five pictures through the agent's own rule, as a campaign that says nothing about selection has it.

    Clips: one of every third street picture (`street_eval`, 1242x375 and day), driven into by 8 % a picture; and stretches of the
    two videos, five key frames half a second apart, through the codec. Spoilt in fourteen ways: four that must be kept (as they
    are, one shaken picture, dusk, night) and ten in which the fault must be found. Limits were set on one half of the
    street pictures (every second by name) and are reported on the other; "set on" tells the first; nothing was set on the
    videos. Caught means dropped, for whatever fault. Time is of the rule and of making its pictures small, for five pictures of
    1280x720, without decoding.
    """
    cv2.setNumThreads(1)
    street = read_street(data_dir() / "street_eval")
    stretches = {name: _stretches(data_dir() / "video" / file) for name, file in VIDEOS.items()}
    figures: list[Figure] = []
    for at, (name, way) in enumerate(WAYS.items()):
        progress(name)
        rng = np.random.default_rng(at)
        halves = {half: _street_share(_half(street, half), way, rng) for half in (SET, REPORTED)}
        figures.append(_told(name, way, halves[REPORTED], "street clips"))
        figures.append(_told(f"{name}, half that it was set on", way, halves[SET], "street clips"))
        for video, stretch in stretches.items():
            share = _share(stretch, way, rng, through_codec=True)
            figures.append(_told(name, way, share, f"stretches of a {video}"))
    progress(f"{rounds} rounds in turns")
    return BenchResult("quality", this_machine(), (*figures, _cost(rounds)))


def _half(street: Sequence[StreetPicture], half: int) -> list[StreetPicture]:
    return [one for one in street if one.half == half][::EVERY]


def _street_share(street: Sequence[StreetPicture], way: Way, rng: np.random.Generator) -> tuple[float, int]:
    clips = (driven(one.bgr(), PICTURES) for one in street)
    return _share(clips, way, rng, through_codec=False)


def _share(
    clips: Sequence[Sequence[Picture]] | Iterator[Sequence[Picture]],
    way: Way,
    rng: np.random.Generator,
    *,
    through_codec: bool,
) -> tuple[float, int]:
    """Percent that is dropped, and of how many."""
    dropped = [is_dropped(small(way.spoil(one, rng), through_codec=through_codec)) for one in clips]
    return 100 * float(np.mean(dropped)), len(dropped)


def is_dropped(pictures: NDArray[np.uint8]) -> bool:
    """By a campaign that says nothing about selection."""
    found: frozenset[Fault] | None = faults(pictures)
    return found is not None and bool(found & USUAL)


def small(pictures: Sequence[Picture], *, through_codec: bool) -> NDArray[np.uint8]:
    """As the rule wants them; through the codec as key frames, each by itself."""
    frames = [
        frame_from_bgr(at, one[: one.shape[0] // 2 * 2, : one.shape[1] // 2 * 2])
        for at, one in enumerate(pictures)
    ]
    if through_codec:
        codec = PyAvCodec()
        packets = codec.encode("front", frames, fps=10.0, keyframe_every=1)
        frames = [next(codec.decode([packet])) for packet in packets]
    return np.stack([shrunk(one.luma()) for one in frames])


def _stretches(video: Path) -> list[list[Picture]]:
    """Pictures half a second apart; a video too short for that is cut closer."""
    frames = [one.bgr() for one in frames_of_file(video)]
    step = min(max(1, round(APART_S * file_fps(video))), len(frames) // (PICTURES * 2))
    chosen = frames[::step]
    return [chosen[at : at + PICTURES] for at in range(0, len(chosen) - PICTURES + 1, PICTURES)]


def _told(name: str, way: Way, found: tuple[float, int], what: str) -> Figure:
    share, count = found
    goal = Goal("<=", FALSE_ALARMS, "value") if way.fault is None else None
    verb = "dropped" if way.fault is None else "caught"
    return figure(f"{name}: {verb}", share, f"% of {count} {what}", goal=goal)


def _cost(rounds: int) -> Figure:
    luma = np.random.default_rng(0).integers(16, 235, (PICTURES, 720, 1280), np.uint8)

    def run() -> None:
        faults(np.stack([shrunk(one) for one in luma]))

    timed: dict[str, Callable[[], None]] = {"ours": run}
    return figure("five pictures of 1280x720", 1e3 * interleaved(rounds, timed)["ours"], "ms")
