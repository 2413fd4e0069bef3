"""The firing list is a function of the input and the campaigns alone.

Random campaigns of the whole language over random drives: signals in and out of range, NaN, silence until rows go stale,
frames of two cameras with tracks that come and go, position fixes, drive modes, features. However a drive is cut into
batches, from one instant each to everything at once, and whatever else is in force or pushed meanwhile, the same
campaigns fire at the same nanoseconds. ``FSD_EXAMPLES=20000 pytest ...`` searches longer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.records.program import Program
from fsd_agent.records.schedule import LocalOffset, Schedule, WeekSpan
from fsd_agent.records.zone import Zone
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.testing.campaigns import plain_campaign
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import (
    Detections,
    DriveMode,
    Features,
    GnssFixes,
    Kind,
    ModeChange,
    Signals,
    empty_gnss,
)
from fsd_tools.campaign.cel import ConditionError
from fsd_tools.campaign.compiler import compile_condition
from fsd_tools.campaign.lower import Gates

EXAMPLES = int(os.environ.get("FSD_EXAMPLES", "250"))
MS = 1_000_000
ENDS_NS = 4_000 * MS
INF = float("inf")
CATALOGUE = Catalogue(
    (
        CatalogueEntry("A.Speed", "double", "", 0, 10, "", stale_ns=300 * MS),
        CatalogueEntry("A.Brake", "double", "", -INF, INF, ""),
        CatalogueEntry("A.On", "bool", "", 0, 1, "", stale_ns=700 * MS),
        CatalogueEntry("A.Gear", "double", "", 0, 10, "", labels=((1, "DRIVE"), (2, "REVERSE"))),
    )
)
CAMERAS = {"main": (100, 100), "narrow": (100, 100)}
ZONES = (Zone("yard", ((0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0))),)
HEADS = (
    Head(
        "spot",
        "firmware:pooled",
        "main",
        4,
        (HeadLayer(1, 2, np.array([3, -2], "<i2").tobytes(), (5,), 0),),
        0.125,
    ),
)


# ---- conditions


def joined(*parts: Any) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


windows = st.sampled_from(["1ms", "50ms", "120ms", "300ms", "1s", "2.5s"])
plain_numbers = st.sampled_from(
    ["A.Speed", "A.Brake", "A.Speed - A.Brake", "A.Speed * 2.0", 'head("spot")', "(A.On ? A.Speed : 2.0)"]
)
literals = st.sampled_from(["0.0", "1.0", "2.5", "4.0", "7.0"])
orders = st.sampled_from([" < ", " <= ", " > ", " >= ", " == ", " != "])
boxes = st.sampled_from(
    [
        'd.kind == "pedestrian"',
        'd.kind in ["cyclist", "car"]',
        'd.camera == "narrow"',
        "d.distance_m < 4.0",
        "has(d.distance_m)",
        "d.dwell_s > 0.3",
        "d.center_x > 0.4",
        "d.vx_px_s > 5.0",
        "d.ttc_s < 3.0",
        "d.growth_per_s > 0.0",
        "d.lateral_heights_s < 0.5",
        "d.score > 0.5 && A.Speed > 2.0",
        "d.track_id == 1",
        "d.height_px > A.Speed * 4.0",
    ]
)
simple = st.one_of(
    joined(plain_numbers, orders, literals),
    st.sampled_from(["A.On", "!A.On", 'A.Gear == "DRIVE"', 'within("yard")', "A.On == (A.Brake > 2.0)"]),
    joined(st.just("detections.exists(d, "), boxes, st.just(")")),
    joined(st.just("detections.all(d, "), boxes, st.just(")")),
    joined(st.just("detections.filter(d, "), boxes, st.just(").size()"), orders, st.sampled_from("012")),
    st.just('disagree("main", "narrow")'),
)


def looking_back(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Functions that look back, over conditions and over numbers that may look back themselves."""
    named = st.sampled_from(["max_over", "min_over", "mean_over", "std_over", "rate"])
    count = joined(st.just("count_over("), inner, st.just(', "'), windows, st.just('")'))
    numbers = st.one_of(
        plain_numbers,
        count.map(lambda text: f"double({text})"),
        st.just("double(detections.size())"),
        joined(named, st.just("("), plain_numbers, st.just(', "'), windows, st.just('")')),
    )
    return st.one_of(
        joined(st.just("held("), inner, st.just(', "'), windows, st.just('")')),
        joined(st.just("rose("), inner, st.just(")")),
        joined(st.just("fell("), inner, st.just(")")),
        joined(
            st.just("since("),
            inner,
            st.just(")"),
            orders.filter(lambda o: "=" not in o[:2] and "!" not in o),
            st.sampled_from(["0.1", "0.75", "1"]),
        ),
        joined(count, orders, st.sampled_from("0123")),
        joined(named, st.just("("), numbers, st.just(', "'), windows, st.just('")'), orders, literals),
        joined(st.just("previous("), numbers, st.just(")"), orders, literals),
        joined(st.just('flicker("pedestrian", "'), windows, st.just('") >= 1')),
        joined(st.just('jitter("pedestrian", "'), windows, st.just('") > 0.01')),
    )


