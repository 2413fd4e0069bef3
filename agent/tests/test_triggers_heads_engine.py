"""Trigger heads through the engine: when they fire, go stale, and are refused alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import Campaign, CampaignSet
from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.rules.triggers.engine import TriggerEngine
from fsd_agent.rules.triggers.heads import SCORE_STALE_NS
from fsd_agent.testing.campaigns import plain_campaign
from fsd_agent.testing.detector import MarkerDetector
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_firmware.samples import Features, Frame, Signals, empty_signals
from fsd_tools.campaign.compiler import compile_condition

MS = 1_000_000
CATALOGUE = Catalogue((CatalogueEntry("Car.Speed", "double", "km/h", 0, 250, ""),))
SUM = HeadLayer(1, 2, np.array([[1, 1]], "<i2").tobytes(), (0,), 0)


def head(layer: HeadLayer = SUM, *, source: str = "firmware:a", bits: int = 8) -> Head:
    return Head("h", source, "front", bits, (layer,), 2.0**-bits)


def campaign(name: str, condition: str, *heads: Head) -> Campaign:
    names = tuple(one.name for one in heads)
    program = compile_condition(condition, CATALOGUE, ("front",), heads=names)
    return plain_campaign(program, name, condition, heads=heads)


def features(*rows: tuple[int, Sequence[float]], source: str = "firmware:a") -> Features:
    """(ms, vector) of each picture."""
    t_ns = np.array([ms * MS for ms, _ in rows], np.int64)
    return Features("front", source, t_ns, np.array([vector for _, vector in rows], np.float32))


def speed(*rows: tuple[int, float]) -> Signals:
    return Signals(
        np.array([ms * MS for ms, _ in rows], np.int64),
        np.zeros(len(rows), np.int32),
        np.array([value for _, value in rows], np.float64),
    )


def run(
    campaigns: Sequence[Campaign], seen: Sequence[Features], signals: Signals, ends_ms: Sequence[int]
) -> tuple[list[tuple[str, float]], dict[str, str]]:
    """Firings as (campaign, ms), and what is suspended at the end."""
    engine = TriggerEngine(CATALOGUE)
    engine.set_campaigns(CampaignSet("cn", 1, tuple(campaigns)))
    fired: list[tuple[str, float]] = []
    start = -1
    for end_ms in ends_ms:
        cut = [
            replace(one, t_ns=one.t_ns[mine], value=one.value[mine])
            for one in seen
            for mine in [(one.t_ns >= start) & (one.t_ns < end_ms * MS)]
            if mine.any()
        ]
        mine = (signals.t_ns >= start) & (signals.t_ns < end_ms * MS)
        batch = Signals(signals.t_ns[mine], signals.signal[mine], signals.value[mine])
        found = engine.advance(batch, (), until_ns=end_ms * MS, wall_minus_mono_ns=0, features=cut)
        fired += [(one.campaign_id, one.t_ns / MS) for one in found]
        start = end_ms * MS
    return fired, engine.suspended()


def test_a_head_fires_at_its_picture_and_alone_when_it_should() -> None:
    both = campaign("both", 'head("h") > 1.5 && Car.Speed > 10.0', head())
    alone = campaign("alone", 'head("h") > 1.5', head())
    seen = features((100, [1, 0]), (200, [1, 1]), (300, [0, 0]), (400, [2, 0]))
    fired, suspended = run([both, alone], [seen], speed((250, 20.0)), [1000])
    assert fired == [("alone", 200.0), ("both", 250.0), ("alone", 400.0), ("both", 400.0)]
    assert not suspended


def test_a_score_is_unknown_500_ms_after_its_picture() -> None:
    """At 699 ms it still holds, at 700 ms it is unknown, and an unknown score is not below a threshold either."""
    assert SCORE_STALE_NS == 500 * MS
    late = campaign("late", 'head("h") > 1.5 && Car.Speed > 10.0', head())
    seen = features((200, [1, 1]))
    assert run([late], [seen], speed((699, 20.0)), [1000])[0] == [("late", 699.0)]
    assert run([late], [seen], speed((700, 20.0)), [1000])[0] == []
    never = campaign("never", '!(head("h") > 1.5) && Car.Speed > 10.0', head())
    assert run([never], [seen], speed((700, 20.0)), [1000])[0] == []


def test_features_that_are_no_numbers_are_unknown_until_the_next_picture() -> None:
    below = campaign("below", 'head("h") < 1.0', head())
    seen = features((100, [0, 0]), (200, [float("nan"), 0]), (300, [0, 0]))
    assert run([below], [seen], empty_signals(), [1000])[0] == [("below", 100.0), ("below", 300.0)]


@pytest.mark.parametrize("ends", [[1000], [150, 260, 1000], list(range(1, 1001))])
def test_features_of_another_width_suspend_their_campaign_alone(ends: list[int]) -> None:
    """From the very picture on, whatever the batches: what else its condition says no longer counts."""
    wrong = campaign("wrong", 'head("h") > 1.5 || Car.Speed > 10.0', head())
    other = campaign("other", "Car.Speed > 10.0")
    seen = [features((100, [2, 0]), (150, [0, 0])), features((200, [1, 1, 1]))]
    fired, suspended = run([wrong, other], seen, speed((150, 0.0), (250, 20.0)), ends)
    assert fired == [("wrong", 100.0), ("other", 250.0)]
    assert suspended == {"wrong": "head h: takes 2 features, firmware:a gives 3 on camera front"}


def test_features_after_their_promise_are_counted_and_not_used() -> None:
    engine = TriggerEngine(CATALOGUE)
    engine.set_campaigns(CampaignSet("cn", 1, (campaign("a", 'head("h") > 1.5', head()),)))
    batches = [(500, features((400, [0, 0]))), (600, features((300, [2, 2]), (499, [2, 2]), (550, [1, 1])))]
    fired = [
        one.t_ns // MS
        for until_ms, seen in batches
        for one in engine.advance(
            empty_signals(), (), until_ns=until_ms * MS, wall_minus_mono_ns=0, features=[seen]
        )
    ]
    assert fired == [550]
    assert engine.late_samples == 2


VECTORS = st.lists(
    st.tuples(st.integers(0, 60), st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, float("nan")]), min_size=2, max_size=2)),
    max_size=20, unique_by=lambda one: one[0],
)  # fmt: skip


@given(VECTORS, VECTORS, st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0.0, 20.0])), max_size=10),
       st.lists(st.integers(1, 119), unique=True))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_firings_don_t_depend_on_the_cuts(
    one: list[tuple[int, list[float]]],
    two: list[tuple[int, list[float]]],
    speeds: list[tuple[int, float]],
    cuts: list[int],
) -> None:
    seen = [
        features(*sorted((at * 20, vector) for at, vector in rows), source=source)
        for rows, source in ((one, "firmware:a"), (two, "firmware:b"))
        if rows
    ]
    signals = speed(*sorted((at * 20, value) for at, value in speeds))
    pair = head(), replace(head(source="firmware:b"), name="g")
    campaigns = [
        campaign("a", 'head("h") > 1.0', pair[0]),
        campaign("b", 'head("h") - head("g") >= 0.5 && Car.Speed > 10.0', *pair),
        campaign("c", 'held(head("g") < 1.0, "100ms")', pair[1]),
    ]
    ends = [*(20 * cut for cut in sorted(cuts)), 2400]
    assert run(campaigns, seen, signals, ends) == run(campaigns, seen, signals, [2400])


def test_the_agent_s_own_detector_feeds_heads() -> None:
    """Half of the second picture is white: its mean colour is what the head weighs."""
    detector = MarkerDetector()
    pictures = [np.zeros((8, 8, 3), np.uint8) for _ in range(2)]
    pictures[1][:, 4:] = 255
    seen = [
        detector.detect(Frame("front", at * 100 * MS, bgr), min_score=0.5).features
        for at, bgr in enumerate(pictures)
    ]
    layer = HeadLayer(1, 3, np.array([[1, 1, 1]], "<i2").tobytes(), (0,), 0)
    bright = campaign("bright", 'head("h") > 1.4', head(layer, source="marker@1"))
    fired, _ = run([bright], [one for one in seen if one is not None], empty_signals(), [300])
    assert fired == [("bright", 100.0)]
