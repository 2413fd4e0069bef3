"""When pictures and sound of the cabin may be collected: never for a purpose that is not about the people in the vehicle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.campaign import SECOND_NS, Budget, Campaign, CaptureSpec
from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.purpose import MEANINGS, Purpose
from fsd_agent.records.region import DataClass
from fsd_agent.rules.cabin import class_of_camera, may_hold, may_show, why_not

OTHERS = [purpose for purpose in Purpose if purpose is not Purpose.OCCUPANT_MONITORING]
OUT = Campaign(
    id="c",
    version=1,
    purpose=Purpose.SAFETY,
    description="test",
    region_id="cn",
    source="Car.On",
    program=Program(PROGRAM_VERSION, (Node(Op.SIGNAL_BOOL, (), "Car.On"),)),
    hold_ns=0,
    cooldown_ns=0,
    capture=CaptureSpec(SECOND_NS, SECOND_NS, ("front", "rear"), ("Car.Speed",)),
    budget=Budget(None, None),
    sample_ratio=1.0,
    priority=0,
    valid_from_wall_ns=0,
    valid_until_wall_ns=1,
)


def compares(op: Op, camera: str) -> Program:
    nodes = (
        Node(Op.DETECTIONS),
        Node(Op.FIELD, (), "camera"),
        Node(Op.LITERAL, (), camera),
        Node(op, (1, 2)),
        Node(Op.EXISTS, (0, 3)),
    )
    return Program(PROGRAM_VERSION, nodes)


def sees(name: str) -> Program:
    return Program(PROGRAM_VERSION, (Node(Op.SEEN, (), name), Node(Op.LITERAL, (), 0), Node(Op.GT, (0, 1))))


def head(camera: str) -> Head:
    return Head("looks_away", "firmware:net", camera, 8, (HeadLayer(1, 2, b"\1\0\2\0", (0,), 0),), 1.0)


NAMING = [
    ("capture.cameras", replace(OUT, capture=replace(OUT.capture, cameras=("front", "cabin_driver")))),
    ("condition", replace(OUT, program=compares(Op.EQ, "cabin_driver"))),
    ("condition", replace(OUT, program=sees("cabin_driver"))),
    ("heads.looks_away.camera", replace(OUT, heads=(head("front"), head("cabin_driver")))),
]


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        ("front", DataClass.EXTERIOR_VIDEO),
        ("left", DataClass.EXTERIOR_VIDEO),
        ("cabin", DataClass.CABIN_VIDEO),
        ("cabin_rear", DataClass.CABIN_VIDEO),
    ],
)
def test_a_cameras_class_is_in_its_name(camera: str, expected: DataClass) -> None:
    assert class_of_camera(camera) is expected


@given(listed=st.frozensets(st.sampled_from(DataClass)), purpose=st.sampled_from(Purpose))
def test_the_cabin_needs_policy_and_purpose_and_nothing_else_needs_more_than_the_policy(
    listed: frozenset[DataClass], purpose: Purpose
) -> None:
    held = may_hold(listed, purpose)
    about = purpose is Purpose.OCCUPANT_MONITORING
    for one in DataClass:
        of_the_cabin = one in {DataClass.CABIN_VIDEO, DataClass.AUDIO}
        assert (one in held) == (one in listed and (about or not of_the_cabin))
    assert may_show("front", purpose)
    assert may_show("cabin_driver", purpose) == about


@pytest.mark.parametrize("purpose", OTHERS)
@pytest.mark.parametrize(("field", "naming"), NAMING)
def test_no_other_purpose_names_a_camera_of_the_cabin(field: str, naming: Campaign, purpose: Purpose) -> None:
    found = why_not(replace(naming, purpose=purpose))
    assert found is not None
    assert found[0] == field
    assert found[1] == (
        f"camera 'cabin_driver' looks into the cabin, and the purpose is {purpose}: leave the camera out, "
        "or make a campaign for it whose purpose is occupant_monitoring"
    )


@pytest.mark.parametrize(("field", "naming"), NAMING)
def test_occupant_monitoring_names_any(field: str, naming: Campaign) -> None:
    assert why_not(replace(naming, purpose=Purpose.OCCUPANT_MONITORING)) is None, field


@pytest.mark.parametrize("purpose", Purpose)
def test_what_does_not_ask_for_the_cabin_is_for_every_purpose(purpose: Purpose) -> None:
    """Not to want what a camera sees is not to name it, and a source of detections is no camera."""
    for campaign in (
        OUT,
        replace(OUT, heads=(head("front"),)),
        replace(OUT, program=compares(Op.EQ, "rear")),
        replace(OUT, program=compares(Op.NE, "cabin_driver")),
        replace(OUT, program=sees("cabin_net@1.2")),
    ):
        assert why_not(replace(campaign, purpose=purpose)) is None


def test_the_person_is_asked_about_the_cabin_by_name() -> None:
    asking = [purpose for purpose in Purpose if "cabin" in MEANINGS[purpose]]
    assert asking == [Purpose.OCCUPANT_MONITORING]
