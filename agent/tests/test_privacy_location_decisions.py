"""What is said of a coarse position, and how much of it there is."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.location import coarse, locate
from fsd_agent.rules.privacy.plan import Refused
from fsd_firmware.samples import GnssFixes

RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 30, 50, LocationRule.COARSE, 0.1)


def fixes(*rows: tuple[float, float]) -> GnssFixes:
    lat, lon = (np.array([row[at] for row in rows], np.float64) for at in (0, 1))
    return GnssFixes(
        np.arange(len(rows), dtype=np.int64) + 5, lat, lon, *(np.ones(len(rows)) for _ in range(3))
    )


def test_a_cell_is_one_fix_in_every_column() -> None:
    found = coarse(fixes((1.0, 1.0), (2.0, 2.0), (3.0, 3.0)), 2.0)
    assert {getattr(found, one.name).shape for one in fields(found)} == {(1,)}
    assert np.isnan([found.alt_m[0], found.speed_mps[0], found.heading_deg[0]]).all()


@pytest.mark.parametrize(
    ("grid", "said"), [(1.0, "coarse:1"), (0.05, "coarse:0.05"), (0.1 + 0.2, "coarse:0.3")]
)
def test_what_was_done_is_said_shortly(grid: float, said: str) -> None:
    located = locate(replace(RULES, location_grid_deg=grid), fixes((1.0, 1.0)))
    assert not isinstance(located, Refused)
    assert located[1] == said
