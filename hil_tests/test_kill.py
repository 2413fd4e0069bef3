"""Kill test: the agent is killed with SIGKILL at random moments and started again.

Afterwards every firing that was ever accepted has ended as one receipted clip or a counted drop; the region holds
no clip twice, no firing in two clips, and no torn clip. The ledger, through all of it, passes its audit.

Two vehicles are killed side by side. ``FSD_KILLS`` sets the number of kills (24 by default), ``FSD_KILL_SEED`` the
moments. Run it longer with ``make killtest KILLS=1000``.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.clip import ClipState
from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_agent.wire.clip import decode_clip
from fsd_tools.rig.processes import fsdctl
from fsd_tools.rig.rig import Rig

KILLS = int(os.environ.get("FSD_KILLS", "24"))
SEED = int(os.environ.get("FSD_KILL_SEED", "20261120"))
VEHICLES = ("car-a", "car-b")
REGION = "cn"
LAST_RUN_S = 120.0


@dataclass
class Boots:
    """What one vehicle told over all its starts."""

    fired: list[list[tuple[str, int, str]]] = field(default_factory=list)
    """For each start: (campaign, event time, firing id) in the order told."""
    killed_with: Counter[str] = field(default_factory=Counter)
    """States of live clips at the moments of the kills."""
    kills: int = 0

    def hear(self, event: Mapping[str, Any]) -> None:
        """Remember firings in the order told."""
        if event["event"] == "fired":
            self.fired[-1].append((event["campaign"], event["event_ns"], event["firing"]))


@pytest.mark.slow
@pytest.mark.timeout(60 + 15 * KILLS)
def test_every_firing_survives_kill_9(tmp_path: Path, city_drive: Path, campaigns: tuple[Path, ...]) -> None:
    stored: Counter[str] = Counter()
    lock = threading.Lock()

    def region_told(event: Mapping[str, Any]) -> None:
        if event["event"] == "stored":
            with lock:
                stored[event["clip"]] += 1

    with Rig(tmp_path) as rig:
        rig.add_region(REGION, ["CN"])
        for vehicle in VEHICLES:
            rig.add_vehicle(
                vehicle, "CN", [REGION], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
            )
            rig.consent(vehicle, give=ALL_PURPOSES)
        rig.serve(REGION, on_event=region_told)
        rig.push(REGION, campaigns, drive=city_drive)
        with ThreadPoolExecutor(len(VEHICLES)) as pool:
            shares = [KILLS // 2 + KILLS % 2, KILLS // 2]
            lives = [
                pool.submit(_live_and_die, rig, vehicle, kills, random.Random(SEED + number))
                for number, (vehicle, kills) in enumerate(zip(VEHICLES, shares, strict=True))
            ]
            boots = {vehicle: life.result() for vehicle, life in zip(VEHICLES, lives, strict=True)}
    firings = 0
    for vehicle in VEHICLES:
        firings += _account(rig, vehicle, boots[vehicle], stored)
        _audit(rig, vehicle)
    assert sum(one.kills for one in boots.values()) == KILLS
    states = sum((one.killed_with for one in boots.values()), Counter())
    print(
        f"\n{KILLS} kills, {firings} firings, {stored.total()} clips stored; "
        f"live clips at the kills: {dict(states)}"
    )


def _audit(rig: Rig, vehicle: str) -> None:
    """The ledger, through all kills, proves the same as the journal: exit code 0, and clip by clip."""
    ledger, region = rig.vehicle(vehicle).ledger, rig.region(REGION).root
    said = json.loads(fsdctl("audit", "verify", ledger, "--receipts", region, "--json"))
    assert said["heads_told"] >= 1
    journal = SqliteJournal(rig.vehicle(vehicle).data / "journal.db")
    try:
        rows = journal.clips(set(ClipState))
        firings = {judged.firing_id for row in rows for judged in journal.firings_of(row.clip_id)}
    finally:
        journal.close()
    where = {one["clip"]: one["where"] for one in said["clips"]}
    delivered = {row.clip_id for row in rows if row.state is ClipState.DELIVERED}
    assert {clip for clip, at in where.items() if at == "at the region"} == delivered
    assert set(where.values()) <= {"at the region", "erased"}
    records = [json.loads(line) for line in fsdctl("audit", "show", ledger, "--json").splitlines()]
    kinds = Counter(one["kind"] for one in records)
    recorded = {one["firing_id"] for one in records if one["kind"] == "Fired"}
    assert firings <= recorded, "the journal keeps a firing that the ledger does not have"
    alone = len(recorded - firings)
    print(f"{vehicle}: {said['size']} records: {dict(kinds)}; in the ledger alone: {alone} firings")


def _live_and_die(rig: Rig, vehicle: str, kills: int, moments: random.Random) -> Boots:
    """Start and kill ``kills`` times, then let it live to the end of the drive."""
    boots = Boots()
    # A first whole life tells how long one takes here, so that kills fall anywhere in it.
    life_s = _whole_life(rig, vehicle, boots)
    while boots.kills < kills:
        boots.fired.append([])
        agent = rig.start_agent(vehicle, "--wait-for-campaigns", "30", on_event=boots.hear)
        time.sleep(moments.uniform(0.2, life_s))
        alive = agent.running()
        agent.kill()
        if alive:
            boots.kills += 1
            boots.killed_with.update(_live_states(rig, vehicle))
    _whole_life(rig, vehicle, boots)
    return boots


def _whole_life(rig: Rig, vehicle: str, boots: Boots) -> float:
    boots.fired.append([])
    began = time.monotonic()
    agent = rig.start_agent(
        vehicle, "--wait-for-campaigns", "30", "--drain", str(LAST_RUN_S), on_event=boots.hear
    )
    assert agent.wait(LAST_RUN_S) == 0, agent.log_tail()
    return time.monotonic() - began


def _live_states(rig: Rig, vehicle: str) -> Counter[str]:
    path = rig.vehicle(vehicle).data / "journal.db"
    if not path.exists():
        return Counter(before_the_journal=1)
    journal = SqliteJournal(path)
    try:
        rows = journal.clips({ClipState.STAGED, ClipState.CAPTURED, ClipState.SEALED})
        return Counter(str(row.state) for row in rows) or Counter(none=1)
    finally:
        journal.close()


def _account(rig: Rig, vehicle: str, boots: Boots, stored: Counter[str]) -> int:
    """Check one vehicle's journal against what it told and what the region holds; returns its firings."""
    whole = [(campaign, t_ns) for campaign, t_ns, _ in boots.fired[0]]
    assert whole, "the drive fires nothing: the test would prove nothing"
    for told in boots.fired:
        began = [(campaign, t_ns) for campaign, t_ns, _ in told]
        assert began == whole[: len(began)], "a start skipped or repeated a firing"
    journal = SqliteJournal(rig.vehicle(vehicle).data / "journal.db")
    try:
        totals = journal.totals()
        delivered = journal.clips({ClipState.DELIVERED})
        firings_of = {row.clip_id: journal.firings_of(row.clip_id) for row in delivered}
        unfinished = journal.clips({ClipState.STAGED, ClipState.CAPTURED, ClipState.SEALED})
    finally:
        journal.close()
    assert not unfinished
    for one in totals:
        assert one.in_progress == 0
        assert one.fired == one.delivered + sum(count for _, count in one.dropped)
    told_ids = {firing for told in boots.fired for _, _, firing in told}
    assert sum(one.fired for one in totals) >= len(told_ids)
    store = rig.region(REGION).store / vehicle
    assert {path.stem for path in store.glob("*.mcap")} == {row.clip_id for row in delivered}
    seen: Counter[str] = Counter()
    for row in delivered:
        contents = decode_clip((store / f"{row.clip_id}.mcap").read_bytes())
        assert contents.packets, f"clip {row.clip_id} has no video"
        in_clip = {str(firing["firing"]) for firing in contents.firings}
        assert in_clip == {judged.firing_id for judged in firings_of[row.clip_id]}
        seen.update(in_clip)
        assert stored[row.clip_id] == 1, "stored more than once"
    assert not [firing for firing, count in seen.items() if count > 1], "a firing is in two clips"
    delivered_firings = sum(one.delivered for one in totals)
    assert len(seen) == delivered_firings
    dropped = {str(reason): count for one in totals for reason, count in one.dropped}
    print(f"\n{vehicle}: {sum(one.fired for one in totals)} firings, dropped: {dropped or 'none'}")
    return sum(one.fired for one in totals)
