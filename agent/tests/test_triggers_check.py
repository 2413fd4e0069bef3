"""What a vehicle refuses before a swap, with the field and the reason that operators read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fsd_agent.records.campaign import SECOND_NS, Budget, Campaign, CaptureSpec
from fsd_agent.records.head import Head, HeadLayer
from fsd_agent.records.program import PROGRAM_VERSION, Node, Op, Program
from fsd_agent.records.purpose import Purpose
from fsd_agent.rules.triggers.check import CampaignRefusedError, check_campaign
from fsd_firmware.catalogue import Catalogue, CatalogueEntry

CATALOGUE = Catalogue(
    (
        CatalogueEntry("Car.Speed", "double", "km/h", 0, 250, ""),
        CatalogueEntry("Car.On", "bool", "", 0, 1, ""),
    )
)
ON = Program(PROGRAM_VERSION, (Node(Op.SIGNAL_BOOL, (), "Car.On"),))
REAR = Program(
    PROGRAM_VERSION,
    (
        Node(Op.DETECTIONS),
        Node(Op.FIELD, (), "camera"),
        Node(Op.LITERAL, (), "rear"),
        Node(Op.EQ, (1, 2)),
        Node(Op.EXISTS, (0, 3)),
    ),
)
GOOD = Campaign(
    id="c",
    version=1,
    purpose=Purpose.SAFETY,
    description="test",
    region_id="cn",
    source="Car.On",
    program=ON,
    hold_ns=0,
    cooldown_ns=0,
    capture=CaptureSpec(5 * SECOND_NS, 60 * SECOND_NS, ("front",), ("Car.Speed",)),
    budget=Budget(None, None),
    sample_ratio=1.0,
    priority=0,
    valid_from_wall_ns=0,
    valid_until_wall_ns=1,
)


def check(campaign: Campaign) -> None:
    check_campaign(campaign, CATALOGUE, ("front",), "cn", 5 * SECOND_NS)


def test_the_cabin_is_open_to_its_own_purpose() -> None:
    inside = replace(GOOD, capture=replace(GOOD.capture, cameras=("cabin_driver",)))
    about = replace(inside, purpose=Purpose.OCCUPANT_MONITORING)
    check_campaign(about, CATALOGUE, ("front", "cabin_driver"), "cn", 5 * SECOND_NS)


def test_a_campaign_that_fits_is_taken() -> None:
    check(GOOD)
    check(replace(GOOD, heads=(head("front"),)))


@pytest.mark.parametrize("name", ["front", "firmware", "firmware:drivenet", "nanodet-m@1.2"])
def test_who_looked_may_be_a_camera_or_any_source(name: str) -> None:
    check(replace(GOOD, program=seen(name)))


def head(camera: str) -> Head:
    layer = HeadLayer(1, 2, b"\1\0\2\0", (0,), 0)
    return Head("crossing", "firmware:drivenet", camera, 8, (layer,), 1.0)


def seen(name: str) -> Program:
    return reads(Node(Op.SEEN, (), name), Node(Op.LITERAL, (), 0), Node(Op.GT, (0, 1)))


def reads(*nodes: Node) -> Program:
    return Program(PROGRAM_VERSION, nodes)


@pytest.mark.parametrize(
    ("campaign", "field", "reason"),
    [
        (replace(GOOD, region_id="eu"), "region", "is for 'eu', this vehicle belongs to 'cn'"),
        (
            replace(GOOD, program=reads(Node(Op.SIGNAL_BOOL, (), "Car.Off"))),
            "condition",
            "unknown signal 'Car.Off'",
        ),
        (
            replace(GOOD, program=reads(Node(Op.SIGNAL_BOOL, (), "Car.Speed"))),
            "condition",
            "takes Car.Speed for bool, on this vehicle it is double",
        ),
        (replace(GOOD, program=seen("rear")), "condition", "no camera 'rear' on this vehicle"),
        (replace(GOOD, heads=(head("rear"),)), "heads.crossing", "no camera 'rear' on this vehicle"),
        (
            replace(
                GOOD,
                program=reads(
                    Node(Op.SIGNAL_BOOL, (), "Car.On"),
                    Node(Op.SIGNAL_DOUBLE, (), "Car.On"),
                    Node(Op.LITERAL, (), 1.0),
                    Node(Op.GT, (1, 2)),
                    Node(Op.AND, (0, 3)),
                ),
            ),
            "condition",
            "signal Car.On: taken for bool and for double",
        ),
        (replace(GOOD, program=REAR), "condition", "no camera 'rear' on this vehicle"),
        (
            replace(GOOD, capture=replace(GOOD.capture, before_ns=5 * SECOND_NS + 1)),
            "capture.before",
            "more than the 5 s that this vehicle's ring holds",
        ),
        (
            replace(GOOD, capture=replace(GOOD.capture, cameras=("rear",))),
            "capture.cameras",
            "no camera 'rear'",
        ),
        (
            replace(GOOD, capture=replace(GOOD.capture, signals=("Car.X",))),
            "capture.signals",
            "unknown signal 'Car.X'",
        ),
        (
            replace(GOOD, capture=replace(GOOD.capture, cameras=("front", "cabin_driver"))),
            "capture.cameras",
            "camera 'cabin_driver' looks into the cabin, and the purpose is safety",
        ),
    ],
)
def test_refused(campaign: Campaign, field: str, reason: str) -> None:
    with pytest.raises(CampaignRefusedError) as caught:
        check(campaign)
    assert (caught.value.campaign, caught.value.field) == ("c", field)
    assert reason in caught.value.reason
