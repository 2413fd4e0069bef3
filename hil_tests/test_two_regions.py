"""The demo as a bench: two regions, two vehicles, the same drive, and an account that adds up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.clip import ClipState
from fsd_agent.records.ledger import Receipted
from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_agent.records.reasons import DropReason
from fsd_agent.wire.ledger import decode_entry
from fsd_agent.wire.ledger_file import RECORD, Frame, encode_start, read_segment
from fsd_tools.demo.play import HOME, play
from fsd_tools.demo.scenario import Scenario
from fsd_tools.errors import ToolError
from fsd_tools.region.firings import FiringStore
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.namespaces import Count, why_not
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
    for vehicle, home in HOME.items():
        told = {
            region: [one.told for one in FiringStore(Rig(tmp_path).region(region).firings).of(vehicle)]
            for region in HOME.values()
        }
        own = told.pop(home)
        assert 0 < len(own) <= sum(fired[vehicle].values()), "told of by themselves"
        assert {one.campaign_id for one in own} <= fired[vehicle].keys()
        assert not any(told.values()), "and nobody else was"
    audited = {ledger.vehicle: ledger for ledger in account.ledgers}
    assert audited.keys() == HOME.keys()
    for vehicle, ledger in audited.items():
        arrived = sum(one.vehicle == vehicle for one in account.arrived)
        assert (ledger.delivered, ledger.receipts_verified) == (arrived, arrived)
        assert ledger.heads_told >= 1
    for tamper in (removed, changed, reordered, cut_off):
        name_what_was_done(Rig(tmp_path), "car-sh-01", tmp_path / tamper.__name__, tamper)


Frames = list[Frame]


def removed(frames: Frames, at: int) -> tuple[Frames, str]:
    return frames[:at] + frames[at + 1 :], "missing"


def changed(frames: Frames, at: int) -> tuple[Frames, str]:
    body = bytearray(frames[at].signed)
    body[-1] ^= 1
    return [*frames[:at], replace(frames[at], signed=bytes(body)), *frames[at + 1 :]], "changed"


def reordered(frames: Frames, at: int) -> tuple[Frames, str]:
    return [*frames[:at], *frames[at + 1 :], frames[at]], "reordered"


def cut_off(frames: Frames, at: int) -> tuple[Frames, str]:
    """The newest records, with every head behind them: only what the region was told gives it away."""
    return frames[:at], "not_as_told"


def name_what_was_done(
    rig: Rig, vehicle: str, copy: Path, tamper: Callable[[Frames, int], tuple[Frames, str]]
) -> None:
    """Whatever is done to a real ledger, the audit ends with 1 and names the record."""
    shutil.copytree(rig.vehicle(vehicle).ledger, copy)
    (path,) = copy.glob("*.ledger")
    segment = read_segment(path.read_bytes())
    frames = list(segment.frames)
    records = [at for at, frame in enumerate(frames) if frame.kind == RECORD]
    at = next(at for at in records if isinstance(decode_entry(frames[at].body).fact, Receipted))
    number = decode_entry(frames[at].body).number
    after, kind = tamper(frames, at)
    path.write_bytes(
        encode_start(segment.checkpoint) + b"".join(frame.signed + frame.check for frame in after)
    )
    regions = [rig.region(region).root for region in ("cn", "eu")]
    with pytest.raises(ToolError, match="audit verify") as said:
        rig.fsdctl("audit", "verify", copy, "--receipts", *regions, "--json")
    facts = json.loads(str(said.value).partition(": ")[2])
    assert (kind, number) in {(one["kind"], one["record"]) for one in facts["findings"]}


@pytest.mark.slow
@pytest.mark.parametrize("left_clips", ["deliver", "erase"])
def test_clips_of_a_region_that_was_left_go_there_or_nowhere(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...], left_clips: str
) -> None:
    """Collected in cn without delivering, then re-registered to eu: both regions are there, each gets its own alone."""
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region("cn", ["CN"])
        rig.add_region("eu", ["DE"])
        draft = rig.region("cn").policy
        draft.write_text(draft.read_text().replace('left_clips = "deliver"', f'left_clips = "{left_clips}"'))
        rig.fsdctl("region", "policy", "sign", rig.region("cn").root)
        agent = {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
        vehicle = rig.add_vehicle("car-a", "CN", ["cn", "eu"], agent)
        rig.consent("car-a", give=ALL_PURPOSES)
        cn = rig.serve("cn")
        rig.push("cn", campaigns, drive=city_drive)
        assert rig.start_agent("car-a", "--wait-for-campaigns", "10").wait(90) == 0
        delivered = clips_in(rig, "cn")
        cn.stop()
        assert rig.start_agent("car-a", "--wait-for-campaigns", "10", "--drain", "1").wait(90) == 4
        journal = SqliteJournal(vehicle.data / "journal.db")
        collected = {row.clip_id for row in journal.clips({ClipState.SEALED, ClipState.CAPTURED})}
        journal.close()
        assert collected
        rig.register("car-a", "DE", serial=2)
        heard: list[Mapping[str, Any]] = []
        rig.serve("cn")
        rig.serve("eu", on_event=heard.append)
        rig.push("eu", campaigns, drive=city_drive)
        moved = rig.start_agent("car-a", "--wait-for-campaigns", "30", "--drain", "90")
        assert moved.wait(150) == 0, moved.log_tail()
        journal = SqliteJournal(vehicle.data / "journal.db")
        ended = {row.clip_id: row for state in ClipState for row in journal.clips({state})}
        journal.close()
        own = {clip for clip, row in ended.items() if row.region_id == "eu"}
        assert own
        for region in ("cn", "eu"):
            told = {one.told.clip_id for one in FiringStore(rig.region(region).firings).of("car-a")} - {None}
            assert told, "of firings by themselves"
            assert {ended[clip].region_id for clip in told} == {region}
        assert clips_in(rig, "eu") == own
        if left_clips == "deliver":
            assert clips_in(rig, "cn") == delivered | collected
        else:
            assert clips_in(rig, "cn") == delivered
            assert {ended[clip].drop for clip in collected} == {DropReason.LEFT_REGION}
            assert not list((vehicle.data / "spool").rglob("*.sealed"))


def clips_in(rig: Rig, region_id: str) -> set[str]:
    """Clips of the vehicle in a region's store."""
    return {path.stem for path in (rig.region(region_id).store / "car-a").glob("*.mcap")}


