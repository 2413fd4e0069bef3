"""``fsdctl vehicle status`` on the vehicle: which hold, what to do, and whether anybody is at home. No network."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.status_file import STATUS_FILE, StatusFile, boot_id
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.pipeline.retention import STATE_KEY
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.local_status import Belongs, LocalStatus, Uplink
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.region import HoldReason
from fsd_agent.records.status import HoldSpan, ProcessUse
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_tools.main import main
from fsd_tools.rig.namespaces import why_not
from fsd_tools.vehicle.advice import ADVICE
from fsd_tools.vehicle.local_show import duration, wait_lines

S = 1_000_000_000
REASON = why_not()
CLOCK = SystemClock()
ROUTE = Belongs("cn", "car-1", "CN", 1, 1, "", "")
HOLD = Belongs("", "", "", 0, 0, "registration_expired", "not_after: 2026-11-20T10:00:00Z, it is 2026-11-29")


@pytest.fixture
def vehicle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Enrolled with region cn, registered there, with an agent's journal."""
    region, car = str(tmp_path / "cn"), tmp_path / "car-1"
    assert main(["region", "init", region, "--id", "cn", "--jurisdiction", "CN"]) == 0
    assert main(["vehicle", "enrol", region, "--vehicle", "car-1", "-o", str(car)]) == 0
    assert main(["registry", "init", str(tmp_path / "registry")]) == 0
    register(car, "CN")
    (car / "data").mkdir(mode=0o700)
    SqliteJournal(car / "data" / "journal.db").close()
    capsys.readouterr()
    return car


def register(car: Path, jurisdiction: str) -> None:
    registry = str(car.parent / "registry")
    argv = ["--registry", registry, "--vehicle", "car-1", "--jurisdiction", jurisdiction]
    assert main(["vehicle", "register", str(car), *argv]) == 0


def put(car: Path, ago_ns: int = 0, **changes: Any) -> LocalStatus:
    status = LocalStatus(
        wall_ns=CLOCK.wall_ns(),
        mono_ns=CLOCK.monotonic_ns() - ago_ns,
        boot_id=boot_id(),
        every_s=5.0,
        ended="",
        agent_version="9.9",
        belongs=ROUTE,
        policies={"cn": 1},
        refused_policies={},
        uplink=Uplink("cn", True, CLOCK.wall_ns(), 4, 1, 17),
        holds=(HoldSpan("no_registration", S, 2 * S, 7265 * S),),
        ledger_head=MemoryLedger(keys=MemoryVehicleKeys(), clock=ManualClock()).head().encode(),
        trouble="broker: no answer",
        use=ProcessUse(1.0, 2, 3),
    )
    status = dataclasses.replace(status, **changes)
    StatusFile(car / "data" / STATUS_FILE).put(status)
    return status


def show(car: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["vehicle", "status", str(car), *options])
    return code, capsys.readouterr().out


