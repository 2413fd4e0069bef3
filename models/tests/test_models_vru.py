"""Who is a cyclist, by example."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_models.boxes import RawBoxes
from fsd_models.kinds import ModelKind
from fsd_models.vru import KindBoxes, with_cyclists

PERSON, BICYCLE, MOTORCYCLE, CAR, CHAIR = range(5)
KINDS = np.array(
    [ModelKind.PEDESTRIAN, ModelKind.BICYCLE, ModelKind.MOTORCYCLE, ModelKind.CAR, ModelKind.NONE], np.uint8
)

Row = tuple[int, float, tuple[float, float, float, float]]


def derive(*rows: Row, min_score: float = 0.35) -> list[tuple[ModelKind, float, list[float]]]:
    found = RawBoxes(
        np.array([row[2] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[0] for row in rows], np.int32),
    )
    seen: KindBoxes = with_cyclists(found, KINDS, min_score)
    return [
        (ModelKind(kind), round(float(score), 3), box)
        for kind, score, box in zip(seen.kind.tolist(), seen.score, seen.box.tolist(), strict=True)
    ]


RIDER = (100.0, 50.0, 140.0, 150.0)
WHEELS = (90.0, 100.0, 150.0, 170.0)


def test_a_person_on_a_bicycle_is_one_cyclist_around_both_with_the_persons_score() -> None:
    seen = derive((PERSON, 0.8, RIDER), (BICYCLE, 0.5, WHEELS))
    assert seen == [(ModelKind.CYCLIST, 0.8, [90, 50, 150, 170])]


def test_a_ridden_bicycle_is_often_called_a_motorcycle() -> None:
    assert derive((PERSON, 0.8, RIDER), (MOTORCYCLE, 0.5, WHEELS))[0][0] is ModelKind.CYCLIST


def test_both_names_for_the_same_wheels_make_one_cyclist_and_nothing_else() -> None:
    near = (91.0, 101.0, 149.0, 171.0)
    seen = derive((PERSON, 0.8, RIDER), (BICYCLE, 0.5, WHEELS), (MOTORCYCLE, 0.6, near))
    assert [kind for kind, _, _ in seen] == [ModelKind.CYCLIST]


def test_a_person_beside_a_bicycle_stays_a_pedestrian() -> None:
    beside = (130.0, 50.0, 175.0, 170.0)
    kinds = [
        kind for kind, _, _ in derive((PERSON, 0.8, beside), (BICYCLE, 0.5, (50.0, 100.0, 140.0, 170.0)))
    ]
    assert kinds == [ModelKind.PEDESTRIAN, ModelKind.BICYCLE]


def test_a_person_in_front_of_a_far_bicycle_stays_a_pedestrian() -> None:
    kinds = [
        kind for kind, _, _ in derive((PERSON, 0.8, (100, 0, 160, 300)), (BICYCLE, 0.5, (110, 40, 150, 80)))
    ]
    assert kinds == [ModelKind.PEDESTRIAN, ModelKind.BICYCLE]


def test_one_bicycle_carries_one_rider() -> None:
    """The person who covers more of the wheels rides; the other walks behind."""
    seen = derive((PERSON, 0.9, (128, 60, 160, 150)), (PERSON, 0.8, RIDER), (BICYCLE, 0.5, WHEELS))
    assert [kind for kind, _, _ in seen] == [ModelKind.PEDESTRIAN, ModelKind.CYCLIST]


def test_weak_wheels_are_evidence_but_are_never_reported() -> None:
    assert derive((PERSON, 0.8, RIDER), (BICYCLE, 0.3, WHEELS))[0][0] is ModelKind.CYCLIST
    assert derive((PERSON, 0.8, (400, 50, 440, 150)), (BICYCLE, 0.3, WHEELS)) == [
        (ModelKind.PEDESTRIAN, 0.8, [400, 50, 440, 150])
    ]


def test_a_weak_person_is_no_cyclist() -> None:
    assert [kind for kind, _, _ in derive((PERSON, 0.3, RIDER), (BICYCLE, 0.5, WHEELS))] == [
        ModelKind.BICYCLE
    ]


def test_classes_without_kind_and_weak_boxes_are_left_out() -> None:
    seen = derive((CHAIR, 0.9, RIDER), (CAR, 0.34, WHEELS), (CAR, 0.35, RIDER), min_score=0.35)
    assert [kind for kind, _, _ in seen] == [ModelKind.CAR]


def test_nothing_gives_nothing() -> None:
    assert derive() == []


side = st.integers(1, 100)
rows = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0.2, 0.3, 0.5, 0.9]), st.tuples(side, side, side, side)),
    max_size=12,
)


@given(rows)
@settings(max_examples=100)
def test_persons_are_never_lost_and_cyclists_never_outnumber_wheels(
    drawn: list[tuple[int, float, tuple[int, int, int, int]]],
) -> None:
    seen = derive(*((cls, score, (x, y, x + w, y + h)) for cls, score, (x, y, w, h) in drawn))
    persons = sum(1 for cls, score, _ in drawn if cls == PERSON and score >= 0.35)
    wheels = sum(1 for cls, _, _ in drawn if cls in (BICYCLE, MOTORCYCLE))
    cyclists = sum(1 for kind, _, _ in seen if kind is ModelKind.CYCLIST)
    walkers = sum(1 for kind, _, _ in seen if kind is ModelKind.PEDESTRIAN)
    assert cyclists + walkers == persons
    assert cyclists <= wheels