@pytest.mark.slow
def test_operators_read_why_a_campaign_has_what_it_has(
    tmp_path: Path, forks: Forks, city_drive: Path, campaigns: tuple[Path, ...]
) -> None:
    limited = tmp_path / "limited.yaml"
    lines = campaigns[0].read_text().splitlines()
    limited.write_text("\n".join([*("id: limited" if line.startswith("id:") else line for line in lines),
                                  "budget: {clips_per_day: 1}"]))  # fmt: skip
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region("cn", ["CN"])
        rig.add_vehicle(
            "car-a", "CN", ["cn"], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
        )
        rig.consent("car-a", give=ALL_PURPOSES)
        rig.serve("cn")
        rig.push("cn", [limited, campaigns[1]], drive=city_drive)
        agent = rig.start_agent("car-a", "--wait-for-campaigns", "30")
        assert agent.wait(90) == 0, agent.log_tail()
        told = json.loads(
            rig.fsdctl("vehicle", "status", rig.region("cn").root, "--vehicle", "car-a", "--json")
        )
        text = rig.fsdctl("vehicle", "status", rig.region("cn").root)
    assert (told["vehicle"], told["region"], told["campaign_set"]) == ("car-a", "cn", 1)
    accounts = {one["id"]: one for one in told["campaigns"]}
    assert accounts["limited"]["fired"] == 1 + accounts["limited"]["dropped"]["budget_clips"]
    assert accounts["limited"]["delivered"] == 1
    assert all(one["in_progress"] == 0 for one in accounts.values())
    assert told["use"]["cpu_s"] > 0
    assert "budget_clips" in text
