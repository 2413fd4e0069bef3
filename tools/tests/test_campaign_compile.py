"""What an author gets wrong, and what he is told: file, field, value, and what to do."""

from __future__ import annotations

import pytest

from fsd_agent.records.campaign import SECOND_NS, Campaign
from fsd_agent.records.link_rule import LinkRule, Links
from fsd_agent.records.novelty import NoveltyMode
from fsd_agent.records.worth import DEFAULT_WEIGHTS, Weights
from fsd_tools.campaign.compiler import UNASSIGNED, CampaignError, compile_campaign
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.drive.vehicles import DEMO_CAMERAS, fsd_demo

CATALOGUE = fsd_demo().catalogue
CAMERAS = ("front", "narrow")
GOOD = """
id: braking
version: 2
purpose: safety
description: Brakes.
region: cn
condition: Vehicle.Acceleration.Longitudinal < -4
hold: 300ms
cooldown: 1.5min
capture: {before: 3s, after: 2.5s, cameras: [front], signals: [Vehicle.Speed]}
budget: {clips_per_day: 5}
sample_ratio: 0.5
priority: 7
valid: {from: 2026-01-01, until: 2026-12-31T12:00:00+08:00}
"""


def compiled(text: str, region_id: str | None = None) -> Campaign:
    return compile_campaign(
        text, file="braking.yaml", catalogue=CATALOGUE, cameras=CAMERAS, region_id=region_id
    )


def test_every_field_arrives() -> None:
    found = compiled(GOOD)
    assert (found.id, found.version, found.region_id, found.priority) == ("braking", 2, "cn", 7)
    assert (found.hold_ns, found.cooldown_ns) == (300_000_000, 90 * SECOND_NS)
    assert (found.capture.before_ns, found.capture.after_ns) == (3 * SECOND_NS, 2_500_000_000)
    assert (found.capture.cameras, found.capture.signals) == (("front",), ("Vehicle.Speed",))
    assert (found.budget.clips_per_day, found.budget.bytes_per_day) == (5, None)
    assert found.valid_from_wall_ns == 1_767_225_600 * SECOND_NS
    assert found.valid_until_wall_ns == 1_798_689_600 * SECOND_NS
    assert found.source == "Vehicle.Acceleration.Longitudinal < -4"


def test_a_day_is_valid_to_its_end() -> None:
    found = compiled(GOOD.replace("2026-12-31T12:00:00+08:00", "2026-01-01"))
    assert found.valid_until_wall_ns - found.valid_from_wall_ns == 86_400 * SECOND_NS


def test_a_template_takes_the_region_it_goes_to() -> None:
    template = GOOD.replace("region: cn\n", "")
    assert compiled(template, "eu").region_id == "eu"
    assert compiled(template).region_id == UNASSIGNED
    assert compiled(GOOD, "cn").region_id == "cn"


