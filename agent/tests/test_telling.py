"""What may be told of a firing: never without consent, never a place or a name, and of the evidence only what clips may hold."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import CaptureSpec
from fsd_agent.records.firing import Firing, JudgedFiring, Telling, UntoldFiring
from fsd_agent.records.nodes import PROGRAM_VERSION, Node, Op
from fsd_agent.records.program import Program
from fsd_agent.records.purpose import ALL_PURPOSES, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import DataClass, LocationRule, Route
from fsd_agent.records.zone import Zone
from fsd_agent.rules.privacy.telling import PLACES, telling_of, told_firing
from fsd_agent.testing.campaigns import plain_campaign
from fsd_agent.testing.regions import sample_region

SPEED, BRAKE = "Vehicle.Speed", "Vehicle.Chassis.Brake.PedalPosition"
PLACES_AND_NAMES = (
    "Vehicle.CurrentLocation.Latitude",
    "Vehicle.CurrentLocation.Heading",
    "Vehicle.Trailer.Longitude",
    "Vehicle.VehicleIdentification.VIN",
    "Vehicle.Driver.Identifier.Subject",
)
SEEN = (*PLACES_AND_NAMES, SPEED, "heads.door", "detections.car")
ROUTE = sample_region("cn").route()
GIVEN = frozenset({Purpose.SAFETY})


def fires_on(path: str) -> Program:
    nodes = (Node(Op.SIGNAL_DOUBLE, (), path), Node(Op.LITERAL, (), 30.0), Node(Op.GT, (0, 1)))
    return Program(PROGRAM_VERSION, nodes)


CAMPAIGN = plain_campaign(fires_on(SPEED), capture=CaptureSpec(1, 1, (), (SPEED, BRAKE)))


def untold(*evidence: tuple[str, float | str], signals: tuple[str, ...] = (SPEED, BRAKE)) -> UntoldFiring:
    judged = JudgedFiring("f" * 32, Firing("c", 4, 70, evidence), 1070, "a" * 32, None)
    return UntoldFiring(judged, "cn", Telling(Purpose.SAFETY, signals))


def allowing(*classes: DataClass, location: LocationRule = LocationRule.DROP) -> Route:
    rules = replace(ROUTE.policy.redaction, location=location)
    return replace(ROUTE, policy=replace(ROUTE.policy, data_classes=frozenset(classes), redaction=rules))


# Whether


def test_a_kept_and_a_dropped_firing_are_told_under_the_campaigns_purpose() -> None:
    expected = Telling(Purpose.SAFETY, (SPEED, BRAKE))
    assert telling_of(CAMPAIGN, None, GIVEN) == expected
    assert telling_of(CAMPAIGN, DropReason.SAMPLED_OUT, GIVEN) == expected


def test_without_consent_to_its_purpose_nothing_is_told() -> None:
    assert telling_of(CAMPAIGN, None, frozenset()) is None
    assert telling_of(CAMPAIGN, DropReason.NO_CONSENT, ALL_PURPOSES - GIVEN) is None


@pytest.mark.parametrize("reason", sorted(PLACES))
def test_a_firing_where_nothing_may_be_collected_is_not_told(reason: DropReason) -> None:
    assert {DropReason.SENSITIVE_ZONE, DropReason.POSITION_UNKNOWN} == PLACES
    assert telling_of(CAMPAIGN, reason, ALL_PURPOSES) is None


@pytest.mark.parametrize("path", PLACES_AND_NAMES)
def test_a_condition_that_asks_for_a_place_or_a_name_is_not_told_of(path: str) -> None:
    assert telling_of(replace(CAMPAIGN, program=fires_on(path)), None, ALL_PURPOSES) is None


def test_one_such_signal_among_others_is_enough() -> None:
    nodes = (
        *fires_on(SPEED).nodes,
        *(replace(one, args=tuple(at + 3 for at in one.args)) for one in fires_on(PLACES_AND_NAMES[0]).nodes),
    )
    both = Program(PROGRAM_VERSION, (*nodes, Node(Op.AND, (2, 5))))
    assert telling_of(replace(CAMPAIGN, program=both), None, ALL_PURPOSES) is None


def test_a_campaign_with_an_area_is_not_told_of() -> None:
    yard = Zone("yard", ((48.0, 11.0), (48.0, 11.01), (48.01, 11.01)))
    assert telling_of(replace(CAMPAIGN, zones=(yard,)), None, ALL_PURPOSES) is None


# What


def test_what_is_told_is_the_firing_and_the_rules_it_went_by() -> None:
    told = told_firing(untold((SPEED, 8.5), ("detections.pedestrian", 2.0)), ROUTE)
    assert (told.campaign_id, told.campaign_version, told.purpose) == ("c", 4, Purpose.SAFETY)
    assert (told.t_ns, told.wall_ns, told.clip_id, told.drop) == (70, 1070, "a" * 32, None)
    assert (told.evidence, told.left_out) == (((SPEED, 8.5), ("detections.pedestrian", 2.0)), 0)
    assert (told.registration_serial, told.policy_version) == (1, 1)


def test_another_regions_firing_has_no_message() -> None:
    with pytest.raises(AssertionError, match="region cn"):
        told_firing(untold(), sample_region("eu", ("DE",)).route())


@pytest.mark.parametrize(
    ("classes", "left"),
    [
        ((), ()),
        ((DataClass.SIGNALS,), (SPEED,)),
        ((DataClass.DETECTIONS,), ("detections.cyclist",)),
        ((DataClass.LOCATION, DataClass.EXTERIOR_VIDEO), ()),
    ],
)
def test_a_data_class_that_the_policy_does_not_list_stays(
    classes: tuple[DataClass, ...], left: tuple[str, ...]
) -> None:
    told = told_firing(untold((SPEED, 1.0), ("detections.cyclist", 1.0)), allowing(*classes))
    assert tuple(name for name, _ in told.evidence) == left
    assert told.left_out == 2 - len(left)


def test_a_signal_that_its_clips_may_not_hold_stays() -> None:
    told = told_firing(untold((SPEED, 1.0), (BRAKE, 2.0), signals=(BRAKE,)), ROUTE)
    assert (told.evidence, told.left_out) == (((BRAKE, 2.0),), 1)


@pytest.mark.parametrize("seen", [math.nan, math.inf, -math.inf, "a word"])
def test_only_numbers_are_told(seen: float | str) -> None:
    told = told_firing(untold((SPEED, seen)), ROUTE)
    assert (told.evidence, told.left_out) == ((), 1)


def test_a_long_condition_is_told_in_part() -> None:
    paths = tuple(f"Vehicle.S{number}" for number in range(40))
    told = told_firing(untold(*((path, 1.0) for path in paths), signals=paths), ROUTE)
    assert [name for name, _ in told.evidence] == list(paths[:16])
    assert told.left_out == 24


@given(
    st.lists(st.tuples(st.sampled_from(SEEN), st.floats()), max_size=9),
    st.lists(st.sampled_from([*PLACES_AND_NAMES, SPEED]), max_size=6),
    st.frozensets(st.sampled_from(DataClass)),
    st.sampled_from(LocationRule),
)
def test_no_place_and_no_name_leaves_whatever_the_policy_and_the_campaign_say(
    evidence: list[tuple[str, float]],
    signals: list[str],
    classes: frozenset[DataClass],
    location: LocationRule,
) -> None:
    told = told_firing(untold(*evidence, signals=tuple(signals)), allowing(*classes, location=location))
    names = {name for name, _ in told.evidence}
    assert names <= {SPEED, "detections.car"}
    assert SPEED not in names or (SPEED in signals and DataClass.SIGNALS in classes)
    assert "detections.car" not in names or DataClass.DETECTIONS in classes
    assert len(told.evidence) + told.left_out == len(evidence)
