"""Which boxes count: one model alone, two that looked at the same frame, and two that did not."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.counted import (
    AGAIN,
    MIN_SCORE,
    SAME_PLACE_IOU,
    SCORES,
    Scores,
    Shows,
    counted,
    lowest_score,
    lowest_score_again,
)
from fsd_agent.rules.privacy.plan import RedactionPlan, plan_redaction
from fsd_agent.testing.streams import looks
from fsd_firmware.samples import Detections, Kind

INT8, FLOAT, OTHER = "nanodet-m-416-int8", "nanodet-m-416", "fastestdet-352"
STANDARD, STRICT = Strictness.STANDARD, Strictness.STRICT
PLACE = (100.0, 100.0, 140.0, 200.0)
ELSEWHERE = (300.0, 100.0, 340.0, 200.0)


def test_the_measured_scores_are_these() -> None:
    assert MIN_SCORE == 0.15
    assert SAME_PLACE_IOU == {Shows.HEAD: 0.4, Shows.PLATE: 0.6, Shows.RIDER: 0.4}
    table = {
        (strictness, shows, model): (scores.alone, scores.confirmed)
        for strictness, sorts in SCORES.items()
        for shows, models in sorts.items()
        for model, scores in models.items()
    }
    nanodet = {
        (STANDARD, Shows.HEAD): (0.25, 0.12),
        (STANDARD, Shows.PLATE): (0.35, 0.08),
        (STRICT, Shows.HEAD): (0.15, 0.06),
        (STRICT, Shows.PLATE): (0.25, 0.12),
        (STRICT, Shows.RIDER): (0.3, 0.3),
    }
    other = {
        (STANDARD, Shows.HEAD): (0.55, 0.12),
        (STANDARD, Shows.PLATE): (0.7, 0.2),
        (STRICT, Shows.HEAD): (0.4, 0.1),
        (STRICT, Shows.PLATE): (0.5, 0.2),
        (STRICT, Shows.RIDER): (0.5, 0.5),
    }
    expected = {(*key, model): scores for key, scores in nanodet.items() for model in (INT8, FLOAT)}
    expected |= {(*key, OTHER): scores for key, scores in other.items()}
    assert table == expected


def test_detectors_are_asked_for_whatever_may_count() -> None:
    asked = {
        (model, strictness): lowest_score(f"{model}@1", strictness)
        for model in (INT8, FLOAT, OTHER, "firmware", "unheard-of")
        for strictness in Strictness
    }
    assert asked == {
        (INT8, STANDARD): 0.08,
        (FLOAT, STANDARD): 0.08,
        (OTHER, STANDARD): 0.12,
        (INT8, STRICT): 0.06,
        (FLOAT, STRICT): 0.06,
        (OTHER, STRICT): 0.1,
        **dict.fromkeys((("firmware", s) for s in Strictness), 0.15),
        **dict.fromkeys((("unheard-of", s) for s in Strictness), 0.15),
    }
    assert lowest_score(OTHER, STRICT) == 0.1, "a model that names no version is that model"


def seen(
    source: str, *boxes: tuple[Kind, float, tuple[float, ...]], times: tuple[int, ...] = (0,), at: int = 0
) -> Detections:
    """Boxes of the look ``at``; models have versions, firmware has none."""
    source = source if "@" in source or source == "firmware" else f"{source}@2022.11"
    rows = [(int(kind), score, box) for kind, score, box in boxes]
    return looks("front", source, [(t_ns, rows if n == at else []) for n, t_ns in enumerate(times)])


def persons(source: str, score: float, box: tuple[float, ...] = PLACE) -> Detections:
    return seen(source, (Kind.PEDESTRIAN, score, box))


def counts(one: Detections, *others: Detections, shows: Shows = Shows.HEAD) -> bool:
    return counted(one, [one, *others], shows, STANDARD).tolist() == [0]


@pytest.mark.parametrize("source", ["firmware", "unheard-of@1", f"{INT8}@2022.11", f"{OTHER}@1"])
def test_alone_every_source_counts_from_the_same_low_score(source: str) -> None:
    assert counts(persons(source, 0.151))
    assert not counts(persons(source, 0.149))
    assert counts(persons(source, float("nan")))


def test_where_the_other_model_saw_nothing_one_alone_must_be_surer() -> None:
    for other in (persons(OTHER, 0.9, ELSEWHERE), persons(OTHER, 0.119), seen(OTHER)):
        assert not counts(persons(INT8, 0.249), other)
        assert counts(persons(INT8, 0.251), other)
        assert counts(persons(INT8, float("nan")), other)


def test_where_both_suspect_it_less_is_enough() -> None:
    assert counts(persons(INT8, 0.121), persons(OTHER, 0.121))
    assert not counts(persons(INT8, 0.119), persons(OTHER, 0.9))
    assert counts(persons(OTHER, 0.121), persons(INT8, 0.121))
    assert counts(persons(INT8, 0.121), persons(OTHER, float("nan")))


@pytest.mark.parametrize("other", ["firmware", "unheard-of@1", f"{INT8}@3"])
def test_who_is_not_in_the_table_and_the_same_model_again_neither_doubt_nor_confirm(other: str) -> None:
    assert counts(persons(f"{INT8}@2", 0.151), seen(other))
    assert not counts(persons(f"{INT8}@2", 0.149), persons(other, 0.9))


def test_a_model_that_looked_at_other_frames_takes_nothing_away_and_confirms_nothing() -> None:
    late = seen(OTHER, (Kind.PEDESTRIAN, 0.9, PLACE), times=(5,))
    assert counts(persons(INT8, 0.151), late)
    assert not counts(persons(INT8, 0.149), late)
    both_frames = seen(OTHER, (Kind.PEDESTRIAN, 0.9, PLACE), times=(0, 5), at=1)
    assert not counts(persons(INT8, 0.2), both_frames)


def test_each_look_is_judged_by_its_own_frame() -> None:
    boxes = [[(int(Kind.PEDESTRIAN), 0.2, PLACE)]] * 3
    mine = looks("front", f"{INT8}@1", [(t, box) for t, box in zip((0, 5, 9), boxes, strict=True)])
    other = looks("front", f"{OTHER}@1", [(5, []), (9, [(int(Kind.CYCLIST), 0.3, PLACE)])])
    assert counted(mine, [mine, other], Shows.HEAD, STANDARD).tolist() == [0, 2]


@pytest.mark.parametrize(("shift", "confirmed"), [(22.0, False), (16.0, True)])
def test_the_same_place_is_an_overlap(shift: float, confirmed: bool) -> None:
    """Of boxes 40 wide, shifted by d: (40 - d) / (40 + d), which is 0.4 at 17.1."""
    box = (PLACE[0] + shift, PLACE[1], PLACE[2] + shift, PLACE[3])
    assert counts(persons(INT8, 0.2), persons(OTHER, 0.9, box)) is confirmed


def test_scores_count_from_exactly_what_the_table_says() -> None:
    assert counts(persons("firmware", 0.15))
    assert counts(persons(INT8, 0.25), seen(OTHER))
    assert counts(persons(INT8, 0.12), persons(OTHER, 0.12))
    car = (Kind.CAR, 0.2, PLACE)
    assert counts(seen(INT8, (Kind.CAR, 0.08, PLACE)), seen(OTHER, car), shows=Shows.PLATE)


@pytest.mark.parametrize(
    ("shows", "kind", "wide"), [(Shows.HEAD, Kind.CYCLIST, 40), (Shows.PLATE, Kind.CAR, 60)]
)
def test_an_overlap_of_exactly_the_share_is_not_enough(shows: Shows, kind: Kind, wide: int) -> None:
    """Of a box 100 wide and one inside of it."""
    mine = seen(INT8, (kind, 0.2, (0.0, 0.0, 100.0, 50.0)))
    for more, confirmed in ((0, False), (1, True)):
        theirs = seen(OTHER, (kind, 0.9, (0.0, 0.0, float(wide + more), 50.0)))
        assert counts(mine, theirs, shows=shows) is confirmed


def test_where_the_standard_has_no_scores_for_a_model_it_counts_as_any_other() -> None:
    wheels = seen(INT8, (Kind.BICYCLE, 0.16, PLACE))
    assert counts(wheels, seen(OTHER), shows=Shows.RIDER)


def test_only_what_may_show_the_same_confirms() -> None:
    car = seen(OTHER, (Kind.CAR, 0.9, PLACE))
    assert not counts(persons(INT8, 0.2), car)
    assert not counts(seen(INT8, (Kind.CAR, 0.3, PLACE)), persons(OTHER, 0.9), shows=Shows.PLATE)
    assert counts(seen(INT8, (Kind.BUS, 0.081, PLACE)), car, shows=Shows.PLATE)


def test_what_can_t_show_it_never_counts() -> None:
    car = seen("firmware", (Kind.CAR, 0.9, PLACE), (Kind.PEDESTRIAN, 0.9, PLACE), (Kind.BICYCLE, 0.9, PLACE))
    found = {shows: counted(car, [car], shows, STRICT).tolist() for shows in Shows}
    assert found == {Shows.HEAD: [1], Shows.PLATE: [0], Shows.RIDER: [2]}


BOXES = st.lists(
    st.tuples(
        st.sampled_from(list(Kind)),
        st.sampled_from([0.05, 0.13, 0.2, 0.3, 0.6, 0.9]),
        st.sampled_from([PLACE, ELSEWHERE, (105.0, 100.0, 145.0, 200.0)]),
    ),
    max_size=6,
)


@given(mine=BOXES, theirs=BOXES, strictness=st.sampled_from(list(Strictness)))
def test_what_either_is_sure_of_is_painted_whatever_the_other_says(
    mine: list[tuple[Kind, float, tuple[float, ...]]],
    theirs: list[tuple[Kind, float, tuple[float, ...]]],
    strictness: Strictness,
) -> None:
    """A union: nobody is outvoted from ``alone`` on, and what counts against silence counts against any answer."""
    one, other = seen(INT8, *mine), seen(OTHER, *theirs)
    for shows in (Shows.HEAD, Shows.PLATE):
        scores: Scores = SCORES[strictness][shows][INT8]
        rows = set(counted(one, [one, other], shows, strictness).tolist())
        silent = set(counted(one, [one, seen(OTHER)], shows, strictness).tolist())
        sure = set(np.flatnonzero(one.score >= np.float32(scores.alone)).tolist())
        able = set(counted(one, [one], shows, strictness).tolist())
        assert silent <= rows
        assert sure & able <= silent


def strict_plan(*boxes: tuple[Kind, float, tuple[float, ...]], faces: FaceRule) -> list[list[int]]:
    rules = RedactionRules(faces, PlateRule.NONE, 0, 1, LocationRule.DROP, 0.1, STRICT)
    plan = plan_redaction(rules, [seen("firmware", *boxes)], np.zeros(1, np.int64), 640, 480)
    assert isinstance(plan, RedactionPlan)
    return plan.at(0).tolist()


def test_strict_rules_paint_above_wheels_whoever_may_ride_them() -> None:
    wheels = (Kind.BICYCLE, 0.9, (100.0, 200.0, 160.0, 260.0))
    assert strict_plan(wheels, faces=FaceRule.HEAD_ZONE) == [[100, 140, 160, 218]]
    assert strict_plan(wheels, faces=FaceRule.NONE) == []
    weak = (Kind.BICYCLE, 0.1, wheels[2])
    assert strict_plan(weak, faces=FaceRule.HEAD_ZONE) == []


def test_persons_of_a_plan_are_those_that_count() -> None:
    rules = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.NONE, 0, 1, LocationRule.DROP, 0.1)
    sources = [persons(INT8, 0.2), persons(OTHER, 0.9, ELSEWHERE)]
    plan = plan_redaction(rules, sources, np.zeros(1, np.int64), 640, 480)
    assert isinstance(plan, RedactionPlan)
    assert plan.persons == 1


def test_a_stretch_that_is_looked_at_again_counts_heads_from_lower_scores() -> None:
    assert {INT8: Scores(0.12, 0.06), FLOAT: Scores(0.12, 0.06), OTHER: Scores(0.3, 0.1)} == AGAIN
    for table in SCORES.values():
        for model, again in AGAIN.items():
            assert again.alone < table[Shows.HEAD][model].alone
            assert again.confirmed <= table[Shows.HEAD][model].confirmed
    for strictness in Strictness:
        assert lowest_score_again(f"{INT8}@1", strictness) == 0.06
        assert lowest_score_again(f"{OTHER}@1", strictness) == 0.1
        assert lowest_score_again("firmware", strictness) == MIN_SCORE
    assert lowest_score_again(f"{INT8}@1", STANDARD) < lowest_score(f"{INT8}@1", STANDARD)


@pytest.mark.parametrize("strictness", list(Strictness))
def test_looking_again_changes_heads_alone(strictness: Strictness) -> None:
    def seen(model: str, kind: Kind, score: float, box: tuple[float, ...]) -> Detections:
        return looks("front", f"{model}@1", [(0, [(int(kind), score, box)])])

    def counts(shows: Shows, kind: Kind, score: float, confirmed: float | None, *, again: bool) -> int:
        one = seen(INT8, kind, score, PLACE)
        other = seen(OTHER, kind, confirmed or 0.9, PLACE if confirmed else ELSEWHERE)
        return len(counted(one, [one, other], shows, strictness, again=again))

    assert counts(Shows.HEAD, Kind.PEDESTRIAN, 0.13, None, again=True) == 1
    assert counts(Shows.HEAD, Kind.PEDESTRIAN, 0.11, None, again=True) == 0
    assert counts(Shows.HEAD, Kind.PEDESTRIAN, 0.13, None, again=False) == 0
    assert counts(Shows.HEAD, Kind.PEDESTRIAN, 0.07, 0.11, again=True) == 1
    assert counts(Shows.HEAD, Kind.PEDESTRIAN, 0.05, 0.11, again=True) == 0
    assert counts(Shows.HEAD, Kind.PEDESTRIAN, 0.07, 0.09, again=True) == 0
    for again in (False, True):
        assert counts(Shows.PLATE, Kind.CAR, 0.2, None, again=again) == 0
        assert counts(Shows.PLATE, Kind.CAR, 0.4, None, again=again) == 1


def crowd(source: str, looks_: int, boxes: int) -> Detections:
    """Persons side by side in every look, confirmed only in their own."""
    seen = [
        (t, [(int(Kind.PEDESTRIAN), 0.13, (50.0 * x, 0.0, 50.0 * x + 40, 100.0)) for x in range(boxes)])
        for t in range(looks_)
    ]
    return looks("front", source, seen)


def test_the_memory_of_counting_does_not_grow_with_the_square_of_the_clip() -> None:
    one, other = crowd(f"{INT8}@1", 1000, 8), crowd(f"{OTHER}@1", 1000, 8)
    tracemalloc.start()
    try:
        rows = counted(one, [one, other], Shows.HEAD, STANDARD)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows.size == 8000
    assert peak < 2_000_000  # A table of all boxes by all boxes has 64 million places.


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12),
)
def test_only_boxes_of_the_same_time_and_place_confirm_each_other(
    mine: list[tuple[int, int]], theirs: list[tuple[int, int]]
) -> None:
    def seen(source: str, pairs: list[tuple[int, int]]) -> Detections:
        def at(t: int) -> list[tuple[int, float, tuple[float, ...]]]:
            places = [x for when, x in pairs if when == t]
            return [(int(Kind.PEDESTRIAN), 0.13, (100.0 * x, 0.0, 100.0 * x + 40, 100.0)) for x in places]

        return looks("front", source, [(t, at(t)) for t in range(4)])

    one, other = seen(f"{INT8}@1", mine), seen(f"{OTHER}@1", theirs)
    rows = counted(one, [one, other], Shows.HEAD, STANDARD)
    expected = [at for at, pair in enumerate(sorted(mine, key=lambda pair: pair[0])) if pair in theirs]
    assert rows.tolist() == expected
