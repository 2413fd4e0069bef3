"""A vehicle that can't deliver and has a small quota: the agent keeps what is worth most, and accounts for the rest.

One life with its region, to get its campaigns; one without it, in which its spool gets full; one with it again.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_agent.records.reasons import DropReason
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.rig import Rig

QUOTA_FILES = 2
CAR, REGION = "car-1", "cn"
UNDELIVERED = 4


@pytest.mark.slow
def test_a_small_quota_keeps_the_most_valuable_and_the_newest(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region(REGION, ["CN"])
        firmware = {"source": f"drive:{city_drive}", "speed": "max"}
        rig.add_vehicle(CAR, "CN", [REGION], {"firmware": firmware, "storage": {"quota_files": QUOTA_FILES}})
        rig.consent(CAR, give=ALL_PURPOSES)
        region = rig.serve(REGION)
        rig.push(REGION, campaigns, drive=city_drive)
        first = rig.start_agent(CAR, "--wait-for-campaigns", "30", "--drain", "60")
        assert first.wait(120) == 0, first.log_tail()
        region.stop()
        before = _rows(rig)
        alone = rig.start_agent(CAR, "--drain", "15")
        assert alone.wait(120) == UNDELIVERED, alone.log_tail()
        rows = [row for row in _rows(rig) if row not in before]
        kept = [row for row in rows if row.state is not ClipState.DROPPED]
        gone = [row for row in rows if row.state is ClipState.DROPPED]
        assert len(kept) == QUOTA_FILES, "more wait on board than may"
        assert {row.drop for row in gone} == {DropReason.QUOTA_SPOOL}
        assert max(row.priority for row in gone) <= min(row.priority for row in kept)
        rig.serve(REGION)
        last = rig.start_agent(CAR, "--wait-for-campaigns", "30", "--drain", "60")
        assert last.wait(120) == 0, last.log_tail()
        states = {row.clip_id: row.state for row in _rows(rig)}
        assert {states[row.clip_id] for row in gone} == {ClipState.DROPPED}
        said = json.loads(
            rig.fsdctl(
                "audit", "verify", rig.vehicle(CAR).ledger, "--receipts", rig.region(REGION).root, "--json"
            )
        )
        where = Counter(one["where"] for one in said["clips"])
        assert where["at the region"] == Counter(states.values())[ClipState.DELIVERED]
        assert where["erased"] == Counter(states.values())[ClipState.DROPPED] >= len(gone)


def _rows(rig: Rig) -> list[ClipRow]:
    journal = SqliteJournal(rig.vehicle(CAR).data / "journal.db")
    try:
        return list(journal.clips(set(ClipState)))
    finally:
        journal.close()
