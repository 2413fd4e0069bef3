"""Kill test: the agent is killed with SIGKILL at random moments and started again.

Afterwards every firing that was ever accepted has ended as one receipted clip or a counted drop; the region holds
no clip twice, no firing in two clips, and no torn clip. The ledger, through all of it, passes its audit.

Two vehicles are killed side by side. ``FSD_KILLS`` sets the number of kills (24 by default), ``FSD_KILL_SEED`` the
moments. Run it longer with ``make killtest KILLS=1000``.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.rig import Rig
from hil_tests.account import UNFINISHED, Starts, Stored, account

KILLS = int(os.environ.get("FSD_KILLS", "24"))
SEED = int(os.environ.get("FSD_KILL_SEED", "20261120"))
VEHICLES = ("car-a", "car-b")
REGION = "cn"
LAST_RUN_S = 120.0


@dataclass
class Kills:
    """What one vehicle went through."""

    starts: Starts = field(default_factory=Starts)
    killed_with: Counter[str] = field(default_factory=Counter)
    """States of live clips at the moments of the kills."""
    count: int = 0


@pytest.mark.slow
@pytest.mark.timeout(60 + 15 * KILLS)
def test_every_firing_survives_kill_9(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    stored = Stored()
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region(REGION, ["CN"])
        for vehicle in VEHICLES:
            rig.add_vehicle(
                vehicle, "CN", [REGION], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
            )
            rig.consent(vehicle, give=ALL_PURPOSES)
        rig.serve(REGION, on_event=stored.hear)
        rig.push(REGION, campaigns, drive=city_drive)
        with ThreadPoolExecutor(len(VEHICLES)) as pool:
            shares = [KILLS // 2 + KILLS % 2, KILLS // 2]
            lives = [
                pool.submit(_live_and_die, rig, vehicle, kills, random.Random(SEED + number))
                for number, (vehicle, kills) in enumerate(zip(VEHICLES, shares, strict=True))
            ]
            killed = {vehicle: life.result() for vehicle, life in zip(VEHICLES, lives, strict=True)}
    firings = 0
    for vehicle, one in killed.items():
        found = account(rig, REGION, vehicle, one.starts, stored, whole=0)
        print(
            f"\n{vehicle}: {found.firings} firings, dropped: {dict(found.dropped) or 'none'}; ledger: "
            f"{dict(found.records)}; in the ledger alone: {found.in_ledger_alone} firings"
        )
        assert found.wrong == []
        firings += found.firings
    assert sum(one.count for one in killed.values()) == KILLS
    states = sum((one.killed_with for one in killed.values()), Counter())
    print(f"{KILLS} kills, {firings} firings, {stored.total()} clips stored; live clips: {dict(states)}")


def _live_and_die(rig: Rig, vehicle: str, kills: int, moments: random.Random) -> Kills:
    """Start and kill ``kills`` times, then let it live to the end of the drive."""
    killed = Kills()
    # A first whole life tells how long one takes here, so that kills fall anywhere in it.
    life_s = _whole_life(rig, vehicle, killed)
    while killed.count < kills:
        killed.starts.begin()
        agent = rig.start_agent(vehicle, "--wait-for-campaigns", "30", on_event=killed.starts.hear)
        time.sleep(moments.uniform(0.2, life_s))
        alive = agent.running()
        agent.kill()
        if alive:
            killed.count += 1
            killed.killed_with.update(_live_states(rig, vehicle))
    _whole_life(rig, vehicle, killed)
    return killed


def _whole_life(rig: Rig, vehicle: str, killed: Kills) -> float:
    killed.starts.begin()
    began = time.monotonic()
    agent = rig.start_agent(
        vehicle, "--wait-for-campaigns", "30", "--drain", str(LAST_RUN_S), on_event=killed.starts.hear
    )
    assert agent.wait(LAST_RUN_S) == 0, agent.log_tail()
    return time.monotonic() - began


def _live_states(rig: Rig, vehicle: str) -> Counter[str]:
    path = rig.vehicle(vehicle).data / "journal.db"
    if not path.exists():
        return Counter(before_the_journal=1)
    journal = SqliteJournal(path)
    try:
        return Counter(str(row.state) for row in journal.clips(UNFINISHED)) or Counter(none=1)
    finally:
        journal.close()
