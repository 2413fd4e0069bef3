"""The engine against CEL's own evaluator: generated conditions, one instant at a time, missing values and NaN included.

The reference is as plain as can be: every instant builds the newest values anew, asks cel-cpp whether the condition is
true, and applies hold, once-per-phase and cool-down with a loop. A value that is out of its signal's range, or stale, is
missing. Not generated, because the language reference lists them as differences: ``==`` on a missing ``distance_m``, and
integers from 2**53 on (one example of each is at the end).

``FSD_EXAMPLES=20000 pytest ...`` searches longer.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from cel_expr_python import cel
from google.protobuf import message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.rules.triggers.detections.looks import STALE_NS
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.testing.campaigns import plain_campaign
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import Detections, Kind, Signals
from fsd_tools.campaign.cel import DETECTION, Environment, detection_pool
from fsd_tools.campaign.compiler import compile_condition

MS = 1_000_000
EXAMPLES = int(os.environ.get("FSD_EXAMPLES", "250"))
ANY = math.inf
CATALOGUE = Catalogue(
    (
        CatalogueEntry("A.Speed", "double", "", -ANY, ANY, "anything"),
        CatalogueEntry("A.Brake", "double", "", -1, 9, "has a range"),
        CatalogueEntry("A.On", "bool", "", 0, 1, ""),
        CatalogueEntry("A.Far.Off", "double", "", -ANY, ANY, "anything"),
        CatalogueEntry("A.Old", "double", "", -ANY, ANY, "grows stale", stale_ns=220 * MS),
    )
)
BOOL_ROW = 2
CAMERA = "front"


@dataclass(frozen=True)
class Box:
    kind: str
    score: float
    width: float
    distance: float | None
    track: int


@dataclass(frozen=True)
class Event:
    """A sample (row and value) or a frame (boxes)."""

    t_ns: int
    row: int = -1
    value: float = 0.0
    boxes: tuple[Box, ...] | None = None


# ---- the reference


@cache
def plain_environment() -> Any:
    types = {"double": cel.Type.DOUBLE, "bool": cel.Type.BOOL}
    variables = {entry.path: types[entry.type] for entry in CATALOGUE.entries}
    variables["detections"] = cel.Type.List(cel.Type(DETECTION))
    return cel.NewEnv(descriptor_pool=detection_pool(), variables=variables)


@cache
def checking_environment() -> Environment:
    return Environment(CATALOGUE)


def evaluator(source: str) -> Any:
    checked = checking_environment()._env.compile(source)
    return plain_environment().deserialize(checked.serialize())


def message(box: Box) -> Any:
    made = message_factory.GetMessageClass(detection_pool().FindMessageTypeByName(DETECTION))()
    made.kind, made.camera, made.source = box.kind, CAMERA, "firmware"
    made.score, made.x2, made.width_px, made.track_id = box.score, box.width, box.width, box.track
    if box.distance is not None:
        made.distance_m.value = box.distance
    return made


def newest(events: list[Event], row: int, t_ns: int) -> float | None:
    """The row's value at an instant; None where it is missing."""
    entry = CATALOGUE.entries[row]
    own = [event for event in events if event.row == row and event.t_ns <= t_ns]
    if not own or own[-1].value < entry.minimum or own[-1].value > entry.maximum:
        return None
    if entry.type == "bool" and math.isnan(own[-1].value):
        return None
    is_stale = 0 < entry.stale_ns <= t_ns - own[-1].t_ns
    return None if is_stale else own[-1].value


def truth(condition: Any, events: list[Event], t_ns: int) -> bool:
    data: dict[str, Any] = {}
    for row, entry in enumerate(CATALOGUE.entries):
        value = newest(events, row, t_ns)
        if value is not None:
            data[entry.path] = bool(value) if entry.type == "bool" else value
    frames = [event for event in events if event.boxes is not None and event.t_ns <= t_ns]
    if frames and t_ns - frames[-1].t_ns < STALE_NS:
        data["detections"] = [message(box) for box in frames[-1].boxes or ()]
    return condition.eval(data=data).plain_value() is True


def own_instants(source: str, events: list[Event]) -> list[int]:
    """When something that the condition refers to arrives or goes stale."""
    own: set[int] = set()
    for row, entry in enumerate(CATALOGUE.entries):
        if entry.path in source:
            times = sorted({event.t_ns for event in events if event.row == row})
            own |= set(times) | (lapses(times, entry.stale_ns) if entry.stale_ns else set())
    if "detections" in source:
        times = sorted({event.t_ns for event in events if event.boxes is not None})
        own |= set(times) | lapses(times, STALE_NS)
    return sorted(own)


