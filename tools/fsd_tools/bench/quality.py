"""``fsdctl bench quality``: which clips the verdict on quality throws away, of good pictures and of spoilt ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.selection_rule import USUAL, Fault
from fsd_agent.rules.selection.quality import faults, shrunk
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import file_fps, frame_from_bgr, frames_of_file
from fsd_tools.bench.frame import BenchResult, Figure, Goal, Progress, figure, interleaved, this_machine
from fsd_tools.bench.quality_spoilt import WAYS, Picture, Way, driven, shots
from fsd_tools.bench.side_by_side import drawn_for, side_by_side, threads
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
STREET, SET_ON = "street clips", "street clips of the other half"
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
    clips = [
        Source(of, partial(_street_pictures, one), through_codec=False)
        for half, of in ((SET, SET_ON), (REPORTED, STREET))
        for one in [each for each in street if each.half == half][::EVERY]
    ]
    for name, file in VIDEOS.items():
        progress(f"stretches of a {name}")
        stretches = _stretches(data_dir() / "video" / file)
        clips += [
            Source(f"stretches of a {name}", partial(list, one), through_codec=True) for one in stretches
        ]
    numbered = list(enumerate(clips))
    verdicts = list(side_by_side([None] * threads(), numbered, _verdicts, progress, "clip"))
    figures = [
        _told(
            name, way, of, [found[name] for clip, found in zip(clips, verdicts, strict=True) if clip.of == of]
        )
        for name, way in WAYS.items()
        for of in dict.fromkeys([STREET, SET_ON, *(clip.of for clip in clips)])
    ]
    progress(f"{rounds} rounds in turns")
    return BenchResult("quality", this_machine(), (*figures, _cost(rounds)))


@dataclass(frozen=True, slots=True)
class Source:
    """Where a clip's pictures come from: they are made when it is its turn."""

    of: str
    make: Callable[[], Sequence[Picture]]
    through_codec: bool


def _street_pictures(picture: StreetPicture) -> list[Picture]:
    return driven(picture.bgr(), PICTURES)


def _verdicts(_: None, numbered: tuple[int, Source]) -> dict[str, bool]:
    """By the name of the way: whether the clip so spoilt is dropped."""
    number, clip = numbered
    made = shots(clip.make(), drawn_for(number))
    return {
        name: is_dropped(small(way.spoil(made, drawn_for(number, at)), through_codec=clip.through_codec))
        for at, (name, way) in enumerate(WAYS.items())
    }


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


def _told(name: str, way: Way, of: str, dropped: Sequence[bool]) -> Figure:
    goal = Goal("<=", FALSE_ALARMS, "value") if way.fault is None else None
    named = f"{name}, half that it was set on" if of == SET_ON else name
    verb = "dropped" if way.fault is None else "caught"
    share = 100 * float(np.mean(dropped))
    return figure(
        f"{named}: {verb}", share, f"% of {len(dropped)} {STREET if of == SET_ON else of}", goal=goal
    )


def _cost(rounds: int) -> Figure:
    luma = np.random.default_rng(0).integers(16, 235, (PICTURES, 720, 1280), np.uint8)

    def run() -> None:
        faults(np.stack([shrunk(one) for one in luma]))

    timed: dict[str, Callable[[], None]] = {"ours": run}
    return figure("five pictures of 1280x720", 1e3 * interleaved(rounds, timed)["ours"], "ms")
