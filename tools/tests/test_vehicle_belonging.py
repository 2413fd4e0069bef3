"""Where a vehicle belongs, asked from outside: always what its agent says, and nothing of the agent's is touched."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fsd_agent.adapters.key_files import KeyFiles, create_keys
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.sqlite_reader import read_journal
from fsd_agent.adapters.trust_files import TrustFiles, public_key_text
from fsd_agent.pipeline.residence import Residence
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Hold, HoldReason, Registration, Route
from fsd_agent.rules.trust.registration import BELIEVE_NS
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.regions import AUTHORITY_KEY, BEGIN_WALL_NS, SampleRegion, sample_region
from fsd_agent.wire.envelope import public_key_of
from fsd_agent.wire.policy import encode_policy, sign_policy
from fsd_agent.wire.registration import sign_registration
from fsd_tools.main import main
from fsd_tools.vehicle.belonging import belonging_of, read_kept

S, DAY = 1_000_000_000, 86_400_000_000_000
AGENT_UID = 54321
REGIONS = (sample_region("cn", ("CN",), 8883), sample_region("eu", ("DE",), 8884))
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")


class Vehicle:
    """Its directory, and an agent's residence on a real journal that can be started and stopped."""

    def __init__(self, root: Path) -> None:
        self.root, self.data = root, root / "data"
        self.clock = ManualClock(wall_ns=BEGIN_WALL_NS + 500 * DAY)
        create_keys(root)
        self.device_key_id = KeyFiles(root).device_key_id()
        for folder in ("trust", "policies", "data"):
            (root / folder).mkdir(mode=0o700)
        self._write("trust/registration.pub", public_key_text(public_key_of(AUTHORITY_KEY), "a").encode())
        for region in REGIONS:
            text = public_key_text(public_key_of(region.root_key), "root")
            self._write(f"trust/{region.policy.region_id}.root", text.encode())
            self.lay(region, 1)
        self.journal: SqliteJournal | None = None

    def _write(self, name: str, data: bytes) -> None:
        (self.root / name).write_bytes(data)
        (self.root / name).chmod(0o600)

    def lay(self, region: SampleRegion, version: int) -> None:
        policy = replace(region.policy, version=version)
        signed = sign_policy(encode_policy(policy), region.root_key, policy.region_id)
        self._write(f"policies/{policy.region_id}.signed", signed)

    def register(self, jurisdiction: str, serial: int, days: int = 1000) -> None:
        end_ns = BEGIN_WALL_NS + days * DAY
        told = Registration("car-1", jurisdiction, serial, self.device_key_id, BEGIN_WALL_NS, end_ns)
        self._write("registration.signed", sign_registration(told, AUTHORITY_KEY))

    def start(self) -> Residence:
        self.journal = SqliteJournal(self.data / "journal.db")
        document = self.root / "registration.signed"
        return Residence(
            lambda: document.read_bytes() if document.exists() else None,
            TrustFiles(self.root),
            device_key_ids=lambda: {self.device_key_id},
            journal=self.journal,
            clock=self.clock,
            events=RememberedEvents(),
        )

    def stop(self) -> None:
        if self.journal is not None:
            self.journal.close()

    def outside(self) -> Route | Hold:
        return belonging_of(self.root, read_kept(self.data), self.clock).where


@pytest.fixture
def vehicle(tmp_path: Path) -> Iterator[Vehicle]:
    made = Vehicle(tmp_path)
    yield made
    made.stop()


def reason(where: Route | Hold) -> HoldReason | None:
    return where.reason if isinstance(where, Hold) else None