def facts(car: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code, said = show(car, capsys, "--json")
    found: dict[str, Any] = json.loads(said)
    assert found["exit_code"] == code
    return found


def test_a_vehicle_that_delivers(vehicle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(vehicle)
    code, said = show(vehicle, capsys)
    assert code == 0
    for line in (
        "ROUTE to region cn: vehicle car-1, jurisdiction CN, registration 1, policy 1",
        "agent: runs, version 9.9, told 0 s ago",
        "policies in force: cn 1",
        "clips: none waits",
        "connection: connected to region cn; 4 attempts or connections failed, 1 of them refused; 17 clips delivered",
        "certificate for region cn: until 20",
        "trouble: broker: no answer",
        "held for 2 h 1 min: no_registration, from 1970-01-01T00:00:01Z until 1970-01-01T00:00:02Z",
    ):
        assert line in said
    assert "what to do" not in said


def test_a_hold_says_which_and_what_to_do_and_has_a_code_of_its_own(
    vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(vehicle, belongs=HOLD)
    code, said = show(vehicle, capsys)
    assert code == 3
    assert said.startswith("HOLD registration_expired: nothing is collected or sent\n  not_after: 2026-11-20")
    assert f"what to do: {ADVICE[HoldReason.REGISTRATION_EXPIRED]}" in said
    assert "its files say otherwise now: ROUTE to region cn" in said
    assert facts(vehicle, capsys)["belongs"]["hold_reason"] == "registration_expired"


@pytest.mark.parametrize("reason", HoldReason)
def test_every_reason_has_an_advice(
    reason: HoldReason, vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(vehicle, belongs=dataclasses.replace(HOLD, hold_reason=str(reason)))
    assert facts(vehicle, capsys)["advice"] == ADVICE[reason]


def test_a_reason_of_a_newer_agent_is_shown_all_the_same(
    vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(vehicle, belongs=dataclasses.replace(HOLD, hold_reason="moon_phase"))
    code, said = show(vehicle, capsys)
    assert (code, "HOLD moon_phase" in said, "see docs/residency.md" in said) == (3, True, True)


@pytest.mark.parametrize(
    ("changes", "agent", "says"),
    [
        ({"ended": "stopped"}, "ended", "ended as stopped 0 s ago"),
        ({"ago_ns": 60 * S}, "silent", "SILENT: it last told 1 min"),
        ({"boot_id": "of another start"}, "silent", "SILENT"),
        ({"wall_ns": 5}, "running", "runs"),
        ({"wall_ns": 2**62}, "running", "runs"),
    ],
)
def test_what_is_stale_is_shown_as_stale(
    changes: dict[str, Any], agent: str, says: str, vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the clock that nobody sets; and then the files decide."""
    put(vehicle, belongs=dataclasses.replace(ROUTE, serial=77), **changes)
    code, said = show(vehicle, capsys)
    assert says in said
    found = facts(vehicle, capsys)
    assert found["agent"] == agent
    assert (code, found["belongs"]["serial"]) == ((0, 77) if agent == "running" else (4, 1))


def test_without_the_agents_word_the_files_decide(vehicle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = show(vehicle, capsys)
    assert code == 4
    assert "ROUTE to region cn" in said
    assert "agent: nothing is known of it" in said
    (vehicle / "registration.signed").unlink()
    code, said = show(vehicle, capsys)
    assert (code, "HOLD no_registration" in said) == (3, True)
    (vehicle / "data" / STATUS_FILE).write_text("garbage")
    code, said = show(vehicle, capsys)
    assert (code, "status.json: JSON is malformed" in said) == (3, True)


def test_clips_that_wait_by_region_and_how_long(vehicle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(vehicle)
    journal = SqliteJournal(vehicle / "data" / "journal.db")
    try:
        rows = [
            ClipRow(f"{n:032x}", region, Purpose.SAFETY, ClipState.STAGED, n, n + 1, 0, (), (), 0)
            for n, region in enumerate(("cn", "cn", "eu"))
        ]
        journal.accept((), rows)
        journal.captured(rows[1].clip_id, cut=False)
        since_ns = CLOCK.wall_ns() - 4 * 86_400 * S - 3600 * S
        journal.set_state(STATE_KEY, msgspec.msgpack.encode({rows[1].clip_id: since_ns}))
        code, said = show(vehicle, capsys)  # while the agent has it open
    finally:
        journal.close()
    assert code == 0
    assert "clips for region cn: 1 captured, 1 staged; the oldest has waited 4 d 1 h of 365 d" in said
    assert (
        "clips for region eu: 1 staged; the oldest has waited not noted yet without a policy in force" in said
    )


@pytest.mark.parametrize("until_parked", [True, False])
def test_captured_clips_that_wait_for_the_car_to_be_parked(
    vehicle: Path, capsys: pytest.CaptureFixture[str], *, until_parked: bool
) -> None:
    told = "not painted and encoded before the car is parked: 1 captured"
    put(vehicle, until_parked=until_parked)
    assert "parked" not in show(vehicle, capsys)[1], "nothing is captured"
    journal = SqliteJournal(vehicle / "data" / "journal.db")
    try:
        row = ClipRow("0" * 32, "cn", Purpose.SAFETY, ClipState.STAGED, 0, 1, 0, (), (), 0)
        journal.accept((), [row])
        journal.captured(row.clip_id, cut=False)
    finally:
        journal.close()
    assert (told in show(vehicle, capsys)[1]) is until_parked
    put(vehicle, until_parked=until_parked, ended="stopped")
    assert told not in show(vehicle, capsys)[1], "that was the word of an agent that runs no more"


def test_a_refused_policy_and_a_journal_that_can_not_be_read(
    vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (vehicle / "policies" / "eu.signed").write_bytes(b"x")
    _, said = show(vehicle, capsys)
    assert "refused for region eu: the vehicle pins no root key of region 'eu'" in said
    (vehicle / "data" / "journal.db").write_bytes(b"SQLite format 3\0" * 400)
    code, said = show(vehicle, capsys)
    assert code == 3
    assert "HOLD registration_not_kept" in said
    assert "clips: the journal can't be read" in said
    code, said = show(vehicle, capsys, "--data", str(vehicle / "nowhere"))
    assert (code, "nowhere: can't be read" in said) == (3, True)


def test_a_certificate_that_is_over_or_damaged_is_said(
    vehicle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TlsFiles(VehicleDir(vehicle)).pair("cn")[0].write_bytes(b"no certificate")
    _, said = show(vehicle, capsys)
    assert "certificate for region cn: can't be read" in said


@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_it_asks_nobody(vehicle: Path) -> None:
    """In a namespace in which not even loopback is up."""
    put(vehicle)
    argv = [sys.executable, "-m", "fsd_tools", "vehicle", "status", str(vehicle)]
    done = subprocess.run(["unshare", "--net", *argv], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_wrong_usage(vehicle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vehicle", "status", str(vehicle), "--vehicle", "car-1"]) == 2
    assert main(["vehicle", "status", str(vehicle.parent / "cn"), "--data", "x"]) == 2
    assert main(["vehicle", "status", str(vehicle / "none")]) == 1
    assert "is not a vehicle's directory" in capsys.readouterr().err


def test_durations() -> None:
    assert [duration(s) for s in (0, 59, 60, 3661, 90_000)] == [
        "0 s", "59 s", "1 min 0 s", "1 h 1 min", "1 d 1 h",
    ]  # fmt: skip


def test_why_clips_are_not_sent_now() -> None:
    assert list(wait_lines({})) == []
    assert list(wait_lines({"roaming": 2, "waits_for_wifi": 9, "budget_day": 2})) == [
        "not sent now: 9 waits_for_wifi, 2 budget_day, 2 roaming"
    ]