conditions = st.recursive(
    st.one_of(simple, looking_back(simple)),
    lambda inner: st.one_of(
        inner.map(lambda a: f"!({a})"),
        joined(st.just("("), inner, st.sampled_from([") && (", ") || ("]), inner, st.just(")")),
        looking_back(inner),
    ),
    max_leaves=4,
)


@lru_cache(maxsize=4096)
def compiled(source: str, states: tuple[str, ...], inside: tuple[str, ...]) -> Program | None:
    """None where it nests too deep: a refusal is tested elsewhere."""
    try:
        return compile_condition(
            source, CATALOGUE, tuple(CAMERAS), zones=["yard"], heads=["spot"], gates=Gates(states, inside, ())
        )
    except ConditionError:
        return None


SCHEDULE = Schedule((WeekSpan(0, 1_500 * MS), WeekSpan(2_000 * MS, 3_000 * MS)), (LocalOffset(0, 0),))
MONDAY_NS = 4 * 86_400 * 1_000_000_000
"""Wall time of the drives' beginning: Unix time began on a Thursday."""


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    source = draw(conditions)
    states = draw(st.sampled_from([(), (), (), ("manual",), ("assisted", "parked")]))
    inside = draw(st.sampled_from([(), (), (), ("yard",)]))
    program = compiled(source, states, inside)
    if program is None:
        source, program = "A.On", compiled("A.On", (), ())
    assert program is not None
    return plain_campaign(
        program,
        source=source,
        hold_ns=draw(st.sampled_from([0, 0, 1, 50 * MS, 130 * MS])),
        cooldown_ns=draw(st.sampled_from([0, 0, 400 * MS])),
        rearm_ns=draw(st.sampled_from([0, 0, 90 * MS])),
        schedule=draw(st.sampled_from([None, None, SCHEDULE])),
        zones=ZONES,
        heads=HEADS,
    )


# ---- drives


@dataclass(frozen=True)
class Box:
    kind: Kind
    score: float
    x: float
    height: float
    distance: float
    track: int


