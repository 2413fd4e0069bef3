"""How `fsdctl bench redact` judges in time: what a denser pass shows, over every start of a clip."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.tracks import sightings
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_firmware.samples import Frame, Kind
from fsd_tools.bench.frame import Figure
from fsd_tools.bench.redact_time import Followed, InTime, Remembered, in_time_figures, mean
from fsd_tools.bench.street import heads_of

MS = 1_000_000
FPS = 25
"""So the agent looks at every eighth frame, and there are eight starts."""
FRAMES = 40
WIDTH, HEIGHT = 320, 240
RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 0, 1000 * MS, LocationRule.DROP, 0.05)
PERSON, BESIDE = (40, 60, 80, 180), (240, 60, 280, 180)
CAR, SMALL_CAR = (100, 100, 200, 170), (100, 20, 160, 79)

Things = list[tuple[Kind, tuple[int, int, int, int], range]]
ALWAYS = range(FRAMES)
BRIEFLY = range(10, 14)
"""Seen by the clips whose second look is one of these frames: those that begin with frame 2, 3, 4 or 5, which is half of all."""


def written(path: Path, things: Things) -> Path:
    """A video, of which coding loses nothing, with ``things`` as the marker detector's colours."""
    with av.open(path, "w") as file:
        stream = file.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for at in range(FRAMES):
            picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for kind, (x1, y1, x2, y2), there in things:
                if at in there:
                    picture[y1:y2, x1:x2] = MARKERS[kind]
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        file.mux(stream.encode())
    return path


def judged(folder: Path, *videos: Things) -> dict[str, Figure]:
    paths = [written(folder / f"{n}.mkv", things) for n, things in enumerate(videos)]
    return {one.name: one for one in in_time_figures(paths, [MarkerDetector()], RULES)}


def test_whoever_is_always_there_is_always_covered(tmp_path: Path) -> None:
    found = judged(tmp_path, [(Kind.PEDESTRIAN, PERSON, ALWAYS), (Kind.CAR, CAR, ALWAYS)])
    heads, bands = (
        found["in time: frames that leave a head open"],
        found["in time: plate bands that are left open"],
    )
    assert (heads.value, heads.peer_value, heads.met) == (0, 0, True)
    assert (bands.value, bands.unit) == (0, "% of 36"), "of clips of 40, 39 … 33 frames the mean, 36.5"
    assert found["in time: looks of each model"].ratio == 1, "nothing is doubtful"


def test_who_comes_and_goes_between_two_looks_is_open_for_as_many_starts_as_miss_it(tmp_path: Path) -> None:
    """Beside somebody who is always there, so that nothing is looked at again."""
    found = judged(
        tmp_path,
        [
            (Kind.PEDESTRIAN, BESIDE, ALWAYS),
            (Kind.PEDESTRIAN, PERSON, BRIEFLY),
            (Kind.CAR, CAR, BRIEFLY),
        ],
    )
    heads, bands = (
        found["in time: frames that leave a head open"],
        found["in time: plate bands that are left open"],
    )
    assert heads.value == pytest.approx(100 * 2 / 36.5)
    assert not heads.met
    assert bands.value == pytest.approx(50)
    assert bands.unit == "% of 4"


def test_where_nobody_else_is_the_second_look_finds_it(tmp_path: Path) -> None:
    """Somebody at the begin makes the rest doubtful."""
    found = judged(tmp_path, [(Kind.PEDESTRIAN, BESIDE, range(1)), (Kind.PEDESTRIAN, PERSON, BRIEFLY)])
    heads = found["in time: frames that leave a head open"]
    assert heads.value < (heads.peer_value or 0)
    assert (found["in time: looks of each model"].ratio or 0) > 1.5


def test_small_cars_and_what_was_seen_once_are_not_asked_for(tmp_path: Path) -> None:
    found = judged(
        tmp_path,
        [
            (Kind.PEDESTRIAN, BESIDE, ALWAYS),
            (Kind.PEDESTRIAN, PERSON, range(12, 13)),
            (Kind.CAR, SMALL_CAR, BRIEFLY),
            (Kind.CAR, CAR, ALWAYS),
        ],
    )
    assert found["in time: frames that leave a head open"].value == 0
    assert found["in time: plate bands that are left open"].unit == "% of 36", "of one car"


def test_videos_count_by_their_length_and_not_by_their_starts(tmp_path: Path) -> None:
    still: Things = [(Kind.PEDESTRIAN, BESIDE, ALWAYS)]
    both = judged(tmp_path, [*still, (Kind.PEDESTRIAN, PERSON, BRIEFLY)], still)
    assert both["in time: frames that leave a head open"].value == pytest.approx(100 * 2 / 73)


def test_a_track_is_followed_evenly_through_its_gaps() -> None:
    t_ns = np.array([0, 100 * MS, 300 * MS], np.int64)
    boxes = np.array([(0, 0, 100, 200), (50, 0, 150, 200), (70, 20, 170, 220)], np.float32)
    followed = Followed(sightings(t_ns, boxes), lambda box: np.rint(box).astype(np.int32))
    assert followed.at(100 * MS).tolist() == [[50, 0, 150, 200]]
    assert followed.at(200 * MS).tolist() == [[60, 10, 160, 210]]
    assert followed.at(250 * MS).tolist() == [[65, 15, 165, 215]]
    assert followed.at(301 * MS).tolist() == followed.at(-1).tolist() == []
    alone = Followed(sightings(t_ns[:1], boxes[:1]), heads_of)
    assert alone.at(0).tolist() == [], "seen once"


def test_a_remembered_detector_looks_once_at_each_frame_and_way_of_looking() -> None:
    inner = MarkerDetector()
    one = Remembered(inner)
    frame = Frame("front", 7, np.full((20, 20, 3), 90, np.uint8))
    assert one.detect(frame, min_score=0.1) is one.detect(frame, min_score=0.1)
    one.detect(frame, min_score=0.2)
    one.detect(frame, min_score=0.1, thorough=True)
    assert len(inner.looked_at) == 3
    assert (one.source, one.digest) == (inner.source, inner.digest)


def test_the_mean_of_clips() -> None:
    clips = [InTime(frames=10, open_frames=1, looks=3), InTime(frames=20, open_frames=0, bands=4)]
    assert mean(clips) == InTime(frames=15, open_frames=0.5, bands=2, looks=1.5)
