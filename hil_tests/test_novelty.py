"""The same streets again: a vehicle sends them once, and another of its region, told what the region has enough of, not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.rig import Rig

DRIVES = ("--wait-for-campaigns", "30", "--drain", "60")


@pytest.mark.slow
def test_the_same_streets_again(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    asking = []
    for path in campaigns:
        asking.append(tmp_path / path.name)
        asking[-1].write_text(path.read_text().replace("novelty: off", "novelty: normal"))
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region("cn", ["CN"])
        for vehicle in ("car-a", "car-b"):
            rig.add_vehicle(
                vehicle, "CN", ["cn"], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
            )
            rig.consent(vehicle, give=ALL_PURPOSES)
        rig.serve("cn")
        rig.push("cn", asking, drive=city_drive)
        assert rig.start_agent("car-a", *DRIVES).wait(150) == 0
        once, first = stored(rig, "car-a"), drops(rig, "car-a")
        assert once
        assert rig.start_agent("car-a", *DRIVES).wait(150) == 0
        again = drops(rig, "car-a")
        assert stored(rig, "car-a") == once
        assert again.keys() == {"already_sent"}
        assert again["already_sent"] >= first.get("already_sent", 0) + len(once)
        made = rig.fsdctl(
            "region", "sketch", rig.region("cn").root, "--enough", "1", "--vehicles", "1", "--json"
        )
        assert json.loads(made)["codes"] > 0
        rig.push("cn", asking, drive=city_drive)
        assert rig.start_agent("car-b", *DRIVES).wait(150) == 0
        assert stored(rig, "car-b") == set()
        assert drops(rig, "car-b").keys() == {"region_has_enough"}


def stored(rig: Rig, vehicle: str) -> set[str]:
    """Clips of a vehicle in its region's store."""
    return {path.stem for path in (rig.region("cn").store / vehicle).glob("*.mcap")}


def drops(rig: Rig, vehicle: str) -> dict[str, int]:
    """Firings that were dropped, by reason."""
    journal = SqliteJournal(rig.vehicle(vehicle).data / "journal.db")
    try:
        found: dict[str, int] = {}
        for one in journal.totals():
            for reason, count in one.dropped:
                found[str(reason)] = found.get(str(reason), 0) + count
        return found
    finally:
        journal.close()