def lapses(times: list[int], stale_ns: int) -> set[int]:
    """When something goes stale: what is followed in time does not."""
    return {
        t_ns + stale_ns
        for t_ns, next_ns in zip(times, [*times, 2**62][1:], strict=True)
        if t_ns + stale_ns < next_ns
    }


def reference(
    source: str, events: list[Event], *, hold_ns: int, cooldown_ns: int, until_ns: int, since_ns: int = 0
) -> list[int]:
    condition = evaluator(source)
    ordered = [t_ns for t_ns in own_instants(source, events) if since_ns <= t_ns < until_ns]
    fired: list[int] = []
    rise: int | None = None
    done = False
    for t_ns, next_ns in zip(ordered, [*ordered, until_ns][1:], strict=True):
        if not truth(condition, events, t_ns):
            rise, done = None, False
            continue
        rise = t_ns if rise is None else rise
        due = rise + hold_ns
        if not done and due < next_ns:
            done = True
            if not fired or due - fired[-1] >= cooldown_ns:
                fired.append(due)
    return fired


# ---- generated input

numbers = st.one_of(
    st.integers(-3, 12).map(float), st.sampled_from([math.nan, math.inf, -math.inf, 0.5, -0.0, 1e308, 5e-324])
)
boxes = st.builds(
    Box,
    st.sampled_from([kind.name.lower() for kind in (Kind.PEDESTRIAN, Kind.CYCLIST, Kind.CAR)]),
    st.sampled_from([0.25, 0.5, 0.75]),
    st.sampled_from([0.0, 4.0, 16.0]),
    st.one_of(st.none(), st.sampled_from([1.0, 3.0, 9.0])),
    st.integers(0, 3),
)
box_lists = st.lists(boxes, max_size=3, unique_by=lambda box: box.track)
"""Every box with an id of its own: what has none is given one."""


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    times = sorted(draw(st.lists(st.integers(0, 40), min_size=1, max_size=25)))
    events: list[Event] = []
    frames: set[int] = set()
    for time in times:
        t_ns = time * 50 * MS
        if draw(st.booleans()) and t_ns not in frames:
            frames.add(t_ns)
            events.append(Event(t_ns, boxes=tuple(draw(box_lists))))
            continue
        row = draw(st.integers(0, len(CATALOGUE.entries) - 1))
        value = draw(st.sampled_from([0.0, 1.0, 1.0, 0.0, 2.0, math.nan]) if row == BOOL_ROW else numbers)
        events.append(Event(t_ns, row, value))
    return events


def joined(parts: tuple[str, ...]) -> str:
    return f"({' '.join(parts)})"


def chosen(parts: tuple[str, str, str]) -> str:
    return f"({parts[0]} ? {parts[1]} : {parts[2]})"


