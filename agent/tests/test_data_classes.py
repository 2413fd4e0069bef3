"""What a policy does not list is in no clip: one vehicle, every set of classes, and what the region finds inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.pipeline.classes import after_redaction, before_redaction, for_purpose, rules_of
from fsd_agent.pipeline.redact import redact
from fsd_agent.records.clip import Clip, ClipRow, ClipState, RedactedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import DataClass, FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.records.worth import Valued, Worth
from fsd_agent.rules.cabin import CABIN_CLASSES
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.streams import looks
from fsd_agent.wire.clip import decode_clip, encode_clip
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.samples import EncodedPacket, GnssFixes, Kind, Signals

S = 1_000_000_000
RULES = RedactionRules(FaceRule.NONE, PlateRule.NONE, 0, S, LocationRule.KEEP, 0.05)
CATALOGUE = (
    CatalogueEntry("Vehicle.Speed", "double", "km/h", 0, 300, "speed"),
    CatalogueEntry("Vehicle.CurrentLocation.Latitude", "double", "degrees", -90, 90, "latitude"),
)
CAMERAS = ("front", "cabin_driver")


def clip(purpose: Purpose = Purpose.SAFETY) -> Clip:
    """Two cameras, one of which looks into the car; signals, one of which tells the place; looks; a fix."""
    paths = tuple(entry.path for entry in CATALOGUE)
    row = ClipRow("0" * 32, "cn", purpose, ClipState.CAPTURED, 0, S, S, CAMERAS, paths, 0)
    row = replace(row, worth=Worth(0.5, Valued.VALUED, (("motion", 0.25),)))
    evidence = (("Vehicle.Speed", 50.0), ("detections.front.pedestrian", 1.0))
    firing = Firing("walker", 1, 0, evidence)
    one = np.zeros(1)
    return Clip(
        row=row,
        firings=(JudgedFiring("f" * 32, firing, S, clip_id=row.clip_id, drop=None),),
        catalogue=CATALOGUE,
        signals=Signals(np.array([0, 0]), np.array([0, 1], np.int32), np.array([50.0, 31.2])),
        packets=tuple(EncodedPacket(camera, 0, "h264", keyframe=True, data=b"x") for camera in CAMERAS),
        detections=tuple(
            looks(camera, "firmware", [(0, [(int(Kind.PEDESTRIAN), 0.9, (1.0, 1.0, 9.0, 9.0))])])
            for camera in CAMERAS
        ),
        gnss=GnssFixes(np.zeros(1, np.int64), one + 31.2, one + 121.5, one, one, one),
        modes=(),
    )


def finished(allowed: frozenset[DataClass], purpose: Purpose = Purpose.SAFETY) -> RedactedClip:
    outcome = redact(before_redaction(clip(purpose), allowed), rules_of(RULES, allowed), None, (), sizes={})
    assert isinstance(outcome, RedactedClip)
    return after_redaction(outcome, allowed)


@settings(max_examples=64, deadline=None)
@given(allowed=st.frozensets(st.sampled_from(DataClass)))
def test_a_clip_holds_the_classes_that_are_listed_and_no_other(allowed: frozenset[DataClass]) -> None:
    contents = decode_clip(encode_clip(finished(allowed), vehicle="car-1", provenance={}))
    signals = {entry.path for entry in contents.catalogue}
    cameras = {packet.camera for packet in contents.packets}
    assert ("front" in cameras) == (DataClass.EXTERIOR_VIDEO in allowed)
    assert ("cabin_driver" in cameras) == (DataClass.CABIN_VIDEO in allowed)
    assert ("Vehicle.Speed" in signals) == (DataClass.SIGNALS in allowed)
    located = DataClass.LOCATION in allowed
    assert ("Vehicle.CurrentLocation.Latitude" in signals) == (located and DataClass.SIGNALS in allowed)
    assert bool(len(contents.gnss)) == located
    assert contents.provenance["redaction"]["utc_offset_h"] == (8 if located else None)
    seen = {frame.camera for frame in contents.frames}
    assert seen == (cameras if DataClass.DETECTIONS in allowed else set())
    (firing,) = contents.firings
    named = set(firing["evidence"])
    assert ("Vehicle.Speed" in named) == (DataClass.SIGNALS in allowed)
    assert ("detections.front.pedestrian" in named) == (DataClass.DETECTIONS in allowed)
    told = contents.provenance["value"]
    if {DataClass.DETECTIONS, DataClass.SIGNALS} <= allowed:
        assert told == {"v": 1, "value": 0.5, "why": "valued", "parts": {"motion": 0.25}}
    else:
        assert told == {"v": 1, "value": 0.0, "why": "withheld", "parts": {}}


@settings(max_examples=64, deadline=None)
@given(listed=st.frozensets(st.sampled_from(DataClass)), purpose=st.sampled_from(Purpose))
def test_the_cabin_leaves_for_occupant_monitoring_alone_and_the_street_for_any(
    listed: frozenset[DataClass], purpose: Purpose
) -> None:
    route = sample_region().route("car-1")
    listing = replace(route, policy=replace(route.policy, data_classes=listed))
    where = for_purpose(listing, purpose)
    assert where == replace(listing, policy=replace(listing.policy, data_classes=where.policy.data_classes))
    contents = decode_clip(
        encode_clip(finished(where.policy.data_classes, purpose), vehicle="car-1", provenance={})
    )
    cabin = purpose is Purpose.OCCUPANT_MONITORING and DataClass.CABIN_VIDEO in listed
    shown = {packet.camera for packet in contents.packets}
    assert ("cabin_driver" in shown) == cabin
    assert ("front" in shown) == (DataClass.EXTERIOR_VIDEO in listed)
    seen = {frame.camera for frame in contents.frames}
    assert ("cabin_driver" in seen) == (cabin and DataClass.DETECTIONS in listed)
    assert ("front" in seen) == ({DataClass.EXTERIOR_VIDEO, DataClass.DETECTIONS} <= listed)
    named = (
        finished(where.policy.data_classes, purpose).redaction.rules[-1].removeprefix("classes=").split("+")
    )
    assert not CABIN_CLASSES.intersection(named) or purpose is Purpose.OCCUPANT_MONITORING


def test_painting_still_knows_what_may_not_be_told() -> None:
    """Detections that may not leave are there for redaction, and gone after it."""
    allowed = frozenset({DataClass.EXTERIOR_VIDEO})
    prepared = before_redaction(clip(), allowed)
    assert [looks.camera for looks in prepared.detections] == ["front"]
    assert prepared.row.cameras == ("front",)
    assert finished(allowed).clip.detections == ()
    assert finished(allowed).redaction.rules[-1] == f"classes={'+'.join(sorted(allowed))}"


def test_nothing_is_taken_from_a_clip_whose_classes_are_all_listed() -> None:
    everything = frozenset(DataClass)
    before = clip()
    prepared = before_redaction(before, everything)
    assert (prepared.row, prepared.packets) == (before.row, before.packets)
    assert rules_of(RULES, everything) == RULES
    assert rules_of(RULES, frozenset()) == replace(RULES, location=LocationRule.DROP, time_zone=False)
