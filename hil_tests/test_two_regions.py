"""The demo as a bench: two regions, two vehicles, the same drive, and an account that adds up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsd_tools.demo.play import HOME, play
from fsd_tools.demo.scenario import Scenario
from fsd_tools.rig.namespaces import Count, why_not
from fsd_tools.rig.processes import fsdctl
from fsd_tools.rig.rig import Rig


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
    if why_not() is None:
        assert account.wire is not None, "where namespaces can be made, packets are counted"
        for vehicle, counts in account.wire.items():
            assert counts.pop(HOME[vehicle]).bytes > 0
            assert set(counts.values()) == {Count(0, 0)}
    fired = {vehicle: {} for vehicle in HOME}
    for row in account.campaigns:
        fired[row.vehicle][row.campaign] = row.fired
    first, second = fired.values()
    assert first == second, "the same drive and campaigns fire the same, whatever the region"


@pytest.mark.slow
def test_operators_read_why_a_campaign_has_what_it_has(
    tmp_path: Path, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    limited = tmp_path / "limited.yaml"
    lines = campaigns[0].read_text().splitlines()
    limited.write_text("\n".join([*("id: limited" if line.startswith("id:") else line for line in lines),
                                  "budget: {clips_per_day: 1}"]))  # fmt: skip
    with Rig(tmp_path) as rig:
        rig.add_region("cn", ["CN"])
        rig.add_vehicle(
            "car-a", "CN", ["cn"], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
        )
        rig.serve("cn")
        rig.push("cn", [limited, campaigns[1]], drive=city_drive)
        agent = rig.start_agent("car-a", "--wait-for-campaigns", "30")
        assert agent.wait(90) == 0, agent.log_tail()
        told = json.loads(fsdctl("vehicle", "status", rig.region("cn").root, "--vehicle", "car-a", "--json"))
        text = fsdctl("vehicle", "status", rig.region("cn").root)
    assert (told["vehicle"], told["region"], told["campaign_set"]) == ("car-a", "cn", 1)
    accounts = {one["id"]: one for one in told["campaigns"]}
    assert accounts["limited"]["fired"] == 1 + accounts["limited"]["dropped"]["budget_clips"]
    assert accounts["limited"]["delivered"] == 1
    assert all(one["in_progress"] == 0 for one in accounts.values())
    assert told["use"]["cpu_s"] > 0
    assert "budget_clips" in text