comparison = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
order = st.sampled_from(["<", "<=", ">", ">="])
tests = st.sampled_from(["A.On", "A.Speed > 3.0", "A.Old < A.Brake", "detections.size() > 1", "1 / 0 > 1"])
signals = st.sampled_from(["A.Speed", "A.Brake", "A.Far.Off", "A.Old"])
integers = st.recursive(
    st.sampled_from(
        [
            *("0", "1", "2", "-3", "94906265", "detections.size()"),
            'size(detections.filter(d, d.kind == "pedestrian"))',
            "detections.filter(d, d.score > 0.3).filter(e, e.track_id > 0).size()",
        ]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/%"), inner).map(joined),
        inner.map(lambda a: f"(-{a})" if not a.startswith("-") else a),
        st.tuples(tests, inner, inner).map(chosen),
    ),
    max_leaves=3,
).filter(lambda source: source.count("94906265") < 2)
doubles = st.recursive(
    st.one_of(
        signals,
        st.sampled_from(["3.0", "0.0", "7.5", "-1.0e308", "1.0e-308", "double(2)"]),
        integers.map(lambda a: f"double({a})"),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(joined),
        inner.map(lambda a: f"(-{a})" if not a.startswith("-") else a),
        st.tuples(tests, inner, inner).map(chosen),
    ),
    max_leaves=4,
)
any_number = st.one_of(doubles, integers)
of_box = st.sampled_from(["d.score", "d.width_px", "d.x2", "double(d.track_id)", "(d.score / (d.x2 - 4.0))"])
predicates = st.recursive(
    st.one_of(
        st.sampled_from(['d.kind == "pedestrian"', '"car" != d.kind', 'd.kind in ["cyclist", "car"]']),
        st.tuples(of_box, comparison, any_number).map(" ".join),
        st.tuples(st.just("d.distance_m"), order, st.sampled_from(["2.0", "5", "A.Speed"])).map(" ".join),
        st.tuples(
            st.sampled_from(["d.track_id", "d.track_id % 2", "6 / d.track_id", "d.track_id * 2"]),
            comparison,
            any_number,
        ).map(" ".join),
        st.sampled_from(["has(d.distance_m)", "A.On", "A.Speed > 3", "1 / d.track_id == 1"]),
        # A loop inside stands by itself; its variable may have the name of the one around it.
        st.sampled_from(
            [
                "detections.exists(d, d.score > 0.5)",
                "detections.all(e, e.distance_m < 4.0)",
                "detections.filter(e, e.x2 > A.Speed).size() > 1",
            ]
        ),
    ),
    lambda inner: st.one_of(
        inner.map(lambda a: f"!({a})"),
        st.tuples(inner, st.sampled_from(["&&", "||", "=="]), inner).map(
            lambda p: f"(({p[0]}) {p[1]} ({p[2]}))"
        ),
        st.tuples(inner, inner, inner).map(lambda p: chosen((f"({p[0]})", f"({p[1]})", f"({p[2]})"))),
    ),
    max_leaves=3,
)
lists = st.recursive(
    st.just("detections"),
    lambda inner: st.tuples(inner, predicates).map(lambda p: f"{p[0]}.filter(d, {p[1]})"),
    max_leaves=2,
)
conditions = st.recursive(
    st.one_of(
        st.tuples(any_number, comparison, any_number).map(" ".join),
        st.sampled_from(
            ["A.On", "!A.On", "A.On == (A.Speed > 3.0)", "A.Speed in [1.0, 3.0, 5.0]", "A.Brake in [1, 3]"]
        ),
        st.tuples(any_number, st.sampled_from(["1, -3", "0.5, 3.0", "2"])).map(
            lambda p: f"{p[0]} in [{p[1]}]"
        ),
        st.tuples(lists, st.sampled_from(["exists", "all", "exists_one"]), predicates).map(
            lambda p: f"{p[0]}.{p[1]}(d, {p[2]})"
        ),
        st.tuples(lists, comparison, any_number).map(lambda p: f"{p[0]}.size() {p[1]} {p[2]}"),
    ),
    lambda inner: st.one_of(
        inner.map(lambda a: f"!({a})"),
        st.tuples(inner, st.sampled_from(["&&", "||", "==", "!="]), inner).map(
            lambda p: f"({p[0]}) {p[1]} ({p[2]})"
        ),
        st.tuples(inner, inner, inner).map(lambda p: f"(({p[0]}) ? ({p[1]}) : ({p[2]}))"),
    ),
    max_leaves=4,
).filter(lambda source: "A." in source or "detections" in source)


# ---- ours


def campaign(name: str, source: str, hold_ns: int, cooldown_ns: int) -> Campaign:
    program = compile_condition(source, CATALOGUE, [CAMERA])
    return plain_campaign(program, name, source, hold_ns=hold_ns, cooldown_ns=cooldown_ns)


def batch(events: list[Event]) -> tuple[Signals, tuple[Detections, ...]]:
    samples = [event for event in events if event.boxes is None]
    signals = Signals(
        np.array([event.t_ns for event in samples], np.int64),
        np.array([event.row for event in samples], np.int32),
        np.array([event.value for event in samples], np.float64),
    )
    frames = [(event.t_ns, event.boxes) for event in events if event.boxes is not None]
    if not frames:
        return signals, ()
    rows = [(at, box) for at, (_, found) in enumerate(frames) for box in found]
    far = [np.nan if box.distance is None else box.distance for _, box in rows]
    detections = Detections(
        camera=CAMERA,
        source="firmware",
        frame_t_ns=np.array([t_ns for t_ns, _ in frames], np.int64),
        frame=np.array([at for at, _ in rows], np.int32),
        kind=np.array([Kind[box.kind.upper()] for _, box in rows], np.uint8),
        score=np.array([box.score for _, box in rows], np.float32),
        box=np.array([[0, 0, box.width, 0] for _, box in rows], np.float32).reshape(len(rows), 4),
        distance_m=np.array(far, np.float32),
        track_id=np.array([box.track for _, box in rows], np.int32),
        ttc_s=np.full(len(rows), np.nan, np.float32),
    )
    return signals, (detections,)


