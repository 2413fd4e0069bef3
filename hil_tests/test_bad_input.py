"""What goes wrong around an agent gives a clear status, and loses nothing that was collected.

Here: a drive that is cut off, a registration that no region serves, a broker with another region's identity, and a
full disk. Bad campaigns and bad model packages are refused before an agent sees them, and are tested there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.ports.journal import CampaignTotals
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_tools.rig.processes import fsdctl
from fsd_tools.rig.rig import Rig

VEHICLE = "car-a"
CAN_NOT_START, SOURCE_FAILED, UNDELIVERED = 1, 3, 4
JOURNAL_BYTES = 200 * 1024
"""Room for the journal to work, not for the window of an event."""
RUN_S = 90.0


class Bench:
    """One vehicle that serves ``cn``, and every event that was told."""

    def __init__(self, rig: Rig, drive: Path) -> None:
        self.rig = rig
        self.drive = drive
        self.events: list[Mapping[str, Any]] = []

    def run(self, *, drain_s: float = 60.0) -> int:
        """One life of the agent; returns its exit code."""
        agent = self.rig.start_agent(
            VEHICLE, "--wait-for-campaigns", "10", "--drain", str(drain_s), on_event=self.events.append
        )
        return agent.wait(RUN_S)

    def told(self, event: str) -> list[Mapping[str, Any]]:
        """Every event of this name."""
        return [one for one in self.events if one["event"] == event]

    def journal(self) -> tuple[tuple[CampaignTotals, ...], dict[ClipState, tuple[ClipRow, ...]]]:
        """Totals, and the clips by state."""
        journal = SqliteJournal(self.rig.vehicle(VEHICLE).data / "journal.db")
        try:
            return journal.totals(), {state: journal.clips({state}) for state in ClipState}
        finally:
            journal.close()

    def stored(self) -> set[str]:
        """Clips in the region's store."""
        return {path.stem for path in (self.rig.region("cn").store / VEHICLE).glob("*.mcap")}

    def settled(self) -> None:
        """Everything that fired was delivered or dropped with a reason, and the store agrees."""
        totals, clips = self.journal()
        assert totals
        for one in totals:
            assert one.fired == one.delivered + sum(count for _, count in one.dropped)
        assert self.stored() == {row.clip_id for row in clips[ClipState.DELIVERED]}


@pytest.fixture
def bench(tmp_path: Path, city_drive: Path) -> Iterator[Bench]:
    """Region ``cn`` made (not served), one vehicle enrolled and registered there."""
    with Rig(tmp_path) as rig:
        rig.add_region("cn", ["CN"])
        rig.add_vehicle(
            VEHICLE, "CN", ["cn"], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
        )
        yield Bench(rig, city_drive)


@pytest.mark.slow
def test_a_drive_that_is_cut_off_in_the_middle(
    bench: Bench, campaigns: tuple[Path, ...], tmp_path: Path
) -> None:
    whole = bench.drive.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: len(whole) * 3 // 5])
    config = bench.rig.vehicle(VEHICLE).config
    config.write_text(config.read_text().replace(str(bench.drive), str(cut)))
    bench.rig.serve("cn")
    bench.rig.push("cn", campaigns, drive=bench.drive)
    assert bench.run() == SOURCE_FAILED
    (failed,) = bench.told("source_failed")
    assert str(cut) in failed["what"]
    bench.settled()
    assert bench.stored(), "what was sensed before the end was lost"


@pytest.mark.slow
def test_a_registration_that_no_region_serves(bench: Bench, campaigns: tuple[Path, ...]) -> None:
    collected = _collect_without_delivering(bench, campaigns)
    before = bench.stored()
    bench.rig.register(VEHICLE, "US", serial=2)
    bench.rig.serve("cn")
    bench.events.clear()
    assert bench.run(drain_s=2.0) == UNDELIVERED
    assert bench.told("hold")[0]["reason"] == "no_region_serves_jurisdiction"
    assert "US" in bench.told("hold")[0]["detail"]
    assert bench.stored() == before, "something left while on hold"
    _, clips = bench.journal()
    assert {row.clip_id for row in clips[ClipState.SEALED]} == collected
    bench.rig.register(VEHICLE, "CN", serial=3)
    assert bench.run() == 0
    bench.settled()
    assert collected <= bench.stored()


@pytest.mark.slow
def test_a_broker_with_the_wrong_identity(bench: Bench, campaigns: tuple[Path, ...]) -> None:
    collected = _collect_without_delivering(bench, campaigns)
    impostor = _impostor(bench.rig)
    heard: list[Mapping[str, Any]] = []
    child = bench.rig.serve(impostor, on_event=heard.append)
    bench.events.clear()
    assert bench.run(drain_s=5.0) == UNDELIVERED
    assert bench.told("refused"), "the agent did not say that the broker is a stranger"
    assert not [event for event in heard if event["event"] == "received"]
    _, clips = bench.journal()
    assert collected <= {row.clip_id for row in clips[ClipState.SEALED]}
    child.stop()
    bench.rig.serve("cn")
    assert bench.run() == 0
    bench.settled()
    assert collected <= bench.stored()


@pytest.mark.slow
def test_a_full_disk(bench: Bench, campaigns: tuple[Path, ...]) -> None:
    data = bench.rig.vehicle(VEHICLE).data
    data.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", data], check=False).returncode
    ):
        pytest.skip("a small filesystem can't be mounted here")
    try:
        bench.rig.serve("cn")
        bench.rig.push("cn", campaigns, drive=bench.drive)
        assert bench.run() == 0
        before = bench.stored()
        assert before
        ballast = data / "ballast"
        _leave_free(ballast, 0)
        assert bench.run() == CAN_NOT_START, "there is no room for the journal's own files"
        _leave_free(ballast, JOURNAL_BYTES)
        assert bench.run(drain_s=3.0) in {0, UNDELIVERED}
        assert bench.told("disk_full"), "nobody was told that the disk is full"
        ballast.unlink()
        assert bench.run() == 0
        bench.settled()
        assert before < bench.stored()
    finally:
        subprocess.run(["umount", data], check=True)


def _collect_without_delivering(bench: Bench, campaigns: tuple[Path, ...]) -> set[str]:
    """Let the vehicle learn its campaigns, then drive while the region is away; returns the sealed clips."""
    region = bench.rig.serve("cn")
    bench.rig.push("cn", campaigns, drive=bench.drive)
    assert bench.run() == 0
    region.stop()
    assert bench.run(drain_s=2.0) == UNDELIVERED
    _, clips = bench.journal()
    collected = {row.clip_id for row in clips[ClipState.SEALED]}
    assert collected
    return collected


def _leave_free(ballast: Path, free_bytes: int) -> None:
    ballast.unlink(missing_ok=True)
    ballast.write_bytes(bytes(max(0, shutil.disk_usage(ballast.parent).free - free_bytes)))


def _impostor(rig: Rig) -> str:
    """Another region, with an authority of its own, that listens where ``cn`` is expected."""
    port = _port_line(rig.region("cn").broker_conf)
    impostor = rig.add_region("impostor", ["XX"])
    theirs = _port_line(impostor.broker_conf)
    for path in (impostor.broker_conf, impostor.policy):
        path.write_text(path.read_text().replace(theirs, port))
    fsdctl("region", "policy", "sign", impostor.root)
    return "impostor"


def _port_line(conf: Path) -> str:
    (line,) = [line for line in conf.read_text().splitlines() if line.startswith("listener ")]
    return line.split()[1]