@dataclass
class Drive:
    """Everything that happens, each list in order of time."""

    samples: list[tuple[int, int, float]] = field(default_factory=list)
    frames: list[tuple[int, str, tuple[Box, ...]]] = field(default_factory=list)
    fixes: list[tuple[int, float]] = field(default_factory=list)
    modes: list[tuple[int, DriveMode]] = field(default_factory=list)
    features: list[tuple[int, float, float]] = field(default_factory=list)

    def cut(self, from_ns: int, until_ns: int) -> dict[str, Any]:
        """A batch."""
        samples, frames, fixes, modes, features = (
            [one for one in some if from_ns <= one[0] < until_ns]
            for some in (self.samples, self.frames, self.fixes, self.modes, self.features)
        )
        return {
            "signals": Signals(
                np.array([t for t, _, _ in samples], np.int64),
                np.array([row for _, row, _ in samples], np.int32),
                np.array([value for _, _, value in samples], np.float64),
            ),
            "detections": tuple(
                found
                for camera in CAMERAS
                if (found := looked(camera, [(t, boxes) for t, name, boxes in frames if name == camera]))
                is not None
            ),
            "gnss": fixed(fixes),
            "modes": tuple(ModeChange(t, mode) for t, mode in modes),
            "features": tuple(
                Features("main", "firmware:pooled", np.array([t], np.int64), np.array([[a, b]], np.float32))
                for t, a, b in features
            ),
        }


def looked(camera: str, frames: Sequence[tuple[int, tuple[Box, ...]]]) -> Detections | None:
    if not frames:
        return None
    rows = [(at, box) for at, (_, found) in enumerate(frames) for box in found]
    count = len(rows)
    return Detections(
        camera=camera,
        source="firmware",
        frame_t_ns=np.array([t for t, _ in frames], np.int64),
        frame=np.array([at for at, _ in rows], np.int32),
        kind=np.array([box.kind for _, box in rows], np.uint8),
        score=np.array([box.score for _, box in rows], np.float32),
        box=np.array(
            [[box.x, 40, box.x + box.height / 2, 40 + box.height] for _, box in rows], np.float32
        ).reshape(count, 4),
        distance_m=np.array([box.distance for _, box in rows], np.float32),
        track_id=np.array([box.track for _, box in rows], np.int32),
        ttc_s=np.full(count, np.nan, np.float32),
    )


def fixed(fixes: Sequence[tuple[int, float]]) -> GnssFixes:
    if not fixes:
        return empty_gnss()
    nothing = np.zeros(len(fixes))
    lon = np.array([lon for _, lon in fixes])
    return GnssFixes(
        np.array([t for t, _ in fixes], np.int64), np.ones(len(fixes)), lon, nothing, nothing, nothing
    )


times = st.tuples(st.integers(0, 70), st.sampled_from([0, 0, 0, 1, -1])).map(
    lambda one: max(0, one[0] * 50 * MS + one[1])
)
values = st.one_of(
    st.integers(-1, 12).map(float), st.sampled_from([2.5, float("nan"), INF, -0.0, 0.1, 0.30000000000000004])
)
seen_boxes = st.builds(
    Box,
    st.sampled_from([Kind.PEDESTRIAN, Kind.CYCLIST, Kind.CAR]),
    st.sampled_from([0.25, 0.75]),
    st.sampled_from([0.0, 10.0, 30.0, 60.0]),
    st.sampled_from([8.0, 20.0, 40.0]),
    st.sampled_from([1.0, 3.0, 9.0, float("nan")]),
    st.integers(-1, 2),
)


@st.composite
def drives(draw: st.DrawFn) -> Drive:
    drive = Drive()
    for t_ns in sorted(draw(st.lists(times, max_size=40))):
        row = draw(st.integers(0, 3))
        value = draw(values) if row < 2 else float(draw(st.integers(0, 2 if row == 3 else 1)))
        drive.samples.append((t_ns, row, value))
    for camera in CAMERAS:
        for t_ns in sorted(set(draw(st.lists(times, max_size=8)))):
            drive.frames.append((t_ns, camera, tuple(draw(st.lists(seen_boxes, max_size=3)))))
    drive.frames.sort(key=lambda frame: frame[0])
    for t_ns in sorted(set(draw(st.lists(times, max_size=4)))):
        drive.fixes.append((t_ns, draw(st.sampled_from([1.0, 3.0]))))
    for t_ns in sorted(set(draw(st.lists(times, max_size=4)))):
        drive.modes.append((t_ns, draw(st.sampled_from(list(DriveMode)))))
    for t_ns in sorted(set(draw(st.lists(times, max_size=5)))):
        a = draw(st.sampled_from([0.0, 1.0, 5.0, float("nan")]))
        drive.features.append((t_ns, a, draw(st.sampled_from([0.5, 2.0]))))
    return drive


