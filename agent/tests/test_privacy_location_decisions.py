"""What is said of a coarse position, and how much of it there is."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.location import coarse, locate, utc_offset_h
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


NO_FIX = (math.nan, math.nan)


@pytest.mark.parametrize(
    ("places", "hours"),
    [
        ([(31.2, 121.5)], 8),  # Shanghai
        ([(37.8, -122.4)], -8),  # San Francisco
        ([(51.5, -0.1)], 0),  # London
        ([(28.6, 77.2)], 5),  # Delhi, by law 5:30
        ([(-17.7, 179.9)], 12),
        ([(-17.7, 180.0)], 12),
        ([(-17.7, -180.0)], -12),
        ([(-17.7, -179.9)], -12),
        ([(0.0, 7.499)], 0),
        ([(0.0, 7.501)], 1),
        ([(0.0, -7.501)], -1),
        ([], None),
        ([NO_FIX, NO_FIX], None),
        ([NO_FIX, (math.nan, 8.0), (48.1, math.inf), (48.1, 11.6), (31.2, 121.5)], 1),
        ([(0.0, 180.001), (0.0, -200.0), (0.0, 30.0)], 2),
    ],
)
def test_the_nautical_time_zone_of_the_first_position(
    places: list[tuple[float, float]], hours: int | None
) -> None:
    for rule in LocationRule:
        assert utc_offset_h(replace(RULES, location=rule), fixes(*places)) == hours
        assert utc_offset_h(replace(RULES, location=rule, time_zone=False), fixes(*places)) is None


@given(lon=st.floats(-180, 180))
def test_noon_by_the_sun_is_within_half_an_hour_of_noon(lon: float) -> None:
    hours = utc_offset_h(RULES, fixes((0.0, lon)))
    assert hours is not None
    assert -12 <= hours <= 12
    assert abs(lon / 15 - hours) <= 0.5
