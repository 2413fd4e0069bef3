"""The demo as a bench: two regions, two vehicles, the same drive, and an account that adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd_tools.demo.play import HOME, play
from fsd_tools.demo.scenario import Scenario


@pytest.mark.slow
def test_two_vehicles_deliver_to_their_own_regions_only(
    tmp_path: Path, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    scenario = Scenario(
        title="bench",
        drive=city_drive,
        seconds=20.0,
        campaigns=campaigns,
        agent={"firmware": {"source": f"drive:{city_drive}", "speed": "max"}},
    )
    account = play(scenario, tmp_path, say=lambda _: None, paint=lambda _: None)
    assert account.complaints == ()
    assert {one.vehicle for one in account.arrived} == set(HOME)
    for vehicle, regions in account.bytes_matrix.items():
        assert regions.pop(HOME[vehicle]) > 0
        assert set(regions.values()) == {0}
    fired = {vehicle: {} for vehicle in HOME}
    for row in account.campaigns:
        fired[row.vehicle][row.campaign] = row.fired
    first, second = fired.values()
    assert first == second, "the same drive and campaigns fire the same, whatever the region"
