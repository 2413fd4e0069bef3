"""Worked examples of the engine: one row each, times in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.records.firing import Firing
from fsd_agent.records.zone import Zone
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.testing.campaigns import plain_campaign
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import Detections, DriveMode, GnssFixes, Kind, ModeChange, Signals
from fsd_tools.campaign.compiler import compile_condition

MS = 1_000_000
WALL_NS = 1_700_000_000 * 1_000_000_000
CATALOGUE = Catalogue(
    (
        CatalogueEntry("Car.Speed", "double", "km/h", 0, 250, ""),
        CatalogueEntry("Car.Brake", "double", "percent", 0, 100, ""),
        CatalogueEntry("Car.On", "bool", "", 0, 1, ""),
    )
)
CAMERAS = ("front", "rear")
PERSON = 'detections.exists(d, d.kind == "pedestrian" && d.score > 0.5)'
NAN = float("nan")

Sample = tuple[int, str, float]
"""ms, last part of the path, value."""


@dataclass(frozen=True)
class Frame:
    """What one camera sees: (kind, score, distance or NaN)."""

    ms: int
    boxes: tuple[tuple[str, float, float], ...] = ()
    camera: str = "front"


PED = ("pedestrian", 0.9, 5.0)
FAR = ("pedestrian", 0.9, NAN)
CAR = ("car", 0.9, 5.0)


def campaign(condition: str, name: str = "c", **changes: Any) -> Campaign:
    return plain_campaign(compile_condition(condition, CATALOGUE, CAMERAS), name, condition, **changes)


def columns(samples: list[Sample]) -> Signals:
    rows = {entry.path.rpartition(".")[2]: row for row, entry in enumerate(CATALOGUE.entries)}
    return Signals(
        np.array([ms * MS for ms, _, _ in samples], np.int64),
        np.array([rows[name] for _, name, _ in samples], np.int32),
        np.array([value for _, _, value in samples], np.float64),
    )


def looked(frame: Frame) -> Detections:
    count = len(frame.boxes)
    return Detections(
        camera=frame.camera,
        source="firmware",
        frame_t_ns=np.array([frame.ms * MS], np.int64),
        frame=np.zeros(count, np.int32),
        kind=np.array([Kind[kind.upper()] for kind, _, _ in frame.boxes], np.uint8),
        score=np.array([score for _, score, _ in frame.boxes], np.float32),
        box=np.zeros((count, 4), np.float32),
        distance_m=np.array([distance for _, _, distance in frame.boxes], np.float32),
        track_id=np.full(count, -1, np.int32),
        ttc_s=np.full(count, np.nan, np.float32),
    )


def advance(engine: TriggerEngine, events: list[Sample | Frame], until_ms: int) -> tuple[Firing, ...]:
    samples = sorted((event for event in events if isinstance(event, tuple)), key=lambda sample: sample[0])
    frames = tuple(looked(event) for event in events if isinstance(event, Frame))
    return engine.advance(columns(samples), frames, until_ns=until_ms * MS, wall_minus_mono_ns=WALL_NS)


def engine_of(*campaigns: Campaign) -> TriggerEngine:
    engine = TriggerEngine(CATALOGUE)
    engine.set_campaigns(CampaignSet("cn", 1, campaigns))
    return engine


def fired_ms(engine: TriggerEngine, events: list[Sample | Frame], ends_ms: list[int]) -> list[float]:
    found: list[float] = []
    start_ms = -1
    for end_ms in ends_ms:
        inside = [
            event
            for event in events
            if start_ms <= (event.ms if isinstance(event, Frame) else event[0]) < end_ms
        ]
        found += [firing.t_ns / MS for firing in advance(engine, inside, end_ms)]
        start_ms = end_ms
    return found


def speeds(*pairs: tuple[int, float]) -> list[Sample | Frame]:
    return [(ms, "Speed", value) for ms, value in pairs]


FAST = "Car.Speed > 50.0"
ROWS: list[tuple[str, str, dict[str, object], list[Sample | Frame], list[float]]] = [
    ("fires at the sample that makes it true", FAST, {}, speeds((100, 40), (200, 60)), [200]),
    ("fires at its first evaluation when true", FAST, {}, speeds((100, 60)), [100]),
    ("once a true-phase", FAST, {}, speeds((100, 60), (200, 70), (300, 80)), [100]),
    ("re-arms when it is not true", FAST, {}, speeds((100, 60), (200, 50), (300, 60)), [100, 300]),
    ("equal is not above, and leaving the threshold is seen", FAST, {}, speeds((10, 50), (20, 40), (30, 51)), [30]),
    ("equality is seen to end", "Car.Speed == 50.0", {}, speeds((10, 50), (20, 40), (30, 50)), [10, 30]),
    ("the last of samples at one instant counts", FAST, {}, speeds((100, 60), (100, 40)), []),
    ("hold: at exactly rise and hold", FAST, {"hold_ns": 250 * MS}, speeds((100, 60), (300, 70)), [350]),
    ("hold: ended one nanosecond late", FAST, {"hold_ns": 200 * MS - 1}, speeds((100, 60), (300, 40)), [299.999999]),
    ("hold: ended at that instant", FAST, {"hold_ns": 200 * MS}, speeds((100, 60), (300, 40)), []),
    ("hold: no sample is needed for time to pass", FAST, {"hold_ns": 900 * MS}, speeds((100, 60)), [1000]),
    ("cool-down drops a phase", FAST, {"cooldown_ns": 201 * MS}, speeds((100, 60), (200, 0), (300, 60)), [100]),
    ("cool-down is over", FAST, {"cooldown_ns": 200 * MS}, speeds((100, 60), (200, 0), (300, 60)), [100, 300]),
    ("cool-down: no firing at its end", FAST, {"cooldown_ns": 300 * MS},
     speeds((100, 60), (200, 0), (300, 60), (900, 60)), [100]),
    ("not valid yet, then valid", FAST, {"valid_from_wall_ns": WALL_NS + 200 * MS},
     speeds((100, 60), (150, 0), (200, 60)), [200]),
    ("valid no more", FAST, {"valid_until_wall_ns": WALL_NS + 200 * MS}, speeds((150, 0), (200, 60)), []),
    ("never received is unknown", "Car.Speed > 50.0 && Car.On", {}, speeds((100, 60)), []),
    ("and its opposite is too", "!(Car.Speed > 50.0 && Car.On)", {}, speeds((100, 60)), []),
    ("true or unknown is true", "Car.Speed > 50.0 || Car.On", {}, speeds((100, 60)), [100]),
    ("false and unknown is false", "!(Car.Speed > 50.0 && Car.On)", {}, speeds((100, 40)), [100]),
    ("NaN is not above", FAST, {}, speeds((100, NAN), (200, 60), (300, NAN), (400, 60)), [200, 400]),
    ("not above is true of NaN", "!(Car.Speed > 50.0)", {}, speeds((100, NAN)), [100]),
    ("an integer divided by zero is an error", "1 / detections.size() == 1 || Car.On", {}, [Frame(100)], []),
    ("which true absorbs", "1 / detections.size() == 1 || Car.On", {}, [(50, "On", 1.0), Frame(100)], [50]),
    ("integers end at 2**53", "9007199254740991 + detections.size() > 0", {},
     [Frame(10), Frame(20, (CAR,)), Frame(30)], [10, 30]),
    ("derived values see every sample", "Car.Speed - Car.Brake > 5.0", {},
     [(10, "Brake", 1.0), (20, "Speed", 6.0), (30, "Speed", 6.5)], [30]),
    ("a pedestrian", PERSON, {}, [Frame(100), Frame(200, (CAR,)), Frame(300, (CAR, PED))], [300]),
    ("nothing looked", f"!{PERSON}", {}, speeds((100, 1)), []),
    ("looked and saw nothing", f"!{PERSON}", {}, [Frame(100)], [100]),
    ("a frame is good for less than 500 ms", PERSON, {"hold_ns": 500 * MS}, [Frame(100, (PED,))], []),
    ("so long", PERSON, {"hold_ns": 500 * MS - 1}, [Frame(100, (PED,))], [599.999999]),
    ("the next frame at 500 ms is in time", PERSON, {"hold_ns": 600 * MS},
     [Frame(100, (PED,)), Frame(600, (PED,))], [700]),
    ("so it is beside another camera", PERSON, {"hold_ns": 600 * MS},
     [Frame(100, (PED,)), Frame(550, (CAR,), "rear"), Frame(600, (PED,))], [700]),
    ("an unknown distance is unknown", "detections.exists(d, d.distance_m < 9.0)", {}, [Frame(100, (FAR,))], []),
    ("and not far either", "detections.all(d, d.distance_m > 9.0)", {}, [Frame(100, (FAR,))], []),
    ("another box decides", "detections.exists(d, d.distance_m < 9.0)", {}, [Frame(100, (FAR, PED))], [100]),
    ("a filter needs every answer", "detections.filter(d, d.distance_m < 9.0).size() >= 0", {},
     [Frame(100, (FAR, PED)), Frame(200, (PED,))], [200]),
    ("also below exists", "!detections.filter(d, d.distance_m < 9.0).exists(d, d.score > 1.0)", {},
     [Frame(100, (FAR, PED)), Frame(200, (PED,))], [200]),
    ("has() asks first", "detections.filter(d, has(d.distance_m) && d.distance_m < 9.0).size() >= 1", {},
     [Frame(100, (FAR, PED))], [100]),
    ("all of nothing", "detections.all(d, d.score > 2.0)", {}, [Frame(100)], [100]),
    ("exactly one", 'detections.exists_one(d, d.kind == "car")', {}, [Frame(10, (CAR, CAR)), Frame(20, (CAR, PED))], [20]),
    ("a signal inside the loop", "detections.exists(d, d.distance_m * 10.0 < Car.Speed)", {},
     [Frame(10, (PED,)), (20, "Speed", 50.0), (30, "Speed", 51.0)], [30]),
    ("cameras add up", "detections.size() >= 2", {}, [Frame(10, (PED,)), Frame(20, (CAR,), "rear")], [20]),
    ("by camera", 'detections.exists(d, d.camera == "rear")', {}, [Frame(10, (PED,)), Frame(20, (CAR,), "rear")], [20]),
    ("a stale camera leaves the count open", "detections.size() >= 1", {},
     [Frame(0, (CAR,), "rear"), *(Frame(ms) for ms in range(0, 1000, 100)), Frame(1000, (PED,))], [0]),
    ("but not what another sees", "detections.exists(d, d.score > 0.5)", {"cooldown_ns": 1},
     [Frame(0, (CAR,), "rear"), *(Frame(ms) for ms in range(0, 1000, 100)), Frame(1000, (PED,))], [0, 1000]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "condition", "changes", "events", "expected"), ROWS, ids=[row[0] for row in ROWS]
)
@pytest.mark.parametrize("cut", [2000, 500, 100, 10, 1], ids=lambda cut: f"{cut}ms")
def test_example(
    what: str,
    condition: str,
    changes: dict[str, object],
    events: list[Sample | Frame],
    expected: list[float],
    cut: int,
) -> None:
    engine = engine_of(campaign(condition, **changes))
    assert fired_ms(engine, events, list(range(cut, 2001, cut))) == expected
    assert engine.suspended() == {}


def test_evidence_is_what_was_seen_at_that_instant() -> None:
    engine = engine_of(campaign(f"Car.Speed > 50.0 && {PERSON}", hold_ns=20 * MS))
    events: list[Sample | Frame] = [
        Frame(5, (PED, PED, CAR)),
        (10, "Speed", 60.0),
        (25, "Speed", 62.0),
        (40, "Speed", 64.0),
    ]
    (firing,) = advance(engine, events, 100)
    assert firing.t_ns == 30 * MS
    assert firing.evidence == (("Car.Speed", 62.0), ("detections.pedestrian", 2.0))


def test_firings_come_in_order_of_time_then_name() -> None:
    engine = engine_of(
        *(campaign(FAST, name, hold_ns=hold * MS) for name, hold in (("b", 0), ("a", 0), ("c", 5)))
    )
    found = advance(engine, speeds((10, 0), (20, 60)), 100)
    assert [(firing.campaign_id, firing.t_ns // MS) for firing in found] == [("a", 20), ("b", 20), ("c", 25)]


def test_a_campaign_that_stays_keeps_its_phase_and_a_changed_one_starts_anew() -> None:
    held = campaign(FAST, "held", hold_ns=100 * MS)
    edited = campaign(FAST, "edited", hold_ns=100 * MS)
    engine = engine_of(held, edited)
    assert advance(engine, speeds((10, 60)), 50) == ()
    # The author forgot to raise the version; the condition differs all the same.
    again = campaign("Car.Speed > 55.0", "edited", hold_ns=100 * MS)
    engine.set_campaigns(CampaignSet("cn", 2, (again, held)))
    found = advance(engine, speeds((60, 61)), 1000)
    assert [(firing.campaign_id, firing.t_ns // MS) for firing in found] == [("held", 110), ("edited", 160)]


def test_a_new_campaign_is_evaluated_at_the_next_arrival_of_its_own() -> None:
    engine = engine_of(campaign("Car.Brake > 1.0", "other"))
    advance(engine, speeds((10, 60)), 50)
    engine.set_campaigns(CampaignSet("cn", 2, (campaign("Car.Brake > 1.0", "other"), campaign(FAST, "new"))))
    events: list[Sample | Frame] = [(60, "Brake", 2.0), (70, "Speed", 61.0)]
    found = advance(engine, events, 100)
    assert [(firing.campaign_id, firing.t_ns // MS) for firing in found] == [("other", 60), ("new", 70)]


def test_an_unknown_signal_suspends_its_campaign_alone_until_it_is_changed() -> None:
    catalogue = Catalogue((CatalogueEntry("Car.Gone", "double", "", 0, 1, ""), *CATALOGUE.entries))
    program = compile_condition("Car.Gone > 1.0", catalogue, CAMERAS)
    bad = replace(campaign(FAST, "bad"), program=program)
    engine = engine_of(bad, campaign(FAST, "good"))
    assert engine.suspended() == {"bad": "signal 'Car.Gone' is not in this vehicle's catalogue"}
    assert [firing.campaign_id for firing in advance(engine, speeds((10, 60)), 50)] == ["good"]
    engine.set_campaigns(CampaignSet("cn", 2, (bad,)))
    assert list(engine.suspended()) == ["bad"]
    engine.set_campaigns(CampaignSet("cn", 3, (campaign(FAST, "bad"),)))
    assert engine.suspended() == {}


def test_an_evaluation_that_raises_suspends_its_campaign_alone() -> None:
    """A source that breaks its contract (scores that are no numbers) must not stop the other campaigns."""
    anybody = 'detections.exists(d, d.kind == "pedestrian")'
    engine = engine_of(campaign(PERSON, "bad"), campaign(anybody, "good"))
    frame = replace(looked(Frame(10, (PED,))), score=np.array(["high"], object))
    found = engine.advance(columns([]), (frame,), until_ns=50 * MS, wall_minus_mono_ns=WALL_NS)
    assert [firing.campaign_id for firing in found] == ["good"]
    assert list(engine.suspended()) == ["bad"]
    assert "ValueError" in engine.suspended()["bad"]


@pytest.mark.parametrize(
    "broken",
    [
        {"ttc_s": np.empty(0, np.float32)},
        {"box": np.zeros((1, 3), np.float32)},
        {"frame": np.array([1], np.int32)},
        {"frame": np.array([-1], np.int32)},
        {"frame_t_ns": np.empty(0, np.int64)},
    ],
)
def test_detections_whose_columns_do_not_belong_together_are_counted_and_not_used(
    broken: dict[str, np.ndarray],
) -> None:
    engine = engine_of(campaign(PERSON))
    bad = replace(looked(Frame(10, (PED,))), **broken)
    assert engine.advance(columns([]), (bad,), until_ns=50 * MS, wall_minus_mono_ns=WALL_NS) == ()
    assert engine.unused()["broken_looks"] == 1
    assert fired_ms(engine, [Frame(60, (PED,))], [100]) == [60]
    assert engine.suspended() == {}


@pytest.mark.parametrize(
    "zero",
    [
        "-detections.size()",
        "detections.size() * -3",
        "(detections.size() - 1) / 3",
        "(detections.size() - 3) % 3",
    ],
)
@pytest.mark.parametrize("also", ["", " && Car.Speed > 0.0"])
def test_an_integer_has_one_zero(zero: str, also: str) -> None:
    """Integers are held as doubles, which have two: as an integer's, the sign must not come out of a division."""
    engine = engine_of(campaign(f"3.0 / double({zero}) > 0.0{also}"))
    assert fired_ms(engine, [Frame(10), (10, "Speed", 60.0)], [50]) == [10]