BAD: list[tuple[str, str, str, str]] = [
    # what is replaced, by what, field, reason
    ("Longitudinal < -4", "Longitudinl < -4", "condition",
     "line 1 column 21: unknown signal 'Vehicle.Acceleration.Longitudinl' - did you mean 'Vehicle.Acceleration.Longitudinal'?"),
    ("Longitudinal < -4", "Longitudinal", "condition", "is a double; a condition is a bool, true or false"),
    ("Longitudinal < -4", 'Longitudinal < "four"', "condition", "no matching overload for '_<_' applied to '(double, string)'"),
    ("before: 3s", "before: 31s", "capture.before", "'31s' is more than 30 s: the vehicle's ring reaches no further back"),
    ("after: 2.5s", "after: 2min", "capture.after", "'2min' is more than 60 s: a longer window is a recording"),
    ("before: 3s, after: 2.5s", "before: 0s, after: 0ms", "capture", "before '0s' and after '0ms': the clip would be empty"),
    ("before: 3s", "before: 3", "capture.before", "3: Expected `str`, got `int`"),
    ("before: 3s", "before: 3 s", "capture.before", "'3 s' is not a duration such as 300ms, 5s, 1.5min, 2h or 3d"),
    ("before: 3s", "before: -3s", "capture.before", "'-3s' is not a duration"),
    ("region: cn", "region: [cn, eu]", "region", "['cn', 'eu']: a campaign is for one region; push one file to each"),
    ("region: cn", "regions: [cn, eu]", "region", "['cn', 'eu']: a campaign is for one region"),
    ("region: cn", "region: cn\nregion: eu", "YAML", "region is there twice"),
    ("region: cn", "region: C/N", "region", "'C/N'"),
    ("cameras: [front]", "cameras: [frnt]", "capture.cameras", "no camera 'frnt' on this vehicle - did you mean 'front'?"),
    ("cameras: [front]", "cameras: [top]", "capture.cameras", "no camera 'top' on this vehicle; there is front, narrow"),
    ("cameras: [front]", "cameras: [front, front]", "capture.cameras", "a name is there twice"),
    ("[Vehicle.Speed]", "[Vehicle.Sped]", "capture.signals", "unknown signal 'Vehicle.Sped' - did you mean 'Vehicle.Speed'?"),
    ("hold: 300ms", "hold: 2min", "hold", "'2min' is more than 60 s: a condition that must hold longer is a state"),
    ("hold: 300ms", "holds: 300ms", "holds", "unknown field `holds`"),
    ("purpose: safety\n", "", "purpose", "missing required field `purpose`"),
    ("description: Brakes.\n", "", "description", "missing required field `description`"),
    ("purpose: safety", "purpose: Why not.", "purpose", "'Why not.': Invalid enum value 'Why not.': there is automated_driving, safety, diagnostics, occupant_monitoring; what is looked for is for description"),
    ("clips_per_day: 5", "clips_per_day: -5", "budget.clips_per_day", "-5: Expected `int` >= 0"),
    ("clips_per_day: 5", "clips_a_day: 5", "budget", "unknown field `clips_a_day`"),
    ("sample_ratio: 0.5", "sample_ratio: 0", "sample_ratio", "0: Expected `float` > 0"),
    ("priority: 7", "priority: high", "priority", "'high': Expected `int`, got `str`"),
    ("from: 2026-01-01", "from: 2027-01-01", "valid", "until 2026-12-31 12:00:00+08:00 is not after from 2027-01-01"),
    ("from: 2026-01-01", "from: '2026-01-01'", "valid.from", "'2026-01-01' is not a date such as 2026-11-20 (without quotes)"),
    ("T12:00:00+08:00", "T12:00:00", "valid.until", "2026-12-31T12:00:00: needs a zone, as in 2026-12-31T12:00:00Z"),
    ("priority: 7", "uplink: {links: cellular}", "uplink.links", "'cellular': Invalid enum value"),
    ("priority: 7", "uplink: {link: any}", "uplink", "unknown field `link`"),
    ("priority: 7", "uplink: {deadline: 9min}", "uplink.deadline", "'9min' is less than 600 s: the vehicle looks no oftener"),
    ("priority: 7", "uplink: {deadline: 367d}", "uplink.deadline", "is more than 3.16224e+07 s: leave it out"),
    ("priority: 7", "selection: {weights: {crossing: 1}}", "selection.weights.crossing", "no such part of a value; there is begins_to_cross, rarity,"),
    ("priority: 7", "selection: {weights: {closenes: 1}}", "selection.weights.closenes", "no such part of a value - did you mean 'closeness'?"),
    ("priority: 7", "selection: {weights: {motion: -1}}", "selection.weights", "motion: -1.0: a weight is a number from 0 to 100"),
    ("priority: 7", "selection: {weights: {motion: .nan}}", "selection.weights", "motion: nan: a weight is a number"),
    ("priority: 7", "selection: {weights: {motion: 0}}", "selection.weights", "every weight is 0: at least one part must count"),
    ("priority: 7", "selection: {weights: {}}", "selection.weights", "every weight is 0"),
    ("priority: 7", "selection: {weights: {motion: high}}", "selection.weights[...]", "Expected `float`, got `str`"),
    ("priority: 7", "selection: {weigths: {}}", "selection", "unknown field `weigths`"),
    ("priority: 7", "selection: {novelty: some}", "selection.novelty", "'some': Invalid enum value 'some'"),
    ("priority: 7", "selection: {novelty: on}", "selection.novelty", "'on': there is off, normal, strict"),
    ("priority: 7", "selection: {novel: off}", "selection", "unknown field `novel`"),
    ("id: braking", "id: Braking!", "id", "'Braking!'"),
    ("Longitudinal < -4", "Longitudinal < -4" + " " * 4096 + "|| true", "condition", "|| true': Expected `str` of length <= 4096"),
    ("description: Brakes.", f"description: {'x' * 1025}", "description", "xxx': Expected `str` of length <= 1024"),
    (GOOD, "- a\n- b\n", "YAML", "a campaign is a map of fields, not list"),
    (GOOD, "a: [", "YAML", "while parsing"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "field", "reason"), BAD, ids=[row[1][:40] for row in BAD])
def test_bad_file(old: str, new: str, field: str, reason: str) -> None:
    assert old in GOOD
    with pytest.raises(CampaignError) as caught:
        compiled(GOOD.replace(old, new))
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"braking.yaml: {field}: ")


