"""What goes wrong around an agent gives a clear status, and loses nothing that was collected.

Here: a drive that is cut off, a registration that no region serves, registrations and policies that are not to be
believed, a broker with another region's identity, and a full disk. Bad campaigns and bad model packages are refused before an agent sees them, and are tested there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.ports.journal import CampaignTotals
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import ALL_PURPOSES
from fsd_tools.rig.forks import Forks
from fsd_tools.rig.processes import wait_until
from fsd_tools.rig.rig import Rig
from fsd_tools.vehicle.local_status import Agent, VehicleStatus, vehicle_status
from fsd_tools.vehicle.status import read_status

VEHICLE = "car-a"
CAN_NOT_START, SOURCE_FAILED, UNDELIVERED = 1, 3, 4
JOURNAL_BYTES = 200 * 1024
"""Room for the journal to work, not for the window of an event."""
SMALL_ROOM = "reserve_bytes = 262_144\nfree_bytes = 262_144\nfree_files = 8"
"""On a disk of 6 MiB."""
RUN_S = 240.0


class Bench:
    """One vehicle that serves ``cn``, and every event that was told."""

    def __init__(self, rig: Rig, drive: Path) -> None:
        self.rig = rig
        self.drive = drive
        self.events: list[Mapping[str, Any]] = []

    def run(self, *, drain_s: float = 180.0, wait_s: float = 10.0) -> int:
        """One life of the agent; returns its exit code."""
        agent = self.rig.start_agent(
            VEHICLE, "--wait-for-campaigns", str(wait_s), "--drain", str(drain_s), on_event=self.events.append
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
def bench(tmp_path: Path, forks: Forks, city_drive: Path) -> Iterator[Bench]:
    """Region ``cn`` made (not served), one vehicle enrolled and registered there."""
    with Rig(tmp_path, forks=forks) as rig:
        rig.add_region("cn", ["CN"])
        rig.add_vehicle(
            VEHICLE, "CN", ["cn"], {"firmware": {"source": f"drive:{city_drive}", "speed": "max"}}
        )
        rig.consent(VEHICLE, give=ALL_PURPOSES)
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
def test_a_hold_is_told_on_the_vehicle_while_it_lasts_and_to_the_region_afterwards(
    bench: Bench, campaigns: tuple[Path, ...]
) -> None:
    vehicle = bench.rig.vehicle(VEHICLE)
    vehicle.config.write_text(vehicle.config.read_text() + "\n[uplink]\nstatus_every_s = 0.2\n")
    registered = vehicle.registration.read_bytes()
    vehicle.registration.unlink()

    def look() -> VehicleStatus:
        return vehicle_status(vehicle.root, vehicle.data, SystemClock())

    bench.rig.serve("cn")
    bench.rig.push("cn", campaigns, drive=bench.drive)
    agent = bench.rig.start_agent(VEHICLE, "--wait-for-campaigns", "60", "--drain", "60")
    wait_until(lambda: look().agent is Agent.RUNNING, timeout_s=60.0, what="the agent writes its status")
    held = look()
    assert (held.exit_code, held.belongs.hold_reason) == (3, "no_registration")
    vehicle.registration.write_bytes(registered)
    wait_until(lambda: look().exit_code == 0, timeout_s=60.0, what="the hold ends")
    assert agent.wait(RUN_S) == 0
    ended = look()
    assert (ended.exit_code, ended.agent, ended.waiting) == (4, Agent.ENDED, {})
    assert ended.told is not None
    assert ended.told.ended == "done"
    assert ended.told.uplink.last_connected_wall_ns > 0
    (status,) = read_status(bench.rig.region("cn"))
    (span,) = status.holds
    assert span.reason == "no_registration"
    assert span.held_ns > 0
    assert span.until_wall_ns > span.since_wall_ns


@pytest.mark.slow
def test_registrations_that_are_not_to_be_believed(bench: Bench, campaigns: tuple[Path, ...]) -> None:
    """On the disk of a vehicle with undelivered clips, one after the other; the region is there all the time."""
    collected = _collect_without_delivering(bench, campaigns)
    vehicle = bench.rig.vehicle(VEHICLE)
    bench.rig.register(VEHICLE, "CN", serial=7)
    good = vehicle.registration.read_bytes()
    assert bench.run(drain_s=0.0) == UNDELIVERED
    bench.rig.serve("cn")
    before = bench.stored()
    bench.rig.add_vehicle("other", "CN", ["cn"], {})
    for document, reason in (
        (b"", "bad_registration"),
        (good[:-10], "bad_registration"),
        (good.replace(b'"CN"', b'"DE"'), "registration_bad_signature"),
        (bytes(10_000), "registration_too_large"),
        (b'{"vehicle": "car-a", "jurisdiction": "CN", "serial": 9}', "registration_unsigned"),
        (bench.rig.vehicle("other").registration.read_bytes(), "registration_of_another_vehicle"),
        (_registered(bench, "CN", 6), "registration_older"),
        (_registered(bench, "DE", 7), "registration_contradicts"),
        (_registered(bench, "CN", 8, "--not-after", "2025-01-01T00:00:00Z"), "registration_expired"),
        (_registered(bench, "CN", 8, "--not-before", "2150-01-01T00:00:00Z"), "registration_not_yet_valid"),
    ):
        vehicle.registration.write_bytes(document)
        bench.events.clear()
        assert bench.run(drain_s=1.0, wait_s=0.0) == UNDELIVERED
        assert [event["reason"] for event in bench.told("hold")] == [reason]
        assert not bench.told("connected")
    assert bench.stored() == before
    vehicle.registration.write_bytes(good)
    assert bench.run() == 0
    bench.settled()
    assert collected <= bench.stored()


@pytest.mark.slow
def test_policies_that_are_not_to_be_believed(bench: Bench, campaigns: tuple[Path, ...]) -> None:
    """The one that was in force before stays in force: the vehicle goes on, and says what it refused."""
    region, laid = bench.rig.region("cn"), bench.rig.vehicle(VEHICLE).policy("cn")
    old = region.signed_policy.read_bytes()
    region.policy.write_text(region.policy.read_text().replace("retention_days = 365", "retention_days = 30"))
    bench.rig.fsdctl("region", "policy", "sign", region.root)
    laid.write_bytes(region.signed_policy.read_bytes())
    bench.rig.serve("cn")
    bench.rig.push("cn", campaigns, drive=bench.drive)
    assert bench.run() == 0
    bench.settled()
    assert [event["version"] for event in bench.told("policy")] == [2]
    for bad, says in (
        (old, "version: 1, but 2 was accepted before"),
        (region.signed_policy.read_bytes()[:-10], "malformed"),
        (region.signed_policy.read_bytes().replace(b'"CN"', b'"DE"'), "bad_signature"),
        (bytes(1 << 20), "more than"),
    ):
        laid.write_bytes(bad)
        bench.events.clear()
        stored = bench.stored()
        assert bench.run() == 0
        (refused,) = bench.told("policy_refused")
        assert str(laid) in refused["reason"]
        assert says in refused["reason"]
        assert bench.stored() > stored
        told = json.loads(bench.rig.fsdctl("vehicle", "status", region.root, "--vehicle", VEHICLE, "--json"))
        assert (told["policy_version"], told["refused_policy"]) == (2, refused["reason"])


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
        config = bench.rig.vehicle(VEHICLE).config
        config.write_text(config.read_text().replace("[storage]", f"[storage]\n{SMALL_ROOM}"))
        bench.rig.serve("cn")
        bench.rig.push("cn", campaigns, drive=bench.drive)
        assert bench.run() == 0
        before = bench.stored()
        assert before
        ballast = data / "ballast"
        _leave_free(ballast, 0)
        assert bench.run(drain_s=3.0) in {0, UNDELIVERED}, "the journal keeps room to be opened"
        for reserve in (data / "journal.db.reserve", *(data / "reserve").iterdir()):
            reserve.unlink(missing_ok=True)
        _leave_free(ballast, 0)
        assert bench.run() == CAN_NOT_START, "there is no room for the journal's own files"
        _leave_free(ballast, JOURNAL_BYTES)
        assert bench.run(drain_s=3.0) in {0, UNDELIVERED}
        assert bench.told("headroom"), "nobody was told that the disk is full"
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


def _registered(bench: Bench, jurisdiction: str, serial: int, *more: str) -> bytes:
    """A document that the vehicle's own authority signed for it, as another copy of its directory would get it."""
    vehicle = bench.rig.vehicle(VEHICLE)
    kept = vehicle.registration.read_bytes()
    vehicle.registration.unlink()
    argv = ["--vehicle", VEHICLE, "--jurisdiction", jurisdiction, "--serial", str(serial), *more]
    if "--not-after" in more:
        argv += ["--not-before", "2024-01-01T00:00:00Z"]
    bench.rig.fsdctl("vehicle", "register", vehicle.root, "--registry", bench.rig.root / "registry", *argv)
    document = vehicle.registration.read_bytes()
    vehicle.registration.write_bytes(kept)
    return document


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
    rig.fsdctl("region", "policy", "sign", impostor.root)
    return "impostor"


def _port_line(conf: Path) -> str:
    (line,) = [line for line in conf.read_text().splitlines() if line.startswith("listener ")]
    return line.split()[1]
