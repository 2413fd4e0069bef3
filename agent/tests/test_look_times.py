"""At which frames the agent's models look: by time, whatever the camera's rate."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.pipeline.look import LOOKS_AT_ONCE, PACES, look_over, look_times
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.again import AROUND_NS
from fsd_agent.testing.codec import PictureFrame
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_firmware.samples import Kind

MS = 1_000_000
RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.NONE, 0, 500 * MS, LocationRule.DROP, 0.1)
STRICT = replace(RULES, strictness=Strictness.STRICT)


@pytest.mark.parametrize(
    ("fps", "every", "strict_every"),
    [
        (2, 1, 1),
        (5, 1, 1),
        (10, 3, 1),
        (12, 4, 2),
        (15, 5, 2),
        (20, 6, 3),
        (25, 8, 4),
        (30, 10, 5),
        (60, 20, 10),
    ],
)
def test_the_faster_a_camera_the_fewer_of_its_frames_are_looked_at(
    fps: int, every: int, strict_every: int
) -> None:
    times = np.arange(48, dtype=np.int64) * 1_000_000_000 // fps
    for rules, apart in ((RULES, every), (STRICT, strict_every)):
        assert look_times(rules, times) == sorted({*times[::apart].tolist(), int(times[-1])})


def test_exactly_as_far_apart_as_allowed_is_near_enough() -> None:
    every_ns = PACES[Strictness.STANDARD].first_ns
    times = np.array([0, 1, 2]) * every_ns // 2
    assert look_times(RULES, times) == [0, every_ns]
    assert look_times(RULES, times + np.array([0, 0, 1])) == (times + np.array([0, 0, 1])).tolist()
    assert look_times(replace(RULES, max_gap_ns=every_ns - 1), times) == times.tolist()


def test_without_a_frame_nobody_looks() -> None:
    assert look_times(RULES, np.empty(0, np.int64)) == []
    assert look_times(RULES, np.array([7])) == [7]


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    max_gap_ns=st.sampled_from([60 * MS, 200 * MS, 500 * MS]),
    strictness=st.sampled_from(Strictness),
)
def test_looks_are_only_as_far_apart_as_frames_or_as_allowed(
    steps: list[int], max_gap_ns: int, strictness: Strictness
) -> None:
    times = np.cumsum([0, *steps]) * MS
    looks = look_times(replace(RULES, max_gap_ns=max_gap_ns, strictness=strictness), times)
    assert looks == sorted(set(looks))
    assert set(looks) <= set(times.tolist())
    assert (looks[0], looks[-1]) == (times[0], times[-1])
    for before, after in pairwise(looks):
        near = after - before <= min(PACES[strictness].first_ns, max_gap_ns)
        between = [t for t in times.tolist() if before < t < after]
        assert near or not between


def test_looks_at_a_long_clip_are_one_set_of_columns_for_each_model() -> None:
    times = np.arange(LOOKS_AT_ONCE + 3, dtype=np.int64) * PACES[Strictness.STANDARD].first_ns
    blank = np.zeros((4, 4, 3), np.uint8)
    both = [MarkerDetector(source="one@1"), MarkerDetector(source="two@1")]
    looked = look_over(
        lambda _: (PictureFrame(int(t), blank) for t in times), "front", RULES, both, (), times, (4, 4)
    )
    assert [one.source for one in looked.looks] == ["one@1", "two@1"]
    assert all(one.frame_t_ns.tolist() == times.tolist() for one in looked.looks)


def shown_at(fps: int, *, away: tuple[float, float]) -> tuple[np.ndarray, list[PictureFrame]]:
    """Three seconds of somebody in mid-picture and of somebody who isn't seen in the seconds of ``away``."""
    times = np.arange(3 * fps, dtype=np.int64) * 1_000_000_000 // fps
    blank = np.zeros((100, 200, 3), np.uint8)
    shown = blank.copy()
    shown[30:70, 90:120] = MARKERS[Kind.PEDESTRIAN]
    begin, end = away
    return times, [
        PictureFrame(int(t), blank if begin <= n / fps < end else shown) for n, t in enumerate(times)
    ]


def looked_again_at(rules: RedactionRules, times: np.ndarray, frames: list[PictureFrame]) -> list[int]:
    detector = MarkerDetector()
    looked = look_over(lambda _: iter(frames), "front", rules, [detector], (), times, (200, 100))
    again = [t for _, t in detector.looked_at[len(look_times(rules, times)) :]]
    assert looked.frames_again == len(again)
    return again


@pytest.mark.parametrize(
    ("fps", "rules", "broken", "empty"),
    [(20, RULES, 1, 3), (30, RULES, 2, 5), (60, RULES, 4, 10), (60, STRICT, 1, 1)],
)
def test_looking_again_passes_frames_over_and_more_of_them_where_nobody_is(
    fps: int, rules: RedactionRules, broken: int, empty: int
) -> None:
    """Half a second behind the track's end and before its new beginning is more doubtful than what is between."""
    times, frames = shown_at(fps, away=(0.5, 2.5))
    again = looked_again_at(rules, times, frames)
    first = look_times(rules, times)
    left = max(t for t in first if t < 0.5e9)
    back = min(t for t in first if t >= 2.5e9)
    ends = [t for t in times.tolist() if left <= t <= left + AROUND_NS or back - AROUND_NS <= t <= back]
    between = [t for t in times.tolist() if left + AROUND_NS < t < back - AROUND_NS]
    assert min(again) == left
    assert max(again) == back
    apart = np.diff(np.searchsorted(ends, [t for t in again if t in ends]))
    assert apart.max() == broken
    assert len([t for t in again if t in ends]) <= len(ends) / broken + 3
    inner = np.searchsorted(between, [t for t in again if t in between])
    assert inner[0] == 0
    assert inner[-1] == len(between) - 1
    assert np.diff(inner).max() == empty
    assert len(inner) <= len(between) / empty + 3


def test_a_track_s_short_gap_is_looked_at_as_often_as_its_ends() -> None:
    times, frames = shown_at(30, away=(1.0, 1.5))
    again = looked_again_at(RULES, times, frames)
    assert np.diff(again).max() <= PACES[Strictness.STANDARD].broken_ns
