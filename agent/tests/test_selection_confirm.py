"""The second look, by boxes by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.firing import Evidence, Firing
from fsd_agent.rules.selection.confirm import (
    FRESH_NS,
    LEAST,
    LOOKS,
    REACH_NS,
    UNKNOWN,
    Scores,
    Verdict,
    claims,
    claims_persons,
    look_times,
    scores_of,
    second_look,
    supports,
)
from fsd_agent.testing.streams import looks
from fsd_firmware.samples import Detections, Kind

MS = 1_000_000
AT = 10_000 * MS
WIDTHS = {"front": 1280}
NANODET, FASTESTDET = "nanodet-m-416-int8@1", "fastestdet-352@1"
PERSON = (600.0, 300.0, 640.0, 420.0)
ELSEWHERE = (100.0, 300.0, 140.0, 420.0)
Box = tuple[float, float, float, float]
Row = tuple[int, float, Sequence[float]]


def fired(**evidence: float | str) -> Firing:
    named: Evidence = tuple((f"detections.{kind}", count) for kind, count in evidence.items())
    return Firing("walker", 1, AT, named)


def shifted(box: Box, x: float) -> Box:
    return box[0] + x, box[1], box[2] + x, box[3]


def saw(
    *boxes: Box | None,
    source: str = "firmware",
    kind: Kind = Kind.PEDESTRIAN,
    score: float = 0.9,
    every: int = 100,
) -> Detections:
    """One look each ``every`` ms, the middle one at the firing."""
    first = AT - len(boxes) // 2 * every * MS
    frames: list[tuple[int, list[Row]]] = [
        (first + at * every * MS, [] if box is None else [(int(kind), score, box)])
        for at, box in enumerate(boxes)
    ]
    return looks("front", source, frames)


def again(
    *boxes: Box | None, source: str = NANODET, score: float = 0.9, kind: Kind = Kind.PEDESTRIAN
) -> Detections:
    return saw(*boxes, source=source, score=score, kind=kind, every=200)


def judged(first: Detections, *second: Detections, blind: frozenset[str] = frozenset()) -> Verdict:
    return second_look(claims(fired(pedestrian=1.0), [first]), second, WIDTHS, blind)


STEADILY = (PERSON,) * 11
NEVER = (None,) * LOOKS


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"pedestrian": 1.0}, True),
        ({"cyclist": 2.0}, True),
        ({"pedestrian": 0.0, "cyclist": 1.0}, True),
        ({"pedestrian": 0.0}, False),
        ({"pedestrian": "1"}, False),
        ({"car": 3.0}, False),
        ({}, False),
    ],
)
def test_only_what_fired_on_persons_in_view_is_asked(
    evidence: dict[str, float | str], expected: bool
) -> None:
    assert claims_persons(fired(**evidence)) is expected
    assert not claims_persons(Firing("walker", 1, AT, (("Vehicle.Speed", 3.0),)))


def test_somebody_who_is_seen_again_is_confirmed() -> None:
    assert judged(saw(*STEADILY), again(*(PERSON,) * LOOKS)) is Verdict.CONFIRMED
    assert judged(saw(*STEADILY), again(*(PERSON,) * LOOKS, kind=Kind.CYCLIST)) is Verdict.CONFIRMED


def test_somebody_whom_no_look_finds_is_a_false_hit() -> None:
    assert judged(saw(*STEADILY), again(*NEVER)) is Verdict.FALSE_HIT
    assert judged(saw(*STEADILY), again(*(ELSEWHERE,) * LOOKS)) is Verdict.FALSE_HIT
    assert judged(saw(*STEADILY), again(*(PERSON,) * LOOKS, kind=Kind.CAR)) is Verdict.FALSE_HIT


@pytest.mark.parametrize("source", [NANODET, FASTESTDET, "other@1"])
def test_a_weak_box_in_one_look_is_doubt_and_a_weaker_one_is_silence(source: str) -> None:
    weak = scores_of(source).weak
    once = (None,) * 3 + (PERSON,) + (None,) * 3
    large = (600.0, 200.0, 700.0, 500.0)
    steadily = (large,) * 11
    once = tuple(None if box is None else large for box in once)
    assert judged(saw(*steadily), again(*once, source=source, score=weak)) is Verdict.CANT_TELL
    assert judged(saw(*steadily), again(*once, source=source, score=weak - 0.01)) is Verdict.FALSE_HIT
    assert judged(saw(*steadily), again(*once, source=source, score=float("nan"))) is Verdict.CANT_TELL


def test_being_sure_in_half_of_the_looks_confirms_and_in_fewer_does_not() -> None:
    sure = scores_of(NANODET).sure
    for count, expected in ((4, Verdict.CONFIRMED), (3, Verdict.CANT_TELL)):
        boxes = (PERSON,) * count + (None,) * (LOOKS - count)
        assert judged(saw(*STEADILY), again(*boxes, score=sure)) is expected
    assert judged(saw(*STEADILY), again(*(PERSON,) * LOOKS, score=sure - 0.01)) is Verdict.CANT_TELL


@pytest.mark.parametrize("source", [NANODET, FASTESTDET, "other@1"])
def test_nothing_is_concluded_of_who_is_too_small_to_be_seen(source: str) -> None:
    tall = scores_of(source).tall * WIDTHS["front"]
    for height, expected in ((tall + 1, Verdict.FALSE_HIT), (tall - 1, Verdict.CANT_TELL)):
        box = (600.0, 300.0, 600.0 + height / 3, 300.0 + height)
        assert judged(saw(*(box,) * 11), again(*NEVER, source=source)) is expected


def test_of_two_models_the_better_one_says_who_is_too_small() -> None:
    both = again(*NEVER), again(*NEVER, source=FASTESTDET)
    assert judged(saw(*STEADILY), both[1]) is Verdict.FALSE_HIT
    small = (600.0, 300.0, 620.0, 350.0)
    assert judged(saw(*(small,) * 11), both[1]) is Verdict.CANT_TELL
    assert judged(saw(*(small,) * 11), *both) is Verdict.FALSE_HIT


def test_any_model_that_sees_somebody_is_doubt() -> None:
    seen = again(None, PERSON, *(None,) * 5, source=FASTESTDET, score=0.4)
    assert judged(saw(*STEADILY), again(*NEVER), seen) is Verdict.CANT_TELL
    assert judged(saw(*STEADILY), seen, again(*NEVER)) is Verdict.CANT_TELL


def test_few_looks_a_dark_camera_or_an_unknown_one_tell_nothing() -> None:
    first = saw(*STEADILY)
    assert judged(first, again(*(None,) * LEAST)) is Verdict.FALSE_HIT
    assert judged(first, again(*(None,) * (LEAST - 1))) is Verdict.CANT_TELL
    assert judged(first, again(*NEVER), again(*(None,) * (LEAST - 1), source=FASTESTDET)) is Verdict.CANT_TELL
    assert judged(first) is Verdict.CANT_TELL
    assert judged(first, again(*NEVER), blind=frozenset({"front"})) is Verdict.CANT_TELL
    assert judged(first, again(*NEVER), blind=frozenset({"rear"})) is Verdict.FALSE_HIT
    found = claims(fired(pedestrian=1.0), [first])
    assert second_look(found, [again(*NEVER)], {}) is Verdict.CANT_TELL
    rear = replace(again(*(PERSON,) * LOOKS), camera="rear")
    assert second_look(found, [rear], WIDTHS) is Verdict.CANT_TELL


def test_a_dark_camera_can_still_confirm() -> None:
    assert judged(saw(*STEADILY), again(*(PERSON,) * LOOKS), blind=frozenset({"front"})) is Verdict.CONFIRMED


def test_what_the_same_model_saw_once_is_noise_and_what_it_sees_again_is_not() -> None:
    first = saw(*(None,) * 5, PERSON, *(None,) * 5, source=NANODET)
    once, twice = (None, PERSON, *(None,) * 5), (None, PERSON, PERSON, *(None,) * 4)
    assert judged(first, again(*once)) is Verdict.FALSE_HIT
    assert judged(first, again(*twice)) is Verdict.CANT_TELL
    assert judged(first, again(*(PERSON,) * LOOKS)) is Verdict.CANT_TELL
    assert judged(first, again(*once), again(*NEVER, source=FASTESTDET)) is Verdict.FALSE_HIT
    assert judged(first, again(*twice), again(*NEVER, source=FASTESTDET)) is Verdict.CANT_TELL


def test_one_who_is_confirmed_is_enough_and_all_have_to_be_false() -> None:
    rows: list[Row] = [(int(Kind.PEDESTRIAN), 0.9, PERSON), (int(Kind.PEDESTRIAN), 0.9, ELSEWHERE)]
    first = looks("front", "firmware", [(AT, rows)])
    assert len(claims(fired(pedestrian=2.0), [first])) == 2
    assert judged(first, again(*(PERSON,) * LOOKS)) is Verdict.CONFIRMED
    assert judged(first, again(PERSON, *(None,) * 6)) is Verdict.CANT_TELL
    assert judged(first, again(*NEVER)) is Verdict.FALSE_HIT
    assert second_look((), [again(*NEVER)], WIDTHS) is Verdict.CANT_TELL


def test_a_claim_is_of_the_newest_look_if_that_is_fresh() -> None:
    def seen(t_ns: int) -> list[Detections]:
        return [looks("front", "firmware", [(t_ns, [(int(Kind.PEDESTRIAN), 0.9, PERSON)])])]

    assert len(claims(fired(), seen(AT))) == 1
    assert len(claims(fired(), seen(AT - FRESH_NS))) == 1
    assert claims(fired(), seen(AT - FRESH_NS - 1)) == ()
    assert claims(fired(), seen(AT + 1)) == ()
    (claim,) = claims(fired(), [saw(None, PERSON, None)])
    assert (claim.height, claim.t_ns.tolist()) == (120.0, [AT])
    assert claims(fired(), [saw(PERSON, None, PERSON)]) == ()
    assert claims(fired(), [saw(PERSON, kind=Kind.CAR)]) == ()


def test_a_claim_is_followed_by_overlap_both_ways_and_no_further_than_it_is_found() -> None:
    moving = [shifted(PERSON, 20.0 * at) for at in range(7)]
    (claim,) = claims(fired(), [saw(*moving)])
    assert claim.box[:, 0].tolist() == [600.0 + 20 * at for at in range(7)]
    (claim,) = claims(fired(), [saw(moving[0], None, moving[2], moving[3], moving[4], ELSEWHERE, moving[6])])
    assert claim.box[:, 0].tolist() == [640.0, 660.0, 680.0]
    assert claim.t_ns.tolist() == [AT - 100 * MS, AT, AT + 100 * MS]


def test_a_claim_is_followed_by_its_track_first() -> None:
    rows: list[list[Row]] = [
        [(int(Kind.PEDESTRIAN), 0.9, PERSON)],
        [(int(Kind.PEDESTRIAN), 0.9, PERSON), (int(Kind.PEDESTRIAN), 0.9, ELSEWHERE)],
    ]
    seen = looks("front", "firmware", [(AT, rows[0]), (AT + 100 * MS, rows[1])])
    tracked = replace(seen, track_id=np.array([7, 3, 7], np.int32))
    assert claims(fired(), [seen])[0].box[1].tolist() == list(PERSON)
    assert claims(fired(), [tracked])[0].box[1].tolist() == list(ELSEWHERE)


def test_a_claim_is_not_followed_over_a_long_pause() -> None:
    seen = saw(PERSON, PERSON, PERSON, every=FRESH_NS // MS)
    assert claims(fired(), [seen])[0].t_ns.shape == (3,)
    assert claims(fired(), [saw(PERSON, PERSON, PERSON, every=FRESH_NS // MS + 1)])[0].t_ns.shape == (1,)


@pytest.mark.parametrize(
    ("box", "away_ms", "expected"),
    [
        (PERSON, 0, True),
        (shifted(PERSON, 25.0), 0, True),
        (shifted(PERSON, 30.0), 0, False),
        (shifted(PERSON, 30.0), 100, False),
        (shifted(PERSON, 30.0), 101, True),
        (shifted(PERSON, 120.0), 500, True),
        (shifted(PERSON, 160.0), 500, False),
        (shifted(PERSON, 235.0), 1000, True),
        (shifted(PERSON, 250.0), 9000, False),
        ((610.0, 200.0, 700.0, 445.0), 500, False),
        ((650.0, 360.0, 660.0, 410.0), 500, False),
        ((650.0, 340.0, 670.0, 401.0), 500, True),
    ],
)
def test_who_is_in_a_claims_place(box: Box, away_ms: int, expected: bool) -> None:
    claim = claims(fired(), [saw(PERSON)])[0]
    seen = looks("front", NANODET, [(AT + away_ms * MS, [(int(Kind.PEDESTRIAN), 0.9, box)])])
    assert supports(claim, seen, 0.1).tolist() == [expected]


def test_looks_are_spread_around_the_firing() -> None:
    frames = np.arange(0, 20_000, 50, np.int64) * MS
    times = look_times(AT, frames)
    assert len(times) == LOOKS
    assert (times[0], times[LOOKS // 2], times[-1]) == (AT - REACH_NS, AT, AT + REACH_NS)
    assert look_times(AT, frames[frames < AT - REACH_NS]) == ()
    assert look_times(AT, np.array([AT, AT + 5 * MS], np.int64)) == (AT, AT + 5 * MS)


@given(st.lists(st.integers(0, 3_000), unique=True).map(sorted), st.integers(0, 3_000))
def test_looks_are_some_of_the_pictures_within_reach(frames: list[int], at: int) -> None:
    t_ns = np.array(frames, np.int64) * MS
    times = look_times(at * MS, t_ns)
    near = [one for one in t_ns.tolist() if abs(one - at * MS) <= REACH_NS]
    assert list(times) == sorted(set(times))
    assert set(times) <= set(near)
    assert len(times) == min(LOOKS, len(near))


BOXES = st.tuples(*[st.floats(0, 1200)] * 2, st.floats(5, 80), st.floats(40, 300)).map(
    lambda at: (at[0], at[1], at[0] + at[2], at[1] + at[3])
)


@given(
    st.lists(BOXES, min_size=1, max_size=4),
    st.lists(st.lists(st.tuples(BOXES, st.floats(0, 1)), max_size=4), min_size=LOOKS, max_size=LOOKS),
)
def test_more_boxes_in_the_second_look_make_no_false_hit_and_their_order_does_not_matter(
    first: list[Box], second: list[list[tuple[Box, float]]]
) -> None:
    claimed = looks("front", "firmware", [(AT, [(int(Kind.PEDESTRIAN), 0.9, box) for box in first])])

    def verdict(seen: list[list[tuple[Box, float]]]) -> Verdict:
        frames = [
            (AT + (at - 3) * 200 * MS, [(int(Kind.CYCLIST), score, box) for box, score in boxes])
            for at, boxes in enumerate(seen)
        ]
        return judged(claimed, looks("front", NANODET, frames))

    found = verdict(second)
    assert verdict([list(reversed(boxes)) for boxes in second]) is found
    fewer = verdict([boxes[:-1] for boxes in second])
    assert found is not Verdict.FALSE_HIT or fewer is Verdict.FALSE_HIT


def test_scores_are_by_model_and_cautious_of_an_unknown_one() -> None:
    assert scores_of("nanodet-m-416@7") == scores_of(NANODET) == Scores(0.08, 0.25, 1 / 30)
    assert scores_of(FASTESTDET) == Scores(0.3, 0.5, 1 / 12)
    assert scores_of("nanodet") is UNKNOWN
