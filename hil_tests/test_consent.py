"""A user withdraws consent from a running agent that has clips on board: nothing of that purpose is left, or arrives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.clip import ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.processes import wait_until
from fsd_tools.rig.rig import Rig

VEHICLE = "car-a"
BOTH = (Purpose.AUTOMATED_DRIVING, Purpose.SAFETY)
"""Of the two campaigns that fire here."""


@pytest.mark.slow
def test_a_withdrawal_at_run_time(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    heard: list[Mapping[str, Any]] = []
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region("cn", ["CN"])
        firmware = {"source": f"drive:{city_drive}", "speed": "max"}
        vehicle = rig.add_vehicle(VEHICLE, "CN", ["cn"], {"firmware": firmware})
        region = rig.serve("cn")
        rig.push("cn", campaigns, drive=city_drive)
        assert rig.start_agent(VEHICLE, "--wait-for-campaigns", "30").wait(90) == 0
        assert _drops(vehicle.data) == {DropReason.NO_CONSENT}, "nothing is collected before anybody consents"
        assert not list(vehicle.data.rglob("*.sealed"))
        region.stop()
        rig.consent(VEHICLE, give=BOTH)
        agent = rig.start_agent(VEHICLE, "--drain", "60", on_event=heard.append)
        wait_until(
            lambda: sum(one["event"] == "sealed" for one in heard) > 1, timeout_s=60, what="clips are sealed"
        )
        rig.consent(VEHICLE, withdraw=[Purpose.AUTOMATED_DRIVING])
        wait_until(
            lambda: any(one.get("reason") == "consent_withdrawn" for one in heard),
            timeout_s=20,
            what="what was withdrawn is given up",
        )
        assert [one.name for one in vehicle.compartments.rglob("*.key")] == ["safety.key"]
        rig.serve("cn")
        assert agent.wait(90) == 0, agent.log_tail()
        said = json.loads(
            rig.fsdctl("audit", "verify", vehicle.ledger, "--receipts", rig.region("cn").root, "--json")
        )
    assert {one["where"] for one in said["clips"]} == {"at the region", "erased"}
    journal = SqliteJournal(vehicle.data / "journal.db")
    rows = journal.clips(set(ClipState))
    journal.close()
    assert {(row.purpose, row.state, row.drop) for row in rows} == {
        (Purpose.AUTOMATED_DRIVING, ClipState.DROPPED, DropReason.CONSENT_WITHDRAWN),
        (Purpose.SAFETY, ClipState.DELIVERED, None),
    }
    stored = {path.stem for path in (rig.region("cn").store / VEHICLE).glob("*.mcap")}
    assert stored == {row.clip_id for row in rows if row.purpose is Purpose.SAFETY}
    assert not list(vehicle.data.rglob("*.sealed")) + list(vehicle.data.rglob("*.staged"))


def _drops(data: Path) -> set[DropReason]:
    journal = SqliteJournal(data / "journal.db")
    try:
        return {reason for one in journal.totals() for reason, _ in one.dropped}
    finally:
        journal.close()
