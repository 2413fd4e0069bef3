"""Zones, fences, drive states, re-arming, schedules and heads of a campaign file: what arrives, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.records.campaign import LIMITS, SECOND_NS, Campaign
from fsd_agent.records.program import Op, names
from fsd_firmware.catalogue import Catalogue, CatalogueEntry
from fsd_tools.campaign.compiler import CampaignError, compile_campaign

CATALOGUE = Catalogue((CatalogueEntry("V.Speed", "double", "km/h", 0, 250, ""),))
BASE = """
id: fenced
purpose: safety
description: Near the depot.
condition: V.Speed > 30.0
capture: {before: 3s, after: 2s}
valid: {from: 2026-01-01, until: 2026-12-31}
"""
DEPOT = [[48.0, 11.0], [48.0, 11.1], [48.1, 11.1]]


def compiled(text: str, folder: Path | None = None) -> Campaign:
    file = str((folder or Path()) / "fenced.yaml")
    return compile_campaign(BASE + text, file=file, catalogue=CATALOGUE, cameras=["front"])


def test_corners_are_latitude_and_longitude() -> None:
    found = compiled(f"zones: {{depot: {DEPOT}}}\ngeofence: {{inside: [depot]}}")
    assert [(zone.name, zone.corners) for zone in found.zones] == [
        ("depot", ((48.0, 11.0), (48.0, 11.1), (48.1, 11.1)))
    ]
    assert names(found.program, Op.ZONE) == ("depot",)


def test_a_ring_may_say_its_first_corner_again() -> None:
    closed = compiled(f"zones: {{depot: {[*DEPOT, DEPOT[0]]}}}\ngeofence: {{outside: [depot]}}")
    assert len(closed.zones[0].corners) == 3


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


RING = [[11.0, 48.0], [11.1, 48.0, 520.0], [11.1, 48.1], [11.0, 48.0]]


@pytest.mark.parametrize(
    "content",
    [
        polygon(RING),
        {"type": "Feature", "properties": {"name": "x"}, "geometry": polygon(RING)},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": polygon(RING)}]},
    ],
)
def test_geojson_lies_beside_the_file_and_has_longitude_first(tmp_path: Path, content: Any) -> None:
    (tmp_path / "depot.geojson").write_text(json.dumps(content))
    found = compiled("zones: {depot: depot.geojson}\ngeofence: {inside: [depot]}", tmp_path)
    assert found.zones[0].corners == ((48.0, 11.0), (48.0, 11.1), (48.1, 11.1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "can't be read as GeoJSON"),
        ("[]", "holds no single GeoJSON polygon"),
        (json.dumps({"type": "FeatureCollection", "features": []}), "holds no single GeoJSON polygon"),
        (json.dumps({"type": "Feature", "geometry": None}), "holds no single GeoJSON polygon"),
        (json.dumps({"type": "Point", "coordinates": [1, 2]}), "holds no single GeoJSON polygon"),
        (json.dumps(polygon(RING, RING)), "2 rings; a zone is one ring without holes"),
        (json.dumps(polygon([[1.0], [2.0], [3.0]])), "coordinates: Expected `array` of length >= 2"),
        (json.dumps({"type": "Polygon"}), "coordinates: Expected `array`, got `null`"),
        (json.dumps(polygon([[11.0, 98.0], [11.1, 98.0], [11.1, 98.1]])), "latitude is -90 to 90 and comes first"),
        (" " * ((1 << 20) + 1), "more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_geojson_that_is_no_zone(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "depot.geojson").write_text(content)
    with pytest.raises(CampaignError) as caught:
        compiled("zones: {depot: depot.geojson}\ngeofence: {inside: [depot]}", tmp_path)
    assert caught.value.field == "zones.depot"
    assert reason in caught.value.reason


def test_states_and_fence_are_part_of_the_condition() -> None:
    zones = f"zones: {{depot: {DEPOT}, school: {DEPOT}}}\n"
    found = compiled(zones + "states: [manual, assisted]\ngeofence: {inside: [depot], outside: [school]}")
    assert names(found.program, Op.MODE) == ("assisted", "manual")
    assert names(found.program, Op.ZONE) == ("depot", "school")
    assert found.source == "V.Speed > 30.0"


def test_rearm_and_schedule_arrive() -> None:
    found = compiled(
        'rearm: 2.5s\nschedule: {zone: Europe/Berlin, days: [mon], from: "07:00", until: "09:00"}'
    )
    assert found.rearm_ns == 2_500_000_000
    assert found.schedule is not None
    assert [(span.from_ns, span.until_ns) for span in found.schedule.spans] == [
        (7 * 3600 * SECOND_NS, 9 * 3600 * SECOND_NS)
    ]
    assert [offset.offset_s for offset in found.schedule.offsets] == [3600, 7200, 3600]
    assert compiled("").schedule is None


HEAD = (
    "heads: {{crossing: {{source: 'firmware:net', camera: {}, weights: [{{weights: {}, biases: [0.5]}}]}}}}\n"
)


def test_a_head_is_part_of_its_campaign() -> None:
    text = BASE.replace("V.Speed > 30.0", 'head("crossing") > 1.5') + HEAD.format("front", "[[1.0, -2.0]]")
    found = compile_campaign(text, file="headed.yaml", catalogue=CATALOGUE, cameras=["front"])
    assert [(head.name, head.camera, head.inputs) for head in found.heads] == [("crossing", "front", 2)]
    assert names(found.program, Op.HEAD) == ("crossing",)


FENCE = "geofence: {inside: [depot]}"
BAD = [
    ("rearm: 2h", "rearm", "'2h' is more than 3600 s: use cooldown for a longer rest"),
    ("rearm: 2", "rearm", "2: Expected `str`, got `int`"),
    ("states: [driving]", "states[0]", "'driving': Invalid enum value"),
    ("states: []", "states", "Expected `array` of length >= 1"),
    ("states: [manual, manual]", "states", "a name is there twice"),
    ("schedule: {zone: Europe/Berlim, from: '07:00', until: '09:00'}", "schedule.zone", "did you mean 'Europe/Berlin'?"),
    ("schedule: {from: '07:00', until: '09:00'}", "schedule", "zone"),
    (FENCE, "geofence.inside", "no zone 'depot' in this file's 'zones'; there is none"),
    (f"zones: {{depott: {DEPOT}}}\n{FENCE}", "geofence.inside", "did you mean 'depott'?"),
    (f"zones: {{depot: {DEPOT}}}\ngeofence: {{inside: [depot], outside: [depot]}}", "geofence", "a name is there twice"),
    (f"zones: {{depot: {DEPOT}}}\ngeofence: {{insde: [depot]}}", "geofence", "unknown field `insde`"),
    (f"zones: {{depot: {DEPOT}}}", "zones.depot", "nothing refers to it"),
    (f"zones: {{De Pot: {DEPOT}}}", "zones", "'De Pot': a name is 1 to 64 of a-z0-9_-"),
    (f"zones: {{1: {DEPOT}}}", "zones", "1"),
    ("zones: {depot: depot.geojson}", "zones.depot", "depot.geojson: can't be read as GeoJSON: [Errno 2]"),
    ("zones: {depot: 7}", "zones.depot", "a zone is a list of corners as [latitude, longitude], or the name of a GeoJSON file"),
    ("zones: {depot: [[1, 2, 3]]}", "zones.depot", "a zone is a list of corners"),
    ("zones: {depot: [[48, 11], [48, 12]]}", "zones.depot", "2 different corners; an area has at least three"),
    ("zones: {depot: [[48, 11], [48, 12], [48, 11]]}", "zones.depot", "2 different corners"),
    ("zones: {depot: [[11, 148], [11, 149], [12, 188]]}", "zones.depot", "corner 2 (12, 188): latitude is -90 to 90"),
    ("zones: {depot: [[.nan, 148], [11, 149], [12, 18]]}", "zones.depot", "corner 0 (nan, 148)"),
    ("zones: {depot: [[1, -179], [1, 179], [2, 179]]}", "zones.depot", "more than 180 degrees of longitude"),
    (f"zones: {{depot: {[[1, at / 10] for at in range(LIMITS.corners + 1)]}}}", "zones.depot", "257 corners; at most 256"),
    (f"zones: {{{', '.join(f'z{at}: {DEPOT}' for at in range(LIMITS.zones + 1))}}}", "zones", "17 zones; at most 16"),
    (HEAD.format("front", "[[1.0, -2.0]]"), "heads.crossing", "nothing refers to it"),
    (HEAD.format("frnt", "[[1.0, -2.0]]"), "heads.crossing.camera", "no camera 'frnt' on this vehicle - did you mean 'front'?"),
    (HEAD.format("front", "[[1.0], [2.0]]"), "heads.crossing", "layer 0"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "field", "reason"), BAD, ids=[text[:40] for text, _, _ in BAD])
def test_refused(text: str, field: str, reason: str) -> None:
    with pytest.raises(CampaignError) as caught:
        compiled(text)
    assert caught.value.field == field
    assert reason in caught.value.reason
