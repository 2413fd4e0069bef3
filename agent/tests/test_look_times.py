"""At which frames the agent's models look: by time, whatever the camera's rate."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.pipeline.look import LOOK_EVERY_NS, LOOKS_AT_ONCE, look_over, look_times
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.testing.codec import PictureFrame
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_firmware.samples import Kind

MS = 1_000_000
RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.NONE, 0, 500 * MS, LocationRule.DROP, 0.1)
MAX_GAP_NS = 500 * MS


@pytest.mark.parametrize(
    ("fps", "every"), [(5, 1), (10, 1), (12, 2), (15, 2), (20, 3), (25, 4), (30, 5), (60, 10)]
)
def test_the_faster_a_camera_the_fewer_of_its_frames_are_looked_at(fps: int, every: int) -> None:
    times = np.arange(48, dtype=np.int64) * 1_000_000_000 // fps
    wanted = sorted({*times[::every].tolist(), int(times[-1])})
    assert look_times(times, MAX_GAP_NS) == wanted


def test_exactly_as_far_apart_as_allowed_is_near_enough() -> None:
    times = np.array([0, 1, 2]) * LOOK_EVERY_NS // 2
    assert look_times(times, MAX_GAP_NS) == [0, LOOK_EVERY_NS]
    assert look_times(times + np.array([0, 0, 1]), MAX_GAP_NS) == (times + np.array([0, 0, 1])).tolist()
    assert look_times(times, LOOK_EVERY_NS - 1) == times.tolist()


def test_without_a_frame_nobody_looks() -> None:
    assert look_times(np.empty(0, np.int64), MAX_GAP_NS) == []
    assert look_times(np.array([7]), MAX_GAP_NS) == [7]


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    max_gap_ns=st.sampled_from([60 * MS, 200 * MS, MAX_GAP_NS]),
)
def test_looks_are_only_as_far_apart_as_frames_or_as_allowed(steps: list[int], max_gap_ns: int) -> None:
    times = np.cumsum([0, *steps]) * MS
    looks = look_times(times, max_gap_ns)
    assert looks == sorted(set(looks))
    assert set(looks) <= set(times.tolist())
    assert (looks[0], looks[-1]) == (times[0], times[-1])
    for before, after in pairwise(looks):
        near = after - before <= min(LOOK_EVERY_NS, max_gap_ns)
        between = [t for t in times.tolist() if before < t < after]
        assert near or not between


def test_looks_at_a_long_clip_are_one_set_of_columns_for_each_model() -> None:
    times = np.arange(LOOKS_AT_ONCE + 3, dtype=np.int64) * LOOK_EVERY_NS
    blank = np.zeros((4, 4, 3), np.uint8)
    both = [MarkerDetector(source="one@1"), MarkerDetector(source="two@1")]
    looked = look_over(
        lambda _: (PictureFrame(int(t), blank) for t in times), "front", RULES, both, (), times, (4, 4)
    )
    assert [one.source for one in looked.looks] == ["one@1", "two@1"]
    assert all(one.frame_t_ns.tolist() == times.tolist() for one in looked.looks)


@pytest.mark.parametrize(
    ("fps", "strictness", "every"),
    [
        (20, Strictness.STANDARD, 1),
        (30, Strictness.STANDARD, 2),
        (60, Strictness.STANDARD, 4),
        (60, Strictness.STRICT, 1),
    ],
)
def test_looking_again_passes_frames_over_that_are_nearer_than_it_must_look(
    fps: int, strictness: Strictness, every: int
) -> None:
    """Nobody is seen in the second second of three."""
    times = np.arange(3 * fps, dtype=np.int64) * 1_000_000_000 // fps
    blank = np.zeros((100, 100, 3), np.uint8)
    shown = blank.copy()
    shown[30:70, 30:60] = MARKERS[Kind.PEDESTRIAN]
    frames = [PictureFrame(int(t), blank if 1 <= n / fps < 2 else shown) for n, t in enumerate(times)]
    detector = MarkerDetector()
    rules = replace(RULES, strictness=strictness)
    looked = look_over(lambda _: iter(frames), "front", rules, [detector], (), times, (100, 100))
    first = look_times(times, rules.max_gap_ns)
    doubtful = [
        t
        for t in times.tolist()
        if max(f for f in first if f < 1e9) <= t <= min(f for f in first if f >= 2e9)
    ]
    again = [t for _, t in detector.looked_at[len(first) :]]
    assert set(doubtful[::every]) <= set(again) <= {*doubtful[::every], doubtful[-1]}
    assert doubtful[-1] in again
    assert looked.frames_again == len(again)