def fire(campaigns: list[Campaign], events: list[Event], ends_ns: list[int]) -> list[tuple[str, int]]:
    engine = TriggerEngine(CATALOGUE)
    engine.set_campaigns(CampaignSet("cn", 1, tuple(campaigns)))
    fired: list[tuple[str, int]] = []
    start_ns = -1
    for end_ns in ends_ns:
        signals, detections = batch([event for event in events if start_ns <= event.t_ns < end_ns])
        found = engine.advance(signals, detections, until_ns=end_ns, wall_minus_mono_ns=0)
        fired += [(firing.campaign_id, firing.t_ns) for firing in found]
        start_ns = end_ns
    assert engine.suspended() == {}
    return fired


UNTIL_NS = 3_000 * MS


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    conditions,
    event_lists(),
    st.sampled_from([0, 1, 50 * MS, 120 * MS]),
    st.sampled_from([0, 300 * MS]),
    st.lists(st.integers(1, 2999), max_size=12),
)
def test_the_engine_agrees_with_cel_at_every_instant(
    source: str, events: list[Event], hold_ns: int, cooldown_ns: int, cuts: list[int]
) -> None:
    expected = reference(source, events, hold_ns=hold_ns, cooldown_ns=cooldown_ns, until_ns=UNTIL_NS)
    ours = campaign("c", source, hold_ns, cooldown_ns)
    ends = [*sorted({cut * MS for cut in cuts}), UNTIL_NS]
    assert fire([ours], events, [UNTIL_NS]) == [("c", t_ns) for t_ns in expected]
    assert fire([ours], events, ends) == [("c", t_ns) for t_ns in expected]


@settings(max_examples=EXAMPLES // 3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(conditions, min_size=2, max_size=6), event_lists(), st.lists(st.integers(1, 2999), max_size=8)
)
def test_campaigns_do_not_notice_each_other(sources: list[str], events: list[Event], cuts: list[int]) -> None:
    ours = [campaign(f"c{at}", source, 50 * MS * (at % 2), 0) for at, source in enumerate(sources)]
    ends = [*sorted({cut * MS for cut in cuts}), UNTIL_NS]
    alone = [firing for one in ours for firing in fire([one], events, [UNTIL_NS])]
    assert sorted(fire(ours, events, ends)) == sorted(alone)


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    conditions,
    conditions,
    event_lists(),
    st.sampled_from([0, 50 * MS, 120 * MS]),
    st.lists(st.integers(1, 2999), min_size=1, max_size=6, unique=True),
)
def test_a_swap_disturbs_no_other_campaign_and_a_new_one_starts_where_it_is_told(
    kept: str, new: str, events: list[Event], hold_ns: int, cuts: list[int]
) -> None:
    ends = [*sorted(cut * MS for cut in cuts), UNTIL_NS]
    engine = TriggerEngine(CATALOGUE)
    stays, joins = campaign("stays", kept, hold_ns, 0), campaign("joins", new, hold_ns, 0)
    engine.set_campaigns(CampaignSet("cn", 1, (stays,)))
    fired: list[tuple[str, int]] = []
    start_ns = -1
    for at, end_ns in enumerate(ends):
        signals, detections = batch([event for event in events if start_ns <= event.t_ns < end_ns])
        found = engine.advance(signals, detections, until_ns=end_ns, wall_minus_mono_ns=0)
        fired += [(firing.campaign_id, firing.t_ns) for firing in found]
        start_ns = end_ns
        other = campaign("other", kept, at, 0)
        engine.set_campaigns(CampaignSet("cn", at + 2, (other, joins, stays)))
    for name, source, since_ns in (("stays", kept, 0), ("joins", new, ends[0])):
        expected = reference(
            source, events, hold_ns=hold_ns, cooldown_ns=0, until_ns=UNTIL_NS, since_ns=since_ns
        )
        assert [t_ns for found, t_ns in fired if found == name] == expected


@pytest.mark.parametrize(
    ("source", "in_cel", "here"),
    [
        # 3 * 3002399751580331 = 2**53 + 1, which a double can't hold.
        ("detections.size() * 3002399751580331 > 0", True, False),
        ("detections.exists(d, d.distance_m != 4.0)", True, False),
        ("detections.exists(d, d.distance_m > 4.0)", False, False),
    ],
)
def test_the_differences_that_the_reference_lists(source: str, in_cel: bool, here: bool) -> None:
    unknown = Box("car", 0.5, 4.0, None, 1)
    events = [Event(0, boxes=(unknown, Box("car", 0.5, 4.0, 4.0, 2), Box("car", 0.5, 4.0, 4.0, 3)))]
    assert truth(evaluator(source), events, 0) is in_cel
    assert bool(fire([campaign("c", source, 0, 0)], events, [UNTIL_NS])) is here
