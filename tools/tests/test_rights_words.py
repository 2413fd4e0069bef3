"""Every rule that redaction records has words for the vehicle's user, or needs none."""

from __future__ import annotations

import pytest

from fsd_agent.records.region import FaceRule, PlateRule, Strictness
from fsd_tools.rights.words import removed_in_words


@pytest.mark.parametrize("strictness", list(Strictness))
@pytest.mark.parametrize("faces", list(FaceRule))
@pytest.mark.parametrize("plates", list(PlateRule))
def test_no_rule_is_shown_as_the_code_spells_it(
    faces: FaceRule, plates: PlateRule, strictness: Strictness
) -> None:
    rules = (f"faces={faces}", f"plates={plates}", f"strictness={strictness}", "location=drop")
    assert not [text for text in removed_in_words(rules, "dropped") if "=" in text]


def test_strict_says_that_it_took_more() -> None:
    assert "more than that where there was doubt" in removed_in_words(("strictness=strict",), "kept")
    assert removed_in_words(("strictness=standard",), "kept") == removed_in_words((), "kept")