CABIN_NAMED = [
    ("cameras: [front]", "cameras: [front, cabin_driver]", "capture.cameras"),
    ("Vehicle.Acceleration.Longitudinal < -4", 'detections.exists(d, d.camera == "cabin_driver")', "condition"),
    ("Vehicle.Acceleration.Longitudinal < -4", 'detections.exists(d, d.camera in ["front", "cabin_driver"])', "condition"),
    ("Vehicle.Acceleration.Longitudinal < -4", 'disagree("front", "cabin_driver")', "condition"),
    ("condition: Vehicle.Acceleration.Longitudinal < -4", "heads: {h: {source: 'firmware:net', camera: cabin_driver, weights: [{weights: [[1, 2]], biases: [0]}]}}\ncondition: head(\"h\") > 0.0", "heads.h.camera"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "field"), CABIN_NAMED, ids=[row[1][-40:] for row in CABIN_NAMED])
def test_the_cabin_is_for_one_purpose_alone(old: str, new: str, field: str) -> None:
    assert old in GOOD
    text, cameras = GOOD.replace(old, new), (*CAMERAS, "cabin_driver")
    with pytest.raises(CampaignError) as caught:
        compile_campaign(text, file="braking.yaml", catalogue=CATALOGUE, cameras=cameras)
    assert str(caught.value) == (
        f"braking.yaml: {field}: camera 'cabin_driver' looks into the cabin, and the purpose is safety: leave the camera out, "
        "or make a campaign for it whose purpose is occupant_monitoring"
    )
    about = text.replace("purpose: safety", "purpose: occupant_monitoring")
    assert compile_campaign(about, file="braking.yaml", catalogue=CATALOGUE, cameras=cameras)


def test_a_condition_may_say_that_it_is_not_about_the_cabin() -> None:
    text = GOOD.replace(
        "Vehicle.Acceleration.Longitudinal < -4", 'detections.exists(d, d.camera != "cabin_driver")'
    )
    assert compile_campaign(text, file="a.yaml", catalogue=CATALOGUE, cameras=(*CAMERAS, "cabin_driver"))


def test_a_file_for_another_region_is_refused() -> None:
    with pytest.raises(CampaignError, match="region: 'cn': the campaign is for another region than 'eu'"):
        compiled(GOOD, "eu")


def test_families_are_templates_that_suit_the_shipped_vehicle() -> None:
    for path in FAMILIES.glob("*.yaml"):
        found = compile_campaign(
            path.read_text(), file=path.name, catalogue=CATALOGUE, cameras=DEMO_CAMERAS, region_id="eu"
        )
        assert (f"{found.id}.yaml", found.region_id) == (path.name, "eu")


@pytest.mark.parametrize(
    ("uplink", "rule"),
    [
        ("", LinkRule(Links.UNMETERED, roaming=False, urgent=False, deadline_ns=None)),
        ("uplink: {}", LinkRule()),
        ("uplink: {links: wifi}", LinkRule(Links.WIFI)),
        (
            "uplink: {links: any, roaming: true, urgent: true, deadline: 2d}",
            LinkRule(Links.ANY, roaming=True, urgent=True, deadline_ns=2 * 86_400 * 10**9),
        ),
        ("uplink: {deadline: 10min}", LinkRule(deadline_ns=600 * 10**9)),
    ],
)
def test_what_a_file_says_of_links(uplink: str, rule: LinkRule) -> None:
    assert compiled(GOOD.replace("priority: 7", uplink)).uplink == rule


@pytest.mark.parametrize(
    ("selection", "weights"),
    [
        ("", DEFAULT_WEIGHTS),
        ("selection: {}", DEFAULT_WEIGHTS),
        ("selection: {weights: {closeness: 2, motion: 0.5}}", Weights(0.0, 0.0, 0.5, 2.0, 0.0, 0.0)),
        ("selection: {weights: {begins_to_cross: 1}}", Weights(1.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_what_a_file_says_of_its_clips_value(selection: str, weights: Weights) -> None:
    assert compiled(GOOD.replace("priority: 7", selection)).weights == weights


@pytest.mark.parametrize(
    ("purpose", "selection", "mode"),
    [
        ("safety", "", NoveltyMode.OFF),
        ("automated_driving", "", NoveltyMode.NORMAL),
        ("diagnostics", "selection: {}", NoveltyMode.NORMAL),
        ("automated_driving", "selection: {novelty: off}", NoveltyMode.OFF),
        ("automated_driving", "selection: {novelty: 'off'}", NoveltyMode.OFF),
        ("safety", "selection: {novelty: normal}", NoveltyMode.NORMAL),
        ("safety", "selection: {novelty: strict}", NoveltyMode.STRICT),
        ("occupant_monitoring", "", NoveltyMode.OFF),
        ("occupant_monitoring", "selection: {novelty: normal}", NoveltyMode.NORMAL),
    ],
)
def test_what_a_file_says_of_novelty(purpose: str, selection: str, mode: NoveltyMode) -> None:
    text = GOOD.replace("purpose: safety", f"purpose: {purpose}").replace("priority: 7", selection)
    assert compiled(text).novelty is mode