def test_a_document_that_was_rolled_back_lists_nothing(
    vehicle: Vehicle, capsys: pytest.CaptureFixture[str]
) -> None:
    vehicle.register("CN", 1)
    residence = vehicle.start()
    assert isinstance(vehicle.outside(), Route)
    vehicle.register("DE", 2)
    vehicle.clock.advance(2 * S)
    assert residence.current == vehicle.outside()
    vehicle.register("CN", 1)
    assert reason(vehicle.outside()) is HoldReason.REGISTRATION_OLDER, "while the agent runs"
    vehicle.stop()
    assert reason(vehicle.outside()) is HoldReason.REGISTRATION_OLDER, "and while it does not"
    assert main(["vehicle", "egress", str(vehicle.root), "--user", "7"]) == 0
    printed = capsys.readouterr().out
    assert "The vehicle holds (registration_older)" in printed
    assert "127.0.0.1" not in printed
    moved = vehicle.root.parent / "elsewhere"
    vehicle.data.rename(moved)
    argv = ["vehicle", "egress", str(vehicle.root), "--user", "7", "--data", str(moved)]
    assert main(argv) == 0
    assert "registration_older" in capsys.readouterr().out
    moved.rename(vehicle.data)


def test_a_policy_that_was_rolled_back_or_torn_goes_on_as_the_agent_goes_on(vehicle: Vehicle) -> None:
    vehicle.register("CN", 1)
    vehicle.start()
    vehicle.lay(REGIONS[0], 3)
    vehicle.clock.advance(2 * S)
    vehicle.start()
    for spoil in (lambda: vehicle.lay(REGIONS[0], 2), lambda: vehicle._write("policies/cn.signed", b"torn")):
        spoil()
        where = vehicle.outside()
        assert isinstance(where, Route)
        assert where.policy.version == 3


def test_a_time_that_was_believed_counts_where_the_clock_is_set_back(vehicle: Vehicle) -> None:
    vehicle.register("CN", 1, days=600)
    residence = vehicle.start()
    vehicle.clock.advance(200 * DAY)
    assert isinstance(residence.current, Hold)
    vehicle.clock.advance(BELIEVE_NS + 2 * S)
    assert isinstance(residence.current, Hold)
    vehicle.clock.jump_wall(-200 * DAY)
    assert reason(vehicle.outside()) is HoldReason.REGISTRATION_EXPIRED


