"""Every example of docs/campaigns.md compiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import FieldInfo, fields

from fsd_agent.records.nodes import FIELDS as DETECTION_FIELDS
from fsd_tools.campaign.compiler import compile_campaign, compile_condition
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.campaign.functions import FUNCTIONS
from fsd_tools.campaign.schema import CampaignFile
from fsd_tools.drive.vehicles import fsd_demo

TEXT = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(yaml|cel)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_example(language: str, text: str) -> None:
    catalogue, cameras = fsd_demo().catalogue, ["front", "narrow"]
    if language == "cel":
        compile_condition(text, catalogue, cameras)
    else:
        compile_campaign(text, file="docs", catalogue=catalogue, cameras=cameras)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_shown_or_explained(name: str) -> None:
    assert f"{name}(" in TEXT


@pytest.mark.parametrize("field", fields(CampaignFile))
def test_every_field_has_a_row(field: FieldInfo) -> None:
    assert re.search(rf"^\|.*`{field.encode_name}[.`]", TEXT, re.MULTILINE)


@pytest.mark.parametrize("name", DETECTION_FIELDS)
def test_every_field_of_a_detection_has_a_row(name: str) -> None:
    _, _, table = TEXT.partition("## Reference: a detection")
    assert re.search(rf"^\|[^|]*`{name}`", table, re.MULTILINE)


def test_there_are_examples_and_every_family_is_named() -> None:
    assert len(BLOCKS) > 5
    for path in sorted(FAMILIES.glob("*.yaml")):
        assert f"`{path.stem}`" in TEXT