# ---- runs


def firings(
    drive: Drive, ends_ns: Sequence[int], pushes: dict[int, Sequence[Campaign]]
) -> list[tuple[str, int]]:
    """Everything that fires. ``pushes`` says what is in force from the batch of that number on."""
    engine = TriggerEngine(CATALOGUE, CAMERAS)
    found: list[tuple[str, int]] = []
    from_ns = -1
    for number, until_ns in enumerate(ends_ns):
        if number in pushes:
            engine.set_campaigns(CampaignSet("cn", number + 1, tuple(pushes[number])))
        batch = drive.cut(from_ns, until_ns)
        fired = engine.advance(
            batch.pop("signals"),
            batch.pop("detections"),
            until_ns=until_ns,
            wall_minus_mono_ns=MONDAY_NS,
            **batch,
        )
        found += [(one.campaign_id, one.t_ns) for one in fired]
        from_ns = until_ns
    assert engine.suspended() == {}
    return found


def named(some: Sequence[Campaign], prefix: str) -> list[Campaign]:
    return [replace(one, id=f"{prefix}{at}") for at, one in enumerate(some)]


cuts = st.one_of(
    st.lists(st.integers(1, ENDS_NS - 1), max_size=10),
    st.lists(times.filter(bool), max_size=20),
    st.just(list(range(25 * MS, ENDS_NS, 25 * MS))),
    st.just(list(range(7 * MS, ENDS_NS, 7 * MS))),
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(campaigns(), min_size=1, max_size=4), drives(), cuts)
def test_cuts_make_no_difference(some: list[Campaign], drive: Drive, at_ns: list[int]) -> None:
    ours = named(some, "c")
    whole = firings(drive, [ENDS_NS], {0: ours})
    assert firings(drive, [*sorted(set(at_ns)), ENDS_NS], {0: ours}) == whole


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(campaigns(), min_size=1, max_size=3),
    st.lists(campaigns(), min_size=1, max_size=3),
    drives(),
    cuts,
)
def test_others_make_no_difference(
    some: list[Campaign], others: list[Campaign], drive: Drive, at_ns: list[int]
) -> None:
    """Others are there from the start, join, change and leave while ours stay; and one of ours joins late."""
    ours, more = named(some, "c"), named(others, "z")
    late = replace(ours[-1], id="late")
    ends = [*sorted(set(at_ns)), ENDS_NS]
    middle = len(ends) // 2
    alone = firings(drive, ends, {0: ours, middle: [*ours, late]})
    changed = [replace(one, version=2, hold_ns=one.hold_ns + 1) for one in more]
    pushes: dict[int, Sequence[Campaign]] = {
        0: [*more, *ours],
        middle: [late, *ours, *changed],
        middle + 1: [*more[:1], *ours, late],
    }
    mixed = [one for one in firings(drive, ends, pushes) if not one[0].startswith("z")]
    assert mixed == alone


def test_what_has_not_begun_to_look_back_begins_after_another_push_too() -> None:
    """Found by the search above: the sample that a new function waits for tells nobody else anything new."""
    program = compiled('!rose(within("yard"))', (), ())
    assert program is not None
    late = plain_campaign(program, "late", zones=ZONES, heads=HEADS)
    drive = Drive(fixes=[(0, 1.0), (2_050 * MS, 1.0)])
    ends = [1_000 * MS, 2_000 * MS, 2_025 * MS, ENDS_NS]
    once = firings(drive, ends, {1: [late]})
    again = firings(drive, ends, {1: [late], 2: [late]})
    assert again == once == [("late", 2_050 * MS + 1)]
