"""The engine against CEL's own evaluator: generated conditions, one instant at a time, missing values and NaN included.

The reference is as plain as can be: every instant builds the newest values anew, asks cel-cpp whether the condition is
true, and applies hold, once-per-phase and cool-down with a loop. Not generated, because the language reference lists
them as differences: ``==`` on a missing ``distance_m``, and integers from 2**53 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from cel_expr_python import cel
from google.protobuf import message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import Budget, Campaign, CampaignSet, CaptureSpec
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.rules.triggers.looks import STALE_NS
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import Detections, Kind, Signals
from fsd_tools.campaign.cel import DETECTION, Environment, detection_pool
from fsd_tools.campaign.compiler import compile_condition

MS = 1_000_000
CATALOGUE = Catalogue(
    tuple(
        CatalogueEntry(path, kind, "", 0, 100, "test")  # type: ignore[arg-type]
        for path, kind in (
            ("A.Speed", "double"),
            ("A.Brake", "double"),
            ("A.On", "bool"),
            ("A.Far.Off", "double"),
        )
    )
)
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


def truth(condition: Any, events: list[Event], t_ns: int) -> bool:
    data: dict[str, Any] = {}
    for event in events:
        if event.t_ns > t_ns:
            continue
        if event.boxes is None:
            entry = CATALOGUE.entries[event.row]
            data[entry.path] = bool(event.value) if entry.type == "bool" else event.value
        elif t_ns - event.t_ns < STALE_NS:
            data["detections"] = [message(box) for box in event.boxes]
        else:
            data.pop("detections", None)
    return condition.eval(data=data).plain_value() is True


def own_instants(source: str, events: list[Event]) -> list[int]:
    """When something that the condition refers to arrives or goes stale."""
    rows = {row for row, entry in enumerate(CATALOGUE.entries) if entry.path in source}
    own = {event.t_ns for event in events if event.row in rows}
    frames = [event.t_ns for event in events if event.boxes is not None]
    if "detections" in source:
        own |= set(frames)
        for t_ns, next_ns in zip(frames, [*frames, 2**62][1:], strict=True):
            own |= {t_ns + STALE_NS} if t_ns + STALE_NS < next_ns else set()
    return sorted(own)


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

numbers = st.one_of(st.integers(-3, 12).map(float), st.sampled_from([float("nan"), float("inf"), 0.5, -0.0]))
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
        row = draw(st.integers(0, 3))
        value = float(draw(st.booleans())) if row == 2 else draw(numbers)
        events.append(Event(t_ns, row, value))
    return events


doubles = st.recursive(
    st.sampled_from(["A.Speed", "A.Brake", "A.Far.Off", "3.0", "0.0", "7.5", "double(2)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda a: f"(-{a})" if not a.startswith("-") else a),
        st.tuples(st.sampled_from(["A.On", "A.Speed > 3.0"]), inner, inner).map(
            lambda p: f"({p[0]} ? {p[1]} : {p[2]})"
        ),
    ),
    max_leaves=4,
)
integers = st.recursive(
    st.sampled_from(
        ["0", "1", "2", "-3", "detections.size()", 'size(detections.filter(d, d.kind == "pedestrian"))']
    ),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/%"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
    max_leaves=3,
)
comparison = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
order = st.sampled_from(["<", "<=", ">", ">="])
any_number = st.one_of(doubles, integers)
predicates = st.recursive(
    st.one_of(
        st.sampled_from(['d.kind == "pedestrian"', '"car" != d.kind', 'd.kind in ["cyclist", "car"]']),
        st.tuples(st.sampled_from(["d.score", "d.width_px", "d.x2"]), comparison, doubles).map(" ".join),
        st.tuples(st.just("d.distance_m"), order, st.sampled_from(["2.0", "5", "A.Speed"])).map(" ".join),
        st.tuples(
            st.sampled_from(["d.track_id", "d.track_id % 2", "6 / d.track_id"]), comparison, integers
        ).map(" ".join),
        st.sampled_from(["has(d.distance_m)", "A.On", "A.Speed > 3"]),
    ),
    lambda inner: st.one_of(
        inner.map(lambda a: f"!({a})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
    ),
    max_leaves=3,
)
lists = st.one_of(st.just("detections"), predicates.map(lambda p: f"detections.filter(d, {p})"))
conditions = st.recursive(
    st.one_of(
        st.tuples(any_number, comparison, any_number).map(" ".join),
        st.sampled_from(
            ["A.On", "!A.On", "A.On == (A.Speed > 3.0)", "A.Speed in [1.0, 3.0, 5.0]", "A.Brake in [1, 3]"]
        ),
        st.tuples(lists, st.sampled_from(["exists", "all", "exists_one"]), predicates).map(
            lambda p: f"{p[0]}.{p[1]}(d, {p[2]})"
        ),
        st.tuples(lists, comparison, st.sampled_from(["0", "1", "2.0"])).map(
            lambda p: f"{p[0]}.size() {p[1]} {p[2]}"
        ),
    ),
    lambda inner: st.one_of(
        inner.map(lambda a: f"!({a})"),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda p: f"({p[0]}) {p[1]} ({p[2]})"),
        st.tuples(inner, inner, inner).map(lambda p: f"(({p[0]}) ? ({p[1]}) : ({p[2]}))"),
    ),
    max_leaves=4,
).filter(lambda source: "A." in source or "detections" in source)


# ---- ours


def campaign(name: str, source: str, hold_ns: int, cooldown_ns: int) -> Campaign:
    return Campaign(
        id=name,
        version=1,
        purpose="test",
        region_id="cn",
        source=source,
        program=compile_condition(source, CATALOGUE, [CAMERA]),
        hold_ns=hold_ns,
        cooldown_ns=cooldown_ns,
        capture=CaptureSpec(1, 1, (), ()),
        budget=Budget(None, None),
        sample_ratio=1.0,
        priority=0,
        valid_from_wall_ns=0,
        valid_until_wall_ns=2**62,
    )


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


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(conditions, min_size=2, max_size=6), event_lists(), st.lists(st.integers(1, 2999), max_size=8)
)
def test_campaigns_do_not_notice_each_other(sources: list[str], events: list[Event], cuts: list[int]) -> None:
    ours = [campaign(f"c{at}", source, 50 * MS * (at % 2), 0) for at, source in enumerate(sources)]
    ends = [*sorted({cut * MS for cut in cuts}), UNTIL_NS]
    alone = [firing for one in ours for firing in fire([one], events, [UNTIL_NS])]
    assert sorted(fire(ours, events, ends)) == sorted(alone)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
