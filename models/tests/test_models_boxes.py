"""Suppression and halves against slow, plain references."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_models.boxes import RawBoxes, iou, merge_halves, no_boxes, suppress

WIDTH, LEFT_END, RIGHT_START = 1000.0, 550.0, 450.0


def raw(*rows: tuple[float, float, float, float, float, int]) -> RawBoxes:
    """Rows of x1, y1, x2, y2, score, class."""
    table = np.array(rows, np.float64).reshape(-1, 6)
    return RawBoxes(
        table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int32)
    )


def plain_iou(a: list[float], b: list[float]) -> float:
    across = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0)
    down = max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - across * down
    return across * down / union if union > 0 else 0.0


def plain_suppress(found: RawBoxes, max_iou: float) -> list[int]:
    """Rows kept, one pair at a time."""
    kept: list[int] = []
    for row in sorted(range(len(found)), key=lambda i: -found.score[i]):
        rivals = [i for i in kept if found.cls[i] == found.cls[row]]
        if all(plain_iou(found.box[i].tolist(), found.box[row].tolist()) <= max_iou for i in rivals):
            kept.append(row)
    return kept


whole = st.integers(0, 40)


@st.composite
def boxes(draw: st.DrawFn) -> RawBoxes:
    rows = draw(
        st.lists(st.tuples(whole, whole, whole, whole, st.integers(0, 20), st.integers(0, 2)), max_size=25)
    )
    return raw(*((x, y, x + w, y + h, score / 20, cls) for x, y, w, h, score, cls in rows))


@given(boxes(), st.sampled_from([0.31, 0.53, 0.6]))
@settings(max_examples=100)
def test_suppression_equals_the_plain_reference(found: RawBoxes, max_iou: float) -> None:
    kept, wanted = suppress(found, max_iou), found.take(np.array(plain_suppress(found, max_iou), np.intp))
    assert np.array_equal(kept.box, wanted.box)
    assert np.array_equal(kept.score, wanted.score)
    assert np.array_equal(kept.cls, wanted.cls)


@given(boxes(), boxes())
@settings(max_examples=50)
def test_overlap_equals_the_plain_reference(a: RawBoxes, b: RawBoxes) -> None:
    wanted = [[plain_iou(p.tolist(), q.tolist()) for q in b.box] for p in a.box]
    assert np.allclose(iou(a.box, b.box), np.array(wanted).reshape(len(a), len(b)), atol=1e-5)


def merge(left: RawBoxes, right: RawBoxes) -> RawBoxes:
    return merge_halves(left, right, left_end=LEFT_END, right_start=RIGHT_START, max_iou=0.6)


def test_what_both_halves_saw_whole_is_one_box() -> None:
    merged = merge(raw((480, 10, 520, 90, 0.9, 0)), raw((481, 11, 521, 91, 0.7, 0)))
    assert merged.box.tolist() == [[480, 10, 520, 90]]


def test_parts_of_one_object_on_both_sides_of_the_cut_become_one_box() -> None:
    """A lorry across the middle: each half sees it end at its own edge."""
    merged = merge(raw((300, 100, 549, 300, 0.6, 7)), raw((451, 105, 800, 305, 0.8, 7)))
    assert merged.box.tolist() == [[300, 100, 800, 305]]
    assert np.allclose(merged.score, [0.8])


def test_a_part_inside_a_whole_box_is_dropped_and_lends_its_score() -> None:
    merged = merge(raw((510, 10, 550, 90, 0.9, 0)), raw((505, 10, 560, 90, 0.4, 0)))
    assert merged.box.tolist() == [[505, 10, 560, 90]]
    assert np.allclose(merged.score, [0.9])


def test_a_part_of_another_class_stays() -> None:
    assert len(merge(raw((510, 10, 550, 90, 0.9, 0)), raw((505, 10, 560, 90, 0.4, 2)))) == 2


def test_two_persons_at_the_cut_at_different_heights_stay_two() -> None:
    assert len(merge(raw((500, 0, 550, 100, 0.9, 0)), raw((450, 200, 500, 300, 0.8, 0)))) == 2


def test_boxes_away_from_the_cut_are_left_alone() -> None:
    merged = merge(raw((0, 0, 50, 50, 0.5, 0)), raw((900, 0, 950, 50, 0.9, 0)))
    assert merged.box.tolist() == [[900, 0, 950, 50], [0, 0, 50, 50]]


def test_nothing_merged_with_nothing_is_nothing() -> None:
    assert len(merge(no_boxes(), no_boxes())) == 0


@given(boxes(), boxes())
@settings(max_examples=50)
def test_merging_invents_no_score_and_keeps_every_class(left: RawBoxes, right: RawBoxes) -> None:
    merged = merge(left, right)
    assert set(merged.score.tolist()) <= set(left.score.tolist()) | set(right.score.tolist())
    assert set(merged.cls.tolist()) == set(left.cls.tolist()) | set(right.cls.tolist())
