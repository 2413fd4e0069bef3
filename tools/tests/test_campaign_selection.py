"""``selection`` in a campaign file: what it compiles to, what is refused, and what the families say."""

from __future__ import annotations

import pytest
from rich.console import Console

from fsd_agent.records.campaign import Campaign
from fsd_agent.records.selection_rule import SELECTS_AS_USUAL, USUAL, Cameras, Fault, SelectionRule
from fsd_tools.campaign.compiler import CampaignError, compile_campaign
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.campaign.summary import campaign_table
from fsd_tools.drive.vehicles import fsd_demo

FILE = """
id: walker
purpose: safety
description: test
condition: Vehicle.Speed > 3.0
capture: {before: 1s, after: 1s, cameras: [front]}
valid: {from: 2026-01-01, until: 2026-12-31}
"""


def compiled(text: str) -> Campaign:
    return compile_campaign(
        text, file="walker.yaml", catalogue=fsd_demo().catalogue, cameras=["front", "narrow"]
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", SELECTS_AS_USUAL),
        ("selection: {}", SELECTS_AS_USUAL),
        ("selection: {quality: {reject: []}}", SelectionRule(frozenset())),
        (
            "selection: {quality: {reject: [dark, black]}}",
            SelectionRule(frozenset({Fault.BLACK, Fault.DARK})),
        ),
        ("selection: {quality: {cameras: all}}", SelectionRule(USUAL, Cameras.ALL)),
        ("selection: {confirm: false}", SelectionRule(USUAL, Cameras.ANY, confirm=False)),
        ("selection: {keep: 4500ms}", SelectionRule(keep_ns=4_500_000_000)),
        ("selection: {keep: 3s}", SelectionRule(keep_ns=3_000_000_000)),
        ("selection: {keep: 1.5min}", SelectionRule(keep_ns=90_000_000_000)),
    ],
)
def test_what_it_says_is_compiled(said: str, expected: SelectionRule) -> None:
    assert compiled(FILE + said).selection == expected


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("selection: {quality: {reject: [rainy]}}", "walker.yaml: selection.quality.reject[0]: 'rainy': Invalid enum"),
        ("selection: {quality: {reject: [dark, dark]}}", "walker.yaml: selection.quality.reject: a fault is there twice"),
        ("selection: {quality: {cameras: most}}", "walker.yaml: selection.quality.cameras: 'most': Invalid enum value"),
        ("selection: {quality: dark}", "walker.yaml: selection.quality: 'dark': Expected `object`"),
        ("selection: {confirm: 1}", "walker.yaml: selection.confirm: 1: Expected `bool`"),
        ("selection: {keep: 2999ms}", "walker.yaml: selection.keep: '2999ms' is less than 3 s"),
        ("selection: {keep: 91s}", "walker.yaml: selection.keep: '91s' is more than 90 s"),
        ("selection: {keep: 4}", "walker.yaml: selection.keep: 4: Expected `str"),
        ("selection: {keep: all}", "walker.yaml: selection.keep: 'all' is not a duration"),
        ("selection: {sharpness: 3}", "walker.yaml: selection"),
    ],
)  # fmt: skip
def test_what_it_can_not_say_is_refused_with_its_place(said: str, reason: str) -> None:
    with pytest.raises(CampaignError) as caught:
        compiled(FILE + said)
    assert str(caught.value).startswith(reason)


def test_the_family_about_crossing_keeps_the_crossing() -> None:
    found = {path.stem: compiled(path.read_text(encoding="utf-8")) for path in FAMILIES.glob("*.yaml")}
    keeps = {name: one.selection.keep_ns for name, one in found.items() if one.selection.keep_ns is not None}
    assert keeps == {"pedestrian_crossing_ahead": 4_000_000_000}
    window = found["pedestrian_crossing_ahead"].capture
    longer_half_ns = max(window.before_ns, window.after_ns)
    assert longer_half_ns < 4_000_000_000, "of a window with one firing the firing's moment is always kept"


def test_the_table_says_what_is_kept_beside_what_is_captured() -> None:
    console = Console(record=True, width=200)
    console.print(campaign_table("", [compiled(FILE), compiled(FILE + "selection: {keep: 4500ms}")]))
    text = console.export_text()
    assert text.count("-1 s +1 s") == 2
    assert text.count("best 4.5 s") == 1


def test_families_that_are_about_the_night_or_the_detector_say_so() -> None:
    found = {
        path.stem: compiled(path.read_text(encoding="utf-8")).selection for path in FAMILIES.glob("*.yaml")
    }
    for name in ("night_vru", "tunnel_with_vru"):
        assert found[name].reject == USUAL - {Fault.BLACK}
    unconfirmed = {name for name, rule in found.items() if not rule.confirm}
    mistakes = {"detection_flicker", "late_detection", "main_narrow_disagreement"}
    assert unconfirmed == mistakes | {"near_miss", "hard_braking_vru_near"}
    assert [name for name, rule in found.items() if rule.cameras is Cameras.ALL] == [
        "main_narrow_disagreement"
    ]
