"""What an operator of a region reads of a vehicle's status: certificate, campaigns, what waits."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from rich.console import Console

from fsd_agent.records.status import CampaignStatus, ProcessUse, SpoolLevel, Status
from fsd_tools.vehicle.status import _show

DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize(
    ("left_days", "says"),
    [
        (None, "certificate: not told"),
        (400, "certificate: until 20"),
        (12.5, "12 days left"),
        (-1, "expired, until"),
    ],
)
def test_a_certificate_that_runs_out_is_shown(left_days: float | None, says: str) -> None:
    until_ns = time.time_ns() + int(left_days * DAY_NS) if left_days is not None else 0
    use = ProcessUse(0.0, 0, 0)
    said = Status(
        "car-1",
        "cn",
        1,
        1,
        0,
        "0",
        0,
        (),
        {},
        "",
        "",
        {},
        {},
        use,
        "",
        b"",
        certificate_until_wall_ns=until_ns,
    )
    console = Console(record=True, width=200)
    _show(said, console)
    text = console.export_text()
    assert says in text
    assert ("--renew" in text) is (left_days is not None and left_days < 30)


def test_a_campaign_is_shown_stage_by_stage() -> None:
    campaign = CampaignStatus("near_miss", 9, 1, 0, 3, 2, {"budget_clips": 3}, 2, 4096)
    said = Status("car-1", "cn", 1, 1, 0, "0", 0, (campaign,), {}, "", "", {}, {}, ProcessUse(0.0, 0, 0), "")
    console = Console(record=True, width=80)
    _show(said, console)
    text = console.export_text()
    assert "1 staged" in text
    assert "3 sealed" in text
    assert "captured" not in text
    assert "3 budget_clips" in text
    assert "cut to" not in text


def test_what_became_of_clips_that_are_cut_is_shown() -> None:
    use = ProcessUse(0.0, 0, 0)
    kept = {"crossing": {"shortened": 12, "short_enough": 3, "undecided": 1}}
    said = Status("car-1", "cn", 1, 1, 0, "0", 0, (), {}, "", "", {}, {}, use, "", kept=kept)
    console = Console(record=True, width=120)
    _show(said, console)
    text = console.export_text()
    assert "cut to the best seconds: crossing: 3 short enough, 12 shortened, 1 undecided" in text


def test_a_region_reads_that_captured_clips_wait_for_the_car_to_be_parked() -> None:
    use, spool = ProcessUse(0.0, 0, 0), {"captured": SpoolLevel(3, 0, 1)}
    said = Status("car-1", "cn", 1, 1, 0, "0", 0, (), {}, "", "", spool, {}, use, "", until_parked=True)
    for one, shown in (
        (said, True),
        (replace(said, until_parked=False), False),
        (replace(said, spool={}), False),
    ):
        console = Console(record=True, width=120)
        _show(one, console)
        assert (
            "not painted and encoded before the car is parked: 3 captured" in console.export_text()
        ) is shown
