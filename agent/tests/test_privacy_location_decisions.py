"""Where the rule of location turns: cells, half positions, and which signals stay."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import FaceRule, LocationRule, PlateRule, RedactionRules
from fsd_agent.rules.privacy.location import coarse, locate, may_leave
from fsd_agent.rules.privacy.plan import Refused
from fsd_firmware.samples import GnssFixes

RULES = RedactionRules(FaceRule.HEAD_ZONE, PlateRule.PLATE_BAND, 30, 50, LocationRule.DROP, 0.1)


def fixes(*rows: tuple[float, float]) -> GnssFixes:
    lat, lon = (np.array([row[at] for row in rows], np.float64) for at in (0, 1))
    return GnssFixes(
        np.arange(len(rows), dtype=np.int64) + 5, lat, lon, *(np.ones(len(rows)) for _ in range(3))
    )


@pytest.mark.parametrize(
    ("place", "centre"),
    [
        ((0.0, 0.0), (1.0, 1.0)),
        ((1.999, -0.001), (1.0, -1.0)),
        ((2.0, -2.0), (3.0, -1.0)),
        ((90.0, 180.0), (90.0, 180.0)),
        ((-90.0, -180.0), (-89.0, -179.0)),
        ((89.9, 179.9), (89.0, 179.0)),
    ],
)
def test_a_cell_begins_at_its_corner_and_its_centre_stays_on_the_map(
    place: tuple[float, float], centre: tuple[float, float]
) -> None:
    found = coarse(fixes(place), 2.0)
    assert (found.lat_deg.tolist(), found.lon_deg.tolist()) == ([centre[0]], [centre[1]])


@pytest.mark.parametrize("half", [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (1.0, -np.inf)])
def test_half_a_position_is_none(half: tuple[float, float]) -> None:
    assert len(coarse(fixes(half), 2.0)) == 0
    assert coarse(fixes(half, (3.0, 3.0), (9.0, 9.0)), 2.0).t_ns.tolist() == [6]


@pytest.mark.parametrize("grid", [0.0, -0.1, float("inf"), float("nan")])
def test_a_grid_that_is_none_is_refused_and_the_reason_names_it(grid: float) -> None:
    rules = replace(RULES, location=LocationRule.COARSE, location_grid_deg=grid)
    assert locate(rules, fixes((1.0, 1.0))) == Refused(
        DropReason.REDACTION_UNKNOWN_RULE, f"location_grid_deg: {grid}"
    )


def test_an_unknown_rule_is_refused_and_the_reason_names_it() -> None:
    rules = replace(RULES, location="fuzzy")  # type: ignore[arg-type]  # what a newer policy might hold
    assert locate(rules, fixes((1.0, 1.0))) == Refused(DropReason.REDACTION_UNKNOWN_RULE, "location: fuzzy")


@pytest.mark.parametrize(
    ("path", "coarse_too", "where_kept"),
    [
        ("Vehicle.CurrentLocation.Timestamp", False, True),
        ("Vehicle.CurrentLocationless", True, True),
        ("Other.Vehicle.CurrentLocation.Heading", True, True),
        ("Latitude", False, True),
        ("Vehicle.Latitude.Error", True, True),
        ("Vehicle.Trip.Longitude", False, True),
        ("Vehicle.Longitudes", True, True),
        ("Vehicle.VehicleIdentification.Brand", False, False),
        ("Other.Vehicle.VehicleIdentification.Brand", True, True),
        ("Vehicle.Driver.Identifier.Subject", False, False),
        ("Vehicle.Driver.Identifier", True, True),
    ],
)
def test_which_signals_leave(path: str, coarse_too: bool, where_kept: bool) -> None:
    for rule in (LocationRule.DROP, LocationRule.COARSE):
        assert may_leave(replace(RULES, location=rule), path) is coarse_too
    assert may_leave(replace(RULES, location=LocationRule.KEEP), path) is where_kept


def test_a_cell_is_one_fix_in_every_column() -> None:
    found = coarse(fixes((1.0, 1.0), (2.0, 2.0), (3.0, 3.0)), 2.0)
    assert {getattr(found, one.name).shape for one in fields(found)} == {(1,)}
    assert np.isnan([found.alt_m[0], found.speed_mps[0], found.heading_deg[0]]).all()


@pytest.mark.parametrize(
    ("grid", "said"), [(1.0, "coarse:1"), (0.05, "coarse:0.05"), (0.1 + 0.2, "coarse:0.3")]
)
def test_what_was_done_is_said_shortly(grid: float, said: str) -> None:
    located = locate(replace(RULES, location=LocationRule.COARSE, location_grid_deg=grid), fixes((1.0, 1.0)))
    assert not isinstance(located, Refused)
    assert located[1] == said
