"""Where each rule of privacy turns: thresholds, the last frame that is painted, the last gap that is allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules, Strictness
from fsd_agent.rules.privacy.location import coarse, locate, may_leave
from fsd_agent.rules.privacy.plan import (
    RedactionPlan,
    Refused,
    paints_video,
    persons_claimed,
    plan_redaction,
)
from fsd_agent.rules.privacy.strokes import SAME_BOX_IOU
from fsd_agent.rules.privacy.zones import (
    RIDER_ABOVE,
    RIDER_BELOW,
    SHAPES,
    Shape,
    head_zones,
    plate_bands,
    to_pixels,
    union_area,
    without_covered,
)
from fsd_agent.testing.streams import looks
from fsd_firmware.samples import Detections, GnssFixes, Kind

# Zones.


def test_the_measured_shares_are_these() -> None:
    standard, strict = Strictness.STANDARD, Strictness.STRICT
    assert {
        standard: Shape(0.28, 0.15, 0.12, 0.48, 0.04, high_plates=False, riders=False),
        strict: Shape(0.40, 0.20, 0.12, 0.48, 0.04, high_plates=True, riders=True),
    } == SHAPES
    assert (RIDER_ABOVE, RIDER_BELOW) == (1.0, 0.3)
    assert SAME_BOX_IOU == 0.1


@pytest.mark.parametrize(
    "zone",
    [
        (-50.0, 10.0, -5.0, 20.0),
        (700.0, 10.0, 800.0, 20.0),
        (10.0, -50.0, 20.0, -5.0),
        (10.0, 500.0, 20.0, 600.0),
        (-9.0, 10.0, 0.0, 20.0),
        (10.0, 480.0, 20.0, 600.0),
    ],
)
def test_what_lies_beside_the_picture_is_left_out(zone: tuple[float, ...]) -> None:
    assert to_pixels(np.array([zone]), 640, 480).shape == (0, 4)


def test_pictures_of_odd_size_are_covered_to_their_last_pixel() -> None:
    assert to_pixels(np.array([[600.5, 400.5, 641.0, 481.0]]), 641, 481).tolist() == [[600, 400, 641, 481]]


def test_covering_is_judged_by_all_four_sides() -> None:
    inner = [4, 4, 8, 8]
    for side, reach in enumerate((2, 2, 10, 10)):
        outer = [4, 4, 8, 8]
        outer[side] = reach
        assert without_covered(np.array([inner, outer], np.int32)).tolist() == [outer]
    crossed = [[0, 4, 12, 8], [4, 0, 8, 12]]
    assert without_covered(np.array(crossed, np.int32)).tolist() == crossed


def test_nothing_covers_nothing() -> None:
    assert union_area(np.empty((0, 4), np.int32)) == 0
    assert union_area(np.array([[0, 0, 50_000, 50_000]], np.int32)) == 2_500_000_000


# The plan, against one that is written for one frame and one box at a time.

RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 30, 50, LocationRule.DROP, 0.1)
SIZE = 640, 480
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Seen:
    """One box of one look."""

    look: int
    kind: Kind
    score: float
    box: Box
    track: int = -1


def detections(times: Sequence[int], seen: Sequence[Seen], source: str = "firmware") -> Detections:
    ordered = sorted(seen, key=lambda one: one.look)
    made = looks(
        "front",
        source,
        [
            (t_ns, [(int(one.kind), one.score, one.box) for one in ordered if one.look == at])
            for at, t_ns in enumerate(times)
        ],
    )
    return replace(made, track_id=np.array([one.track for one in ordered], np.int32))


HEADS = {Kind.PEDESTRIAN, Kind.CYCLIST, Kind.MOTORCYCLE, Kind.UNKNOWN}
PLATES = {Kind.CAR, Kind.TRUCK, Kind.BUS, Kind.MOTORCYCLE, Kind.UNKNOWN}


def iou(a: Box, b: Box) -> float:
    a, b = ((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)) for x1, y1, x2, y2 in (a, b))
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = wide * high if wide > 0 and high > 0 else 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (sum(areas) - shared) if shared else 0.0


def again(one: Seen, later: Sequence[Seen]) -> Seen | None:
    """The same thing in the next look."""
    tracked = [other for other in later if one.track >= 0 and other.track == one.track]
    best = tracked[0] if tracked else max(later, key=lambda other: iou(one.box, other.box), default=None)
    return best if best is not None and (tracked or iou(one.box, best.box) > 0.1) else None


def zones_at(
    t_ns: int, times: Sequence[int], seen: Sequence[Seen], zone_of: Callable[[Box], Box]
) -> list[Box]:
    """What is painted for boxes that count, at one moment."""
    found = []
    for one in seen:
        before = times[one.look] - times[one.look - 1] if one.look else 50
        after = times[one.look + 1] - times[one.look] if one.look + 1 < len(times) else 50
        back, on = max(30, min(before, 50)), max(30, min(after, 50))
        if times[one.look] - back <= t_ns <= times[one.look] + on:
            found.append(zone_of(one.box))
        if one.look + 1 == len(times) or after > 50 or not times[one.look] <= t_ns <= times[one.look + 1]:
            continue
        other = again(one, [later for later in seen if later.look == one.look + 1])
        if other is not None:
            a, b = zone_of(one.box), zone_of(other.box)
            found.append((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])))
    return found


def painted(zones: Sequence[Box]) -> set[tuple[int, ...]]:
    pixels = {tuple(box) for box in to_pixels(np.array(zones, np.float64).reshape(-1, 4), *SIZE).tolist()}
    return {
        box
        for box in pixels
        if not any(
            a != box and a[0] <= box[0] and a[1] <= box[1] and a[2] >= box[2] and a[3] >= box[3]
            for a in pixels
        )
    }


def head_of(box: Box) -> Box:
    return tuple(head_zones(np.array([box], np.float32), SHAPES[RULES.strictness])[0].tolist())


def plate_of(box: Box) -> Box:
    car = np.array([Kind.CAR], np.uint8)
    return tuple(plate_bands(np.array([box], np.float32), car, SHAPES[RULES.strictness])[0].tolist())


def expected(
    frames: Sequence[int], sources: Sequence[tuple[Sequence[int], Sequence[Seen]]]
) -> list[set[tuple[int, ...]]]:
    found = []
    for t_ns in frames:
        zones: list[Box] = []
        for times, seen in sources:
            strong = [one for one in seen if not one.score < 0.15]
            zones += zones_at(t_ns, times, [one for one in strong if one.kind in HEADS], head_of)
            zones += zones_at(t_ns, times, [one for one in strong if one.kind in PLATES], plate_of)
        found.append(painted(zones))
    return found


BOXES = st.builds(
    lambda x, y, w, h: (x * 20.0, y * 20.0, (x + w) * 20.0, (y + h) * 20.0) if w > 1 else ((x + w) * 20.0, y * 20.0, x * 20.0, (y + h) * 20.0),
    st.integers(0, 6), st.integers(0, 4), st.integers(1, 5), st.integers(1, 5),
)  # fmt: skip
"""Narrow ones with the right corner first."""
KINDS = st.sampled_from(
    [Kind.PEDESTRIAN, Kind.CAR, Kind.MOTORCYCLE, Kind.UNKNOWN, Kind.ANIMAL, Kind.PEDESTRIAN]
)
SCORES = st.sampled_from([0.1, float(np.float32(0.15)), 0.9, 0.9, 0.9, float("nan")])


@st.composite
def sources(draw: st.DrawFn) -> tuple[list[int], list[Seen]]:
    """Looks from 0 to 200 or so, at most 50 apart, some a little nearer than the hold."""
    steps = draw(st.lists(st.sampled_from([10, 20, 30, 40, 50]), min_size=7, max_size=10))
    times = [sum(steps[:at]) for at in range(len(steps) + 1)]
    seen = draw(
        st.lists(
            st.builds(Seen, st.integers(0, len(times) - 1), KINDS, SCORES, BOXES, st.integers(-1, 2)),
            max_size=14,
        )
    )
    return times, sorted(seen, key=lambda one: one.look)


@settings(max_examples=150)
@given(first=sources(), second=sources(), late=st.booleans(), at_once=st.sampled_from([1, 3, 16, 1000]))
def test_the_plan_is_what_one_gets_box_by_box(
    first: tuple[list[int], list[Seen]], second: tuple[list[int], list[Seen]], late: bool, at_once: int
) -> None:
    both = [
        first,
        (second[0][::6] if late else second[0], [one for one in second[1] if not late or one.look < 2]),
    ]
    frames = np.arange(0, first[0][-1] + 1, 5, dtype=np.int64)
    seen_by = [detections(*one) for one in both]
    plan = plan_redaction(RULES, seen_by, frames, *SIZE, frames_at_once=at_once)
    assert isinstance(plan, RedactionPlan)
    got = [plan.at(at).tolist() for at in range(len(frames))]
    assert [{tuple(box) for box in boxes} for boxes in got] == expected(frames.tolist(), both)
    assert all(len({tuple(box) for box in boxes}) == len(boxes) for boxes in got)
    persons = {Kind.PEDESTRIAN, Kind.CYCLIST}
    assert plan.persons == sum(
        one.kind in persons and not one.score < 0.15 for _, seen in both for one in seen
    )
    assert plan.filled_px == sum(union_area(plan.at(at)) for at in range(len(frames)))


def test_video_without_a_frame_has_an_empty_plan() -> None:
    plan = plan_redaction(RULES, [], np.empty(0, np.int64), *SIZE)
    assert isinstance(plan, RedactionPlan)
    assert (plan.first.tolist(), plan.boxes.shape, plan.persons, plan.filled_px) == ([0], (0, 4), 0, 0)


@pytest.mark.parametrize(
    ("faces", "plates", "paints"),
    [
        (FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, True),
        (FaceRule.HEAD_ZONE, PlateRule.NONE, True),
        (FaceRule.NONE, PlateRule.PLATE_BAND, True),
        (FaceRule.NONE, PlateRule.NONE, False),
    ],
)
def test_either_rule_is_enough_to_paint(faces: FaceRule, plates: PlateRule, paints: bool) -> None:
    assert paints_video(replace(RULES, faces=faces, plates=plates)) is paints


def looked(frames: Sequence[int], *times: int, max_gap_ns: int = 100) -> RedactionPlan | Refused:
    rules = replace(RULES, max_gap_ns=max_gap_ns)
    return plan_redaction(rules, [detections(times, [])], np.array(frames, np.int64), *SIZE)


@pytest.mark.parametrize(
    ("frames", "times"),
    [
        ([0, 50, 100], (0, 100)),
        ([0, 500], (0, 500)),
        ([0, 500, 510], (0, 500, 510)),
        ([0, 100], (0,)),
        ([0, 100], (100,)),
    ],
)
def test_the_longest_stretch_without_a_look_that_is_allowed(
    frames: list[int], times: tuple[int, ...]
) -> None:
    assert isinstance(looked(frames, *times), RedactionPlan)


@pytest.mark.parametrize(
    ("frames", "times", "max_gap_ns", "detail"),
    [
        ([0, 50, 100], (0, 100), 99, "no look for 0.000 s from 0.000 s on, 0.000 s allowed"),
        ([0, 150, 160], (150, 160), 100, "no look for 0.000 s from 0.000 s on, 0.000 s allowed"),
        ([0, 10, 160], (0, 10), 100, "no look for 0.000 s from 0.000 s on, 0.000 s allowed"),
        ([0, 1, 2], (-1, 3), 100, "no source looked at any of 3 frames"),
        (
            [7 * 10**9, 8 * 10**9, 10 * 10**9, 13 * 10**9, 14 * 10**9],
            (7 * 10**9, 9 * 10**9, 14 * 10**9),
            1500 * 10**6,
            "no look for 5.000 s from 2.000 s on, 1.500 s allowed",
        ),
    ],
)
def test_a_longer_one_is_refused_and_the_longest_is_told(
    frames: list[int], times: tuple[int, ...], max_gap_ns: int, detail: str
) -> None:
    assert looked(frames, *times, max_gap_ns=max_gap_ns) == Refused(DropReason.REDACTION_NOT_LOOKED, detail)


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_one_bad_side_of_one_box_refuses_and_a_side_of_zero_does_not(at: int, bad: float) -> None:
    box = [10.0, 10.0, 20.0, 20.0]
    box[at] = bad
    seen = detections(
        [0], [Seen(0, Kind.ANIMAL, 0.0, (5.0, 5.0, 6.0, 6.0)), Seen(0, Kind.ANIMAL, 0.0, tuple(box))]
    )  # type: ignore[arg-type]
    frames = np.zeros(1, np.int64)
    assert plan_redaction(RULES, [detections([0], []), seen], frames, *SIZE) == Refused(
        DropReason.REDACTION_FAILED, "firmware: a box of front is not finite"
    )
    zero = detections([0], [Seen(0, Kind.PEDESTRIAN, 0.9, (0.0, 0.0, 20.0, 20.0))])
    assert isinstance(plan_redaction(RULES, [zero], frames, *SIZE), RedactionPlan)


def is_swept(first: Box, second: Box) -> bool:
    """Whether a person at the first place is taken for the one at the second, and painted on the way."""
    seen = [Seen(0, Kind.PEDESTRIAN, 0.9, first), Seen(1, Kind.PEDESTRIAN, 0.9, second)]
    plan = plan_redaction(RULES, [detections([0, 50], seen)], np.array([0, 25, 50], np.int64), *SIZE)
    assert isinstance(plan, RedactionPlan)
    a, b = head_of(first), head_of(second)
    way = painted([(min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))])
    return way <= {tuple(box) for box in plan.at(1).tolist()}


@pytest.mark.parametrize(
    ("first", "second", "swept"),
    [
        ((0, 0, 100, 100), (81, 0, 181, 100), True),
        ((0, 0, 100, 100), (82, 0, 182, 100), False),
        ((0, 0, 100, 100), (0, 81, 100, 181), True),
        ((0, 0, 100, 100), (0, 82, 100, 182), False),
        ((0, 0, 50, 10), (40, 0, 100, 10), False),
        ((100, 100, 0, 0), (10, 0, 110, 100), True),
        ((0, 100, 100, 0), (110, 0, 10, 100), True),
        ((0, 0, 1, 1), (300, 300, 301, 301), False),
        ((0, 0, 1, 1), (300, 0, 301, 1), False),
    ],
)
def test_more_than_a_tenth_of_overlap_makes_it_the_same_box(
    first: tuple[int, int, int, int], second: tuple[int, int, int, int], swept: bool
) -> None:
    """Of two boxes 100 wide that lie s apart, 100 - s is shared and 100 + s covered: a tenth at s = 900 / 11.
    (0, 0, 50, 10) and (40, 0, 100, 10) share exactly a tenth. Corners count whichever comes first.
    """
    a, b = (tuple(200.0 + side for side in box) for box in (first, second))
    assert is_swept(a, b) is swept  # type: ignore[arg-type]


def firing(*evidence: tuple[str, float | int | str]) -> JudgedFiring:
    return JudgedFiring("f", Firing("c", 1, 0, evidence), 0, "0" * 32, None)


@pytest.mark.parametrize(
    ("evidence", "claimed"),
    [
        (("detections.pedestrian", 1), True),
        (("detections.cyclist", 0.5), True),
        (("detections.pedestrian", 0), False),
        (("detections.pedestrian", -1), False),
        (("detections.pedestrian", "two"), False),
        (("detections.car", 3), False),
        (("pedestrian", 3), False),
    ],
)
def test_what_claims_persons(evidence: tuple[str, float | int | str], claimed: bool) -> None:
    assert persons_claimed([firing(("Vehicle.Speed", 3.0), evidence)]) is claimed
    assert persons_claimed([firing(), firing(evidence, ("detections.car", 1))]) is claimed
    assert not persons_claimed([])


# Location.


def fixes(*rows: tuple[float, float]) -> GnssFixes:
    lat, lon = (np.array([row[at] for row in rows], np.float64) for at in (0, 1))
    return GnssFixes(
        np.arange(len(rows), dtype=np.int64) + 5, lat, lon, *(np.ones(len(rows)) for _ in range(3))
    )


@pytest.mark.parametrize(
    ("place", "centre"),
    [
        ((0.0, 0.0), (1.0, 1.0)),
        ((1.999, -0.001), (1.0, -1.0)),
        ((2.0, -2.0), (3.0, -1.0)),
        ((90.0, 180.0), (90.0, 180.0)),
        ((-90.0, -180.0), (-89.0, -179.0)),
        ((89.9, 179.9), (89.0, 179.0)),
    ],
)
def test_a_cell_begins_at_its_corner_and_its_centre_stays_on_the_map(
    place: tuple[float, float], centre: tuple[float, float]
) -> None:
    found = coarse(fixes(place), 2.0)
    assert (found.lat_deg.tolist(), found.lon_deg.tolist()) == ([centre[0]], [centre[1]])


@pytest.mark.parametrize("half", [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (1.0, -np.inf)])
def test_half_a_position_is_none(half: tuple[float, float]) -> None:
    assert len(coarse(fixes(half), 2.0)) == 0
    assert coarse(fixes(half, (3.0, 3.0), (9.0, 9.0)), 2.0).t_ns.tolist() == [6]


@pytest.mark.parametrize("grid", [0.0, -0.1, float("inf"), float("nan")])
def test_a_grid_that_is_none_is_refused_and_the_reason_names_it(grid: float) -> None:
    rules = replace(RULES, location=LocationRule.COARSE, location_grid_deg=grid)
    assert locate(rules, fixes((1.0, 1.0))) == Refused(
        DropReason.REDACTION_UNKNOWN_RULE, f"location_grid_deg: {grid}"
    )


def test_an_unknown_rule_is_refused_and_the_reason_names_it() -> None:
    rules = replace(RULES, location="fuzzy")  # type: ignore[arg-type]  # what a newer policy might hold
    assert locate(rules, fixes((1.0, 1.0))) == Refused(DropReason.REDACTION_UNKNOWN_RULE, "location: fuzzy")


@pytest.mark.parametrize(
    ("path", "coarse_too", "where_kept"),
    [
        ("Vehicle.CurrentLocation.Timestamp", False, True),
        ("Vehicle.CurrentLocationless", True, True),
        ("Other.Vehicle.CurrentLocation.Heading", True, True),
        ("Latitude", False, True),
        ("Vehicle.Latitude.Error", True, True),
        ("Vehicle.Trip.Longitude", False, True),
        ("Vehicle.Longitudes", True, True),
        ("Vehicle.VehicleIdentification.Brand", False, False),
        ("Other.Vehicle.VehicleIdentification.Brand", True, True),
        ("Vehicle.Driver.Identifier.Subject", False, False),
        ("Vehicle.Driver.Identifier", True, True),
    ],
)
def test_which_signals_leave(path: str, coarse_too: bool, where_kept: bool) -> None:
    for rule in (LocationRule.DROP, LocationRule.COARSE):
        assert may_leave(replace(RULES, location=rule), path) is coarse_too
    assert may_leave(replace(RULES, location=LocationRule.KEEP), path) is where_kept
