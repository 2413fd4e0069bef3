"""What the selection bench cuts out of whole drives is what the product would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fsd_agent.adapters.shipped_head import shipped_head
from fsd_agent.rules.selection.span import WINDOW_NS, windows
from fsd_agent.rules.selection.value import score
from fsd_agent.rules.selection.window import Motion
from fsd_tools.bench.selection_ranks import Ranked
from fsd_tools.bench.selection_spans import (
    best_anywhere,
    best_spans,
    cut_figures,
    product_windows,
    valued,
)
from fsd_tools.drive.import_jaad import FPS, Tracks
from fsd_tools.selection.jaad import FRAMES, Labelled
from tools.tests.test_selection_learn import tracks


def drive(frames: int) -> Tracks:
    """Somebody begins to cross at frame 40."""
    return tracks([0] * 40 + [1] * (frames - 40), [Motion.FAST] * frames, frames)


@pytest.mark.parametrize("frames", [FRAMES, FRAMES + 1, 137, 200, 299, 1500])
def test_the_windows_are_those_of_a_clip_as_long_as_the_drive(frames: int) -> None:
    found = product_windows(drive(frames), [0])
    expected = [begin_ns for begin_ns, _ in windows(0, frames * 1_000_000_000 // FPS)]
    assert len(found) == len(expected)
    half_a_frame_ns = 500_000_000 / FPS + 1
    for one, begin_ns in zip(found, expected, strict=True):
        assert abs(one.window.start_ns - begin_ns) <= half_a_frame_ns
        assert one.window.end_ns - one.window.start_ns in range(WINDOW_NS - 1, WINDOW_NS + 2)
    assert found[-1].frame == frames - FRAMES, "up to the drive's last picture, and none beyond"


def test_a_drive_that_is_shorter_than_a_window_has_none() -> None:
    assert product_windows(drive(FRAMES - 1), [0]) == []


def several(values: list[list[float]]) -> tuple[list[Labelled], Ranked]:
    """Drives of as many windows, hardly a third of a second apart, that are worth so much."""
    moments, worth = [], []
    for number, own in enumerate(values):
        found = product_windows(drive(FRAMES + max(0, FPS // 3 * (len(own) - 1) - 1)), [0])
        assert len(found) == len(own)
        moments += [replace(one, drive=number) for one in found]
        worth += own
    rows = np.array([one.drive for one in moments], np.int64)
    return moments, Ranked(np.array(worth), np.array(worth) > 0.5, np.array(worth) > 0, rows)


def test_of_each_drive_one_span_is_kept_and_of_those_the_best() -> None:
    moments, ranked = several([[0.1, 0.2, 0.9, 0.1], [0.0, 0.3], [0.8, 0.7]])
    assert best_spans(moments, ranked, 9).tolist() == [2, 6, 5]
    assert best_spans(moments, ranked, 2).tolist() == [2, 6]


def test_anywhere_one_drive_may_give_several() -> None:
    long = [0.9, *[0.1] * 10, 0.8]
    moments, ranked = several([long, [0.0, 0.3]])
    assert best_anywhere(moments, ranked, 2).tolist() == [0, 11]
    assert best_spans(moments, ranked, 2).tolist() == [0, 13]


def test_both_are_told_beside_even_choices_among_all_windows() -> None:
    moments, ranked = several([[0.1, 0.2, 0.9, 0.0], [0.0, 0.6]])
    figures = {one.name: one for one in cut_figures(moments, ranked, 1, 2.4)}
    spans = figures["one span of each drive, the best of them"]
    assert (spans.value, spans.peer_value) == (100, pytest.approx(100 * 2 / 6))
    plain = figures["one span of each drive, the best of them, against a plain condition"]
    assert plain.peer_value == pytest.approx(100 * 2 / 4)
    assert figures["cut around the best moments"].value == 100
    assert figures["recall, one span of each drive, the best of them"].value == 50, "one of two begin in it"


def test_windows_are_worth_what_the_product_says_of_them() -> None:
    loaded = drive(200)
    moments = product_windows(loaded, [0])
    head = shipped_head()
    found = valued(moments, [score(one.window, head) for one in moments])
    assert found.value.shape == (len(moments),)
    assert ((found.value > 0) & (found.value < 1)).all()
    nobody = valued(moments, [None] * len(moments))
    assert (nobody.value < found.value).all()
