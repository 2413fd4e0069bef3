"""Every example of docs/campaigns.md compiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fsd_tools.campaign.compiler import compile_campaign, compile_condition
from fsd_tools.campaign.families import FAMILIES
from fsd_tools.drive.vehicles import fsd_demo

TEXT = (Path(__file__).parents[2] / "docs" / "campaigns.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(yaml|cel)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_example(language: str, text: str) -> None:
    catalogue = fsd_demo().catalogue
    if language == "cel":
        compile_condition(text, catalogue, ["front"])
    else:
        compile_campaign(text, file="docs", catalogue=catalogue, cameras=["front"])


def test_there_are_examples_and_every_family_is_named() -> None:
    assert len(BLOCKS) > 5
    for path in sorted(FAMILIES.glob("*.yaml")):
        assert f"`{path.stem}`" in TEXT
