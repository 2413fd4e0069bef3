"""What is painted when: held over neighbours, swept between looks, united over sources; else refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.location import coarse, locate, may_leave
from fsd_agent.rules.privacy.plan import (
    FRAMES_AT_ONCE,
    RedactionPlan,
    Refused,
    persons_claimed,
    plan_redaction,
)
from fsd_agent.rules.privacy.zones import SHAPES, head_zones, to_pixels
from fsd_agent.testing.streams import looks
from fsd_firmware.samples import Detections, GnssFixes, Kind

RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 30, 100, LocationRule.DROP, 0.1)
SHAPE = SHAPES[Strictness.STANDARD]
FRAMES = np.arange(0, 200, 10, dtype=np.int64)
PERSON = (100.0, 100.0, 140.0, 200.0)
NOTHING: list[tuple[int, float, tuple[float, ...]]] = []


def planned(
    *detections: Detections, rules: RedactionRules = RULES, frames: np.ndarray = FRAMES
) -> RedactionPlan:
    plan = plan_redaction(rules, detections, frames, 640, 480)
    assert isinstance(plan, RedactionPlan), plan
    return plan


def refused(*detections: Detections, rules: RedactionRules = RULES) -> Refused:
    plan = plan_redaction(rules, detections, FRAMES, 640, 480)
    assert isinstance(plan, Refused)
    return plan


def person(
    t_ns: int, x: float = 0, *, score: float = 0.9, kind: Kind = Kind.PEDESTRIAN
) -> tuple[int, list[tuple[int, float, tuple[float, ...]]]]:
    x1, y1, x2, y2 = PERSON
    return t_ns, [(int(kind), score, (x1 + x, y1, x2 + x, y2))]


def every(step: int, *seen: tuple[int, list[tuple[int, float, tuple[float, ...]]]]) -> Detections:
    """Looks at every ``step``, empty except for ``seen``."""
    by_time = dict(seen)
    return looks("front", "firmware", [(t, by_time.get(t, NOTHING)) for t in range(0, 200, step)])


def painted_times(plan: RedactionPlan) -> list[int]:
    return [int(t) for at, t in enumerate(FRAMES) if plan.at(at).shape[0]]


def test_a_box_is_held_before_and_after_its_look() -> None:
    plan = planned(every(10, person(100)))
    assert painted_times(plan) == [70, 80, 90, 100, 110, 120, 130]
    zone = to_pixels(head_zones(np.array([PERSON], np.float32), SHAPE), 640, 480)
    assert plan.at(10).tolist() == zone.tolist() == [[94, 88, 146, 128]]
    assert plan.persons == 1
    assert plan.filled_px == 7 * 52 * 40


def test_between_sparse_looks_it_is_held_to_the_neighbours() -> None:
    assert painted_times(planned(every(60, person(60)))) == list(range(0, 130, 10))


def test_before_the_first_and_after_the_last_look_it_is_held_too() -> None:
    seen = looks("front", "firmware", [person(40), (120, NOTHING), person(180)])
    assert painted_times(planned(seen)) == FRAMES.tolist()


def test_what_moves_between_looks_is_covered_on_its_way() -> None:
    plan = planned(every(60, person(60), person(120, 20.0)))
    middle = plan.at(9)
    assert [94, 88, 166, 128] in middle.tolist()
    assert [94, 88, 166, 128] not in plan.at(0).tolist()


def test_a_track_is_followed_where_boxes_do_not_overlap() -> None:
    seen = every(60, person(60), person(120, 300.0))
    assert [94, 88, 446, 128] not in planned(seen).at(9).tolist()
    tracked = replace(seen, track_id=np.array([5, 5], np.int32))
    assert [94, 88, 446, 128] in planned(tracked).at(9).tolist()


def test_sources_are_united() -> None:
    firmware = every(60, person(60))
    model = replace(every(30, person(150, 200.0)), source="nanodet@1")
    plan = planned(firmware, model)
    both = {tuple(box) for at in range(len(FRAMES)) for box in plan.at(at).tolist()}
    assert {(94, 88, 146, 128), (294, 88, 346, 128)} <= both


def test_weak_boxes_are_not_painted_and_scores_that_are_no_number_are() -> None:
    assert painted_times(planned(every(10, person(100, score=0.14)))) == []
    assert painted_times(planned(every(10, person(100, score=float("nan"))))) != []


def test_each_rule_paints_its_own_zones() -> None:
    seen = every(10, (100, [(int(Kind.PEDESTRIAN), 0.9, PERSON), (int(Kind.CAR), 0.9, (300, 100, 400, 200))]))
    heads = planned(seen, rules=replace(RULES, plates=PlateRule.NONE)).at(10).tolist()
    plates = planned(seen, rules=replace(RULES, faces=FaceRule.NONE)).at(10).tolist()
    assert heads == [[94, 88, 146, 128]]
    assert plates == [[296, 148, 404, 204]]
    assert planned(seen).at(10).tolist() == heads + plates
    nothing = replace(RULES, faces=FaceRule.NONE, plates=PlateRule.NONE)
    assert painted_times(planned(rules=nothing)) == []


NAN_BOX = every(10, (100, [(int(Kind.ANIMAL), 0.9, (0.0, 0.0, float("nan"), 1.0))]))


@pytest.mark.parametrize(
    ("detections", "rules", "reason", "detail"),
    [
        ((), RULES, DropReason.REDACTION_NOT_LOOKED, "no source looked at any of 20 frames"),
        (
            (looks("front", "firmware", [(-500, NOTHING), (900, NOTHING)]),),
            RULES,
            DropReason.REDACTION_NOT_LOOKED,
            "no source looked at any",
        ),
        (
            (looks("front", "firmware", [(0, NOTHING), (90, NOTHING)]),),
            replace(RULES, max_gap_ns=99),
            DropReason.REDACTION_NOT_LOOKED,
            "no look for 0.000 s from",
        ),
        (
            (looks("front", "firmware", [(101, NOTHING), (190, NOTHING)]),),
            RULES,
            DropReason.REDACTION_NOT_LOOKED,
            "from 0.000 s on",
        ),
        (
            (every(10),),
            replace(RULES, faces="blur"),  # type: ignore[arg-type]  # what a newer policy might hold
            DropReason.REDACTION_UNKNOWN_RULE,
            "faces: blur",
        ),
        (
            (every(10),),
            replace(RULES, plates="blur"),  # type: ignore[arg-type]  # what a newer policy might hold
            DropReason.REDACTION_UNKNOWN_RULE,
            "plates: blur",
        ),
        (
            (every(10),),
            replace(RULES, strictness="blur"),
            DropReason.REDACTION_UNKNOWN_RULE,
            "strictness: blur",
        ),
        (
            (every(10),),
            replace(RULES, faces=FaceRule.NONE, plates=PlateRule.NONE, strictness="blur"),
            DropReason.REDACTION_UNKNOWN_RULE,
            "strictness: blur",
        ),
        (
            (every(10),),
            replace(RULES, fill="blur"),
            DropReason.REDACTION_UNKNOWN_RULE,
            "fill: blur",
        ),
        ((NAN_BOX,), RULES, DropReason.REDACTION_FAILED, "not finite"),
    ],
)
def test_what_can_not_be_done_is_refused(
    detections: tuple[Detections, ...], rules: RedactionRules, reason: DropReason, detail: str
) -> None:
    got = refused(*detections, rules=rules)
    assert got.reason == reason
    assert detail in got.detail


def test_a_gap_that_one_source_fills_is_no_gap() -> None:
    ends = looks("front", "firmware", [(0, NOTHING), (190, NOTHING)])
    assert refused(ends).reason == DropReason.REDACTION_NOT_LOOKED
    assert painted_times(planned(ends, looks("front", "nanodet@1", [(95, NOTHING)]))) == []


@settings(max_examples=40, deadline=None)
@given(
    times=st.sets(st.integers(0, 190), min_size=2, max_size=12).filter(
        lambda t: max(np.diff([0, *sorted(t), 190])) <= 100
    ),
    xs=st.lists(st.floats(0, 400), min_size=12, max_size=12),
)
def test_every_look_is_covered_at_its_own_frame_and_its_neighbours(times: set[int], xs: list[float]) -> None:
    at = sorted(times)
    plan = planned(looks("front", "firmware", [person(t, x) for t, x in zip(at, xs, strict=False)]))
    for frame, t_ns in enumerate(FRAMES):
        before = [i for i, t in enumerate(at) if t <= t_ns][-1:]
        after = [i for i, t in enumerate(at) if t >= t_ns][:1]
        near = [i for i, t in enumerate(at) if abs(t - t_ns) <= 30]
        boxes = plan.at(frame).tolist()
        for i in {*before, *after, *near}:
            x = xs[i]
            x1, y1, x2, y2 = to_pixels(
                head_zones(np.array([[100 + x, 100, 140 + x, 200]], np.float32), SHAPE), 640, 480
            )[0]
            assert any(a <= x1 and b <= y1 and c >= x2 and d >= y2 for a, b, c, d in boxes)


def test_evidence_tells_whether_persons_were_seen() -> None:
    def firing(*evidence: tuple[str, float | str]) -> JudgedFiring:
        return JudgedFiring("f", Firing("c", 1, 0, evidence), 0, "0" * 32, None)

    assert persons_claimed([firing(("Vehicle.Speed", 3.0)), firing(("detections.cyclist", 1.0))])
    assert not persons_claimed([firing(("detections.pedestrian", 0.0), ("detections.car", 4.0))])


FIXES = GnssFixes(
    np.array([5, 6]),
    np.array([31.2304, 31.31]),
    np.array([-121.4737, -121.5]),
    *(np.array([4.0, 5.0]) for _ in range(3)),
)


def test_a_coarse_position_is_one_cell_for_the_whole_clip() -> None:
    fixes = coarse(FIXES, 0.1)
    assert fixes.t_ns.tolist() == [5]
    np.testing.assert_allclose([fixes.lat_deg[0], fixes.lon_deg[0]], [31.25, -121.45])
    assert np.isnan([fixes.alt_m[0], fixes.speed_mps[0], fixes.heading_deg[0]]).all()
    assert len(coarse(replace_fixes(0), 0.1)) == 0


def replace_fixes(n: int) -> GnssFixes:
    return GnssFixes(
        *(
            getattr(FIXES, name)[:n]
            for name in ("t_ns", "lat_deg", "lon_deg", "alt_m", "speed_mps", "heading_deg")
        )
    )


def test_each_location_rule_says_what_it_did() -> None:
    drop, coarse_rule, keep = (replace(RULES, location=rule) for rule in LocationRule)
    assert [
        len(located[0])
        for located in (locate(r, FIXES) for r in (drop, coarse_rule, keep))
        if not isinstance(located, Refused)
    ] == [0, 1, 2]
    assert [
        located[1]
        for located in (locate(r, FIXES) for r in (drop, coarse_rule, keep))
        if not isinstance(located, Refused)
    ] == ["dropped", "coarse:0.1", "kept"]


@pytest.mark.parametrize(
    "rules",
    [
        replace(RULES, location="fuzzy"),  # type: ignore[arg-type]  # what a newer policy might hold
        replace(RULES, location=LocationRule.COARSE, location_grid_deg=0.0),
        replace(RULES, location=LocationRule.COARSE, location_grid_deg=float("nan")),
    ],
)
def test_an_unknown_location_rule_is_refused(rules: RedactionRules) -> None:
    located = locate(rules, FIXES)
    assert isinstance(located, Refused)
    assert located.reason == DropReason.REDACTION_UNKNOWN_RULE


@pytest.mark.parametrize(
    ("path", "dropped", "kept"),
    [
        ("Vehicle.Speed", True, True),
        ("Vehicle.CurrentLocation.Latitude", False, True),
        ("Vehicle.CurrentLocation.Heading", False, True),
        ("Vehicle.Cabin.Infotainment.Navigation.DestinationSet.Longitude", False, True),
        ("Vehicle.VehicleIdentification.VIN", False, False),
    ],
)
def test_signals_that_carry_a_position_or_the_identity_stay(path: str, dropped: bool, kept: bool) -> None:
    assert may_leave(RULES, path) is dropped
    assert may_leave(replace(RULES, location=LocationRule.KEEP), path) is kept


def test_a_pause_of_the_camera_is_no_stretch_that_nobody_looked_at() -> None:
    """Frames before and after it were looked at; in between there is nothing that could show anyone."""
    frames = np.array([0, 10, 20, 30, 500, 510, 520], np.int64)
    seen = looks("front", "firmware", [(t, NOTHING) for t in frames.tolist()])
    assert planned(seen, frames=frames).boxes.shape[0] == 0
    missing_one = looks("front", "firmware", [(t, NOTHING) for t in (0, 10, 20, 500, 510, 520)])
    unsure = plan_redaction(RULES, [missing_one], frames, 640, 480)
    assert isinstance(unsure, Refused)
    assert unsure.reason == DropReason.REDACTION_NOT_LOOKED


@pytest.mark.parametrize("looked_at", [(100, 190), (0, 90), (0, 100, 101)])
def test_a_clip_s_ends_must_be_near_a_look_too(looked_at: tuple[int, ...]) -> None:
    rules = replace(RULES, max_gap_ns=95)
    plan = plan_redaction(
        rules, [looks("front", "firmware", [(t, NOTHING) for t in looked_at])], FRAMES, 640, 480
    )
    assert isinstance(plan, Refused)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_fix_without_a_position_is_passed_over_where_positions_are_coarse(bad: float) -> None:
    other = np.zeros(3)
    fixes = GnssFixes(
        np.arange(3), np.array([bad, 48.12, 48.2]), np.array([11.0, 11.58, 11.6]), other, other, other
    )
    (lat,), (lon,) = coarse(fixes, 0.1).lat_deg, coarse(fixes, 0.1).lon_deg
    assert (lat, lon) == (pytest.approx(48.15), pytest.approx(11.55))
    assert coarse(fixes, 0.1).t_ns.tolist() == [1]
    nowhere = GnssFixes(np.arange(1), np.array([bad]), np.array([11.0]), *(np.zeros(1) for _ in range(3)))
    assert not len(coarse(nowhere, 0.1))


def test_signals_that_name_a_person_never_leave() -> None:
    keep = replace(RULES, location=LocationRule.KEEP)
    for path in ("Vehicle.Driver.Identifier.Subject", "Vehicle.Occupant.Row1.DriverSide.Identifier.Issuer"):
        assert not may_leave(keep, path)
    assert may_leave(keep, "Vehicle.Driver.HeartRate")


MODEL, PARTNER = "nanodet-m-416-int8@1", "fastestdet-352@1"
NO_HOLD = replace(RULES, hold_ns=0, max_gap_ns=40)


def by_model(
    *seen: tuple[int, list[tuple[int, float, tuple[float, ...]]]], source: str = MODEL
) -> Detections:
    return looks("front", source, list(seen))


def planned_again(
    first: Sequence[Detections], again: Sequence[Detections], rules: RedactionRules = NO_HOLD
) -> RedactionPlan:
    plan = plan_redaction(rules, first, FRAMES, 640, 480, again=again)
    assert isinstance(plan, RedactionPlan), plan
    return plan


def models_at(step: int, *seen: tuple[int, list[tuple[int, float, tuple[float, ...]]]]) -> list[Detections]:
    by_time = dict(seen)
    times = range(0, 200, step)
    return [
        by_model(*((t, by_time.get(t, NOTHING)) for t in times)),
        by_model(*((t, NOTHING) for t in times), source=PARTNER),
    ]


def test_looks_at_a_stretch_again_count_from_lower_scores_and_add_to_what_was_seen() -> None:
    weak = person(100, score=0.13)
    first = models_at(10, person(20))
    assert painted_times(planned_again(models_at(10, person(20), weak), ())) == [10, 20, 30]
    again = [
        by_model((90, NOTHING), weak, (110, NOTHING)),
        by_model(*((t, NOTHING) for t in (90, 100, 110)), source=PARTNER),
    ]
    plan = planned_again(first, again)
    assert {10, 20, 30, 90, 100, 110} <= set(painted_times(plan))
    assert plan.persons == 2
    assert planned_again(first, ()).persons == 1


def test_a_gap_that_a_second_look_leaves_is_painted_around_both_ends() -> None:
    """Seen at 40 and, further right, at 120; looked at in between, first and again, without anything."""
    first = models_at(40, person(40), person(120, 20))
    times = range(50, 120, 10)
    again = [by_model(*((t, NOTHING) for t in times), source=one) for one in (MODEL, PARTNER)]
    plan = planned_again(first, again)
    heads = head_zones(np.array([PERSON, (120.0, 100.0, 160.0, 200.0)], np.float32), SHAPE)
    around = to_pixels(np.concatenate([heads[:, :2].min(axis=0), heads[:, 2:].max(axis=0)])[None], 640, 480)
    for at in range(4, 13):
        assert plan.at(at).tolist() == around.tolist()
    assert not plan.at(17).size
    alone = planned_again(first, ())
    assert all(alone.at(at).tolist() != around.tolist() for at in range(4, 13))


def around(*boxes: tuple[float, ...]) -> list[list[int]]:
    """The rectangle around the heads of all of them."""
    heads = head_zones(np.array(boxes, np.float32), SHAPE)
    zone = np.concatenate([heads[:, :2].min(axis=0), heads[:, 2:].max(axis=0)])[None]
    return [[int(side) for side in box] for box in to_pixels(zone, 640, 480)]


ASIDE = (128.0, 155.0, 168.0, 255.0)
"""Too far for one box that moved, and near enough for one track."""


def test_what_any_look_missed_between_two_sightings_is_a_gap_and_nothing_else_is() -> None:
    nobody = [by_model((0, NOTHING), source=one) for one in (MODEL, PARTNER)]
    here, there = person(40), (80, [(int(Kind.PEDESTRIAN), 0.9, ASIDE)])
    first = models_at(40, here, there)
    assert planned_again(first, nobody).boxes.tolist() == planned_again(first, ()).boxes.tolist()
    looked = [by_model((60, NOTHING), source=one) for one in (MODEL, PARTNER)]
    assert all(
        planned_again(first, looked).at(at).tolist() == around(PERSON, ASIDE) for at in (4, 5, 6, 7, 8)
    )
    # A look of the first ones is enough too
    later = models_at(40, here, person(120, 20))
    moved = (120.0, 100.0, 160.0, 200.0)
    assert all(planned_again(later, nobody).at(at).tolist() == around(PERSON, moved) for at in range(4, 13))


def test_two_who_look_at_one_time_leave_no_gap_beside_it() -> None:
    frames = np.arange(0, 90, 10, dtype=np.int64)
    first = [
        by_model((0, NOTHING), person(40)),
        by_model((40, NOTHING), (80, [(int(Kind.PEDESTRIAN), 0.9, ASIDE)]), source=PARTNER),
    ]
    plans = [
        plan_redaction(NO_HOLD, first, frames, 640, 480, again=again)
        for again in ((), [by_model((80, NOTHING))])
    ]
    one, other = (plan.boxes.tolist() for plan in plans if isinstance(plan, RedactionPlan))
    assert one == other


def test_a_gap_of_a_longer_track_is_painted_from_its_own_end_to_its_own() -> None:
    first = models_at(40, person(0), person(40), person(120, 20), person(160, 20))
    times = range(50, 120, 10)
    again = [by_model(*((t, NOTHING) for t in times), source=one) for one in (MODEL, PARTNER)]
    moved, plan = (120.0, 100.0, 160.0, 200.0), planned_again(first, again)
    assert [plan.at(at).tolist() == around(PERSON, moved) for at in range(20)] == [
        4 <= at <= 12 for at in range(20)
    ]


def test_a_gap_is_not_painted_where_faces_may_stay_or_nobody_looked_in_it() -> None:
    first = models_at(40, person(40), person(120, 20))
    again = [by_model((0, NOTHING), source=one) for one in (MODEL, PARTNER)]
    faces_stay = replace(NO_HOLD, faces=FaceRule.NONE)
    assert painted_times(planned_again(first, again, faces_stay)) == []
    side_by_side = models_at(40, person(40), person(80, 20))
    assert painted_times(planned_again(side_by_side, again)) == painted_times(planned_again(side_by_side, ()))


def test_a_box_of_a_second_look_that_is_no_number_is_refused() -> None:
    bad = by_model((0, [(int(Kind.PEDESTRIAN), 0.9, (0.0, 0.0, float("nan"), 1.0))]))
    plan = plan_redaction(RULES, models_at(10), FRAMES, 640, 480, again=[bad])
    assert isinstance(plan, Refused)
    assert plan.reason == DropReason.REDACTION_FAILED


@pytest.mark.parametrize(("hold_ns", "max_gap_ns", "step"), [(60, 20, 20), (0, 60, 60), (60, 60, 10)])
@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_boxes_reach_as_far_whatever_is_planned_at_once(
    hold_ns: int, max_gap_ns: int, step: int, at_once: int
) -> None:
    rules = replace(RULES, hold_ns=hold_ns, max_gap_ns=max_gap_ns)
    seen = every(step, person(120))
    plan = plan_redaction(rules, [seen], FRAMES, 640, 480, frames_at_once=at_once)
    assert isinstance(plan, RedactionPlan)
    assert painted_times(plan) == list(range(60, 190, 10))


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_what_is_looked_at_again_is_painted_whatever_is_planned_at_once(at_once: int) -> None:
    """A second look that only two frames know of, and a gap over more than are planned at once."""
    first = models_at(40, person(40), person(120, 20))
    again = [by_model((60, NOTHING), person(70, 100), (80, NOTHING)), by_model((70, NOTHING), source=PARTNER)]
    whole = planned_again(first, again)
    plan = plan_redaction(NO_HOLD, first, FRAMES, 640, 480, again=again, frames_at_once=at_once)
    assert isinstance(plan, RedactionPlan)
    assert plan.first.tolist() == whole.first.tolist()
    assert plan.boxes.tolist() == whole.boxes.tolist()
    assert (plan.filled_px, plan.persons) == (whole.filled_px, whole.persons)
    assert any(box[0] > 150 for box in plan.at(7).tolist())


def test_a_long_clip_is_planned_in_the_memory_of_a_short_one_and_its_rectangles() -> None:
    def taken(frames: int) -> int:
        at = np.arange(0, 10 * frames, 10, dtype=np.int64)
        cars = [(int(Kind.CAR), 0.9, (80.0 * x, 100.0, 80.0 * x + 40, 200.0)) for x in range(8)]
        seen = [by_model(*((t, cars) for t in at.tolist()), source=one) for one in (MODEL, PARTNER)]
        tracemalloc.start()
        try:
            plan = plan_redaction(RULES, seen, at, 640, 480, frames_at_once=64)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert isinstance(plan, RedactionPlan)
        return peak - 3 * plan.boxes.nbytes  # in pieces and together

    taken(1)  # what is loaded once
    assert taken(800) < 1.3 * taken(250)
    assert FRAMES_AT_ONCE <= 512