def test_a_vehicle_that_never_ran_is_judged_by_its_files(vehicle: Vehicle) -> None:
    vehicle.register("CN", 1)
    assert isinstance(vehicle.outside(), Route)
    (vehicle.data / "lock").touch()
    assert isinstance(vehicle.outside(), Route)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: data.rmdir(), "No such file or directory; give the agent's"),
        (lambda data: (data / "spool").mkdir(), "has no journal.db; start the agent once"),
        (lambda data: (data / "journal.db").touch(), "is not an agent's journal"),
        (lambda data: (data / "journal.db").write_bytes(b"SQLite format 3\0" * 400), "can't be read"),
        (lambda data: (data / "journal.db").mkdir(), "can't be read"),
        (lambda data: sqlite3.connect(data / "journal.db").execute("CREATE TABLE t (x)").close(), "is not an"),
    ],
)  # fmt: skip
def test_where_nobody_can_say_what_was_accepted_nothing_is_allowed(
    vehicle: Vehicle, spoil: object, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vehicle.register("CN", 1)
    assert callable(spoil)
    spoil(vehicle.data)
    where = vehicle.outside()
    assert isinstance(where, Hold)
    assert where.reason is HoldReason.REGISTRATION_NOT_KEPT
    assert says in where.detail
    assert main(["vehicle", "egress", str(vehicle.root), "--user", "7"]) == 0
    assert "127.0.0.1" not in capsys.readouterr().out


def test_a_journal_of_a_newer_agent_is_not_guessed_at(vehicle: Vehicle) -> None:
    vehicle.register("CN", 1)
    vehicle.start()
    vehicle.stop()
    with sqlite3.connect(vehicle.data / "journal.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="tables are version 99"):
        read_journal(vehicle.data / "journal.db")


def test_a_reading_holds_the_clips_that_are_not_finished(vehicle: Vehicle) -> None:
    vehicle.start()
    assert vehicle.journal is not None
    rows = [
        ClipRow(f"{n:032x}", "cn", Purpose.SAFETY, ClipState.STAGED, n, n + 1, 0, (), (), 0) for n in range(3)
    ]
    vehicle.journal.accept((), rows)
    vehicle.journal.captured(rows[1].clip_id, cut=False)
    vehicle.journal.dropped(rows[2].clip_id, DropReason.DISK_FULL, "")
    reading = read_journal(vehicle.data / "journal.db")
    assert [(row.clip_id, row.state) for row in reading.live] == [
        (rows[0].clip_id, ClipState.STAGED),
        (rows[1].clip_id, ClipState.CAPTURED),
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("register"), st.sampled_from(["CN", "DE", "US"]), st.integers(1, 4)),
            st.tuples(st.just("policy"), st.integers(0, 1), st.integers(1, 3)),
            st.tuples(st.just("time"), st.sampled_from([-300, 1, 300]), st.just(0)),
            st.tuples(st.just("unregister"), st.just(0), st.just(0)),
            st.tuples(st.just("restart"), st.just(0), st.just(0)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_happens_the_answer_from_outside_is_the_agents(steps: list[tuple[str, object, int]]) -> None:
    """Asked before and after the agent has looked: neither is a moment with another answer."""
    with tempfile.TemporaryDirectory() as folder:
        vehicle = Vehicle(Path(folder))
        residence = vehicle.start()
        for what, value, number in steps:
            if what == "register":
                vehicle.register(str(value), number, days=600)
            elif what == "policy":
                assert isinstance(value, int)
                vehicle.lay(REGIONS[value], number)
            elif what == "time":
                assert isinstance(value, int)
                vehicle.clock.jump_wall(value * DAY)
            elif what == "unregister":
                (vehicle.root / "registration.signed").unlink(missing_ok=True)
            else:
                vehicle.stop()
                residence = vehicle.start()
            vehicle.clock.advance(2 * S)
            before = vehicle.outside()
            assert before == residence.current
            assert vehicle.outside() == before
        vehicle.stop()


AGENT = """
import os, sys
from pathlib import Path
from fsd_agent.adapters.sqlite_journal import SqliteJournal
os.umask(0o077)
os.setgid({uid}); os.setuid({uid})
journal = SqliteJournal(Path(sys.argv[1]) / "journal.db")
journal.set_state("registration", b"damaged on purpose")
print("up", flush=True)
sys.stdin.read()
journal.close()
"""


@root_only
@pytest.mark.parametrize("agent", ["running", "killed", "stopped"])
def test_nothing_of_the_agents_changes_hands_when_root_reads_it(agent: str) -> None:
    """Neither owner nor mode of any file, and what SQLite makes beside the journal is the agent's."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)  # the agent's user must get there
        vehicle = Vehicle(folder)
        vehicle.register("CN", 1)
        os.chown(vehicle.data, AGENT_UID, AGENT_UID)
        # Imported as root: another user may not enter the folders of this checkout.
        argv = [sys.executable, "-c", AGENT.format(uid=AGENT_UID), str(vehicle.data)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            if agent == "killed":
                process.kill()
                process.wait()
            elif agent == "stopped":
                process.stdin.close()
                process.wait()
                process.stdin = None
            before = {path.name: path.stat().st_mode for path in vehicle.data.iterdir()}
            where = vehicle.outside()
            assert isinstance(where, Hold)
            assert where.reason is HoldReason.REGISTRATION_NOT_KEPT, "it was read: it is damaged"
            assert "damaged" not in where.detail
            found = {path.name: path.stat() for path in vehicle.data.iterdir()}
            process.kill()
        assert {name: found[name].st_mode for name in before} == before
        assert {(one.st_uid, one.st_gid) for one in found.values()} == {(AGENT_UID, AGENT_UID)}
        assert (os.geteuid(), os.getegid()) == (0, 0)
    finally:
        shutil.rmtree(folder)


@root_only
def test_what_the_agents_user_may_not_read_root_does_not_read_for_it() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        vehicle, secret = Vehicle(folder), folder / "secret"
        vehicle.register("CN", 1)
        SqliteJournal(secret / "journal.db").close()
        before = sorted(secret.iterdir())
        secret.chmod(0o700)
        os.chown(vehicle.data, AGENT_UID, AGENT_UID)
        (vehicle.data / "journal.db").symlink_to(secret / "journal.db")
        assert reason(vehicle.outside()) is HoldReason.REGISTRATION_NOT_KEPT
        assert sorted(secret.iterdir()) == before
    finally:
        shutil.rmtree(folder)