@pytest.mark.parametrize("zero", ['-count_over(Car.On, "1s")', 'count_over(Car.On, "1s") * -3'])
def test_an_integer_has_one_zero_without_detections_too(zero: str) -> None:
    engine = engine_of(campaign(f"3.0 / double({zero}) > 0.0"))
    assert fired_ms(engine, [(10, "On", 0.0)], [50]) == [10]


def test_a_sample_older_than_one_before_it_is_counted_and_not_used() -> None:
    engine = engine_of(campaign(FAST))
    back = columns([(20, "Speed", 40), (10, "Speed", 60), (30, "Speed", 40)])
    assert engine.advance(back, (), until_ns=50 * MS, wall_minus_mono_ns=WALL_NS) == ()
    assert engine.late_samples == 1


YARD = Zone("yard", ((0.0, 0.0), (0.0, 2.0), (2.0, 2.0), (2.0, 0.0)))


@pytest.mark.parametrize("passed_ms", [100, 5000])
def test_a_new_campaign_knows_the_mode_and_the_place_of_before(passed_ms: int) -> None:
    """A mode holds until the next; a fix of 5 s ago says nothing of where the car is."""
    engine = engine_of()
    fix = np.array([1.0])
    before = {
        "modes": (ModeChange(10 * MS, DriveMode.MANUAL),),
        "gnss": GnssFixes(np.array([20 * MS]), fix, fix, fix, fix, fix),
    }
    engine.advance(columns([]), (), until_ns=passed_ms * MS, wall_minus_mono_ns=WALL_NS, **before)
    within = compile_condition(f'{FAST} && within("yard")', CATALOGUE, CAMERAS, zones=["yard"])
    mode = campaign(f'{FAST} && mode("manual")', "mode")
    other = campaign(f'{FAST} && mode("assisted")', "other")
    zone = replace(campaign(FAST, "zone"), program=within, zones=(YARD,))
    engine.set_campaigns(CampaignSet("cn", 2, (mode, other, zone)))
    found = advance(engine, speeds((passed_ms + 10, 60)), passed_ms + 50)
    assert [one.campaign_id for one in found] == (["mode", "zone"] if passed_ms == 100 else ["mode"])


def test_what_looks_back_over_another_takes_a_sample_at_every_arrival_below() -> None:
    """The rate is 20 a second from 100 ms on and changes no more; its mean over 100 ms is 20 all the while."""
    steady = 'mean_over(rate(Car.Speed, "100ms"), "100ms") == 20.0'
    rising = speeds(*((ms, ms / 50) for ms in range(0, 1000, 50)))
    assert fired_ms(engine_of(campaign(steady)), rising, [1000]) == [100]
    assert fired_ms(engine_of(campaign(steady, hold_ns=700 * MS)), rising, [1000]) == [800]


def test_samples_after_their_promise_are_counted_and_not_used() -> None:
    engine = engine_of(campaign(FAST))
    advance(engine, [], 100)
    assert advance(engine, speeds((50, 60), (110, 40)), 200) == ()
    assert engine.late_samples == 1
