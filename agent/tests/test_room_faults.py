"""Real disks that fill up, run out of inodes, or turn read-only: the stated order, and nothing accepted is lost.

Everything that touches the disk is the real thing: journal, ledger, staging, spool, reserve and the looks at the disk.
Firings are recorded as sensing does it, and what finishing and delivering do is done by hand.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fsd_agent.adapters.data_disk import DataDisk
from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.reserve_files import ReserveFiles
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.quarantine import Quarantine
from fsd_agent.pipeline.record import Recorder
from fsd_agent.pipeline.recover import apply_recovery
from fsd_agent.pipeline.room import LOOK_EVERY_NS, Room, RoomPolicy
from fsd_agent.pipeline.scrub import Scrub
from fsd_agent.pipeline.spare_memory import SpareMemory
from fsd_agent.pipeline.upkeep import Upkeep
from fsd_agent.ports.spool import SpoolFullError
from fsd_agent.records.campaign import CaptureSpec
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.ledger import Cause, ConsentChanged, Copy, Erased, Redacted, Sealed
from fsd_agent.records.purpose import ALL_PURPOSES, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.room import Amount
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import examine
from fsd_agent.rules.capture.plan import KeptFiring
from fsd_agent.rules.capture.ring import Ring
from fsd_agent.rules.spool.evict import Quotas
from fsd_agent.rules.spool.headroom import LOOKS, headroom_limits
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.sealed import as_file
from fsd_agent.testing.streams import CATALOGUE, stream
from fsd_agent.wire.ledger_file import read_segment
from fsd_firmware.samples import EncodedPacket

MIB = 1 << 20
TICK, EVENT = 5, 60
"""Of the made-up time of the samples: a batch, and an event with its windows."""
PACKET_BYTES = 8 << 10
SPEC = CaptureSpec(before_ns=20, after_ns=15, cameras=("front",), signals=("Vehicle.S1",))
PARTS, PART_BYTES = 16, 32 << 10
FREE = Amount(1 << 20, 8)
SEALED_BYTES = 100 << 10
CAPTURED, SEALED, DROPPED = ClipState.CAPTURED, ClipState.SEALED, ClipState.DROPPED


class Car:
    """The part of an agent that has to do with the disk; ``books`` is where journal and ledger lie."""

    def __init__(self, disk: Path, books: Path | None = None) -> None:
        self.disk, self.keys = disk, keyed("cn")
        self.books = books or disk
        self.clock, self.events = ManualClock(), RememberedEvents()
        self.journal = SqliteJournal(self.books / "journal.db")
        self.ledger = LedgerFiles(self.books / "ledger", keys=self.keys, clock=self.clock, events=self.events)
        if not self.ledger.consent():
            self.ledger.append(ConsentChanged(Purpose.SAFETY, given=True))
        self.staging = StagingFiles(disk / "staging", self.keys)
        self.spool = SpoolFiles(disk / "spool", self.keys)
        self.reserve = ReserveFiles(disk / "reserve", part_bytes=PART_BYTES, parts=PARTS)
        self.sending: set[str] = set()
        self.give_up = GiveUp(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            ledger=self.ledger,
            events=self.events,
        )
        self.room = Room(
            RoomPolicy(
                quotas=Quotas(Amount(10**12, 10**6)),
                limits=headroom_limits(Amount(PARTS * PART_BYTES, PARTS), FREE, slow_ns=60 * 10**9),
                spare=FREE.share(1, 2),
                scarce_priority=50,
            ),
            disk=DataDisk(disk),
            reserve=self.reserve,
            journal=self.journal,
            staging=self.staging,
            give_up=self.give_up,
            sending=lambda: self.sending,
            clock=self.clock,
            events=self.events,
        )
        scrub = Scrub(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            give_up=self.give_up,
            clock=self.clock,
            events=self.events,
            bytes_per_s=MIB,
        )
        quarantine = Quarantine(
            spool=self.spool,
            journal=self.journal,
            ledger=self.ledger,
            unwanted=lambda _: False,
            clock=self.clock,
            events=self.events,
        )
        self.upkeep = Upkeep(self.room, scrub, quarantine, self.ledger, SpareMemory(lambda: None, self.clock))
        self.stream = stream(3, length=6000)
        packets = (
            EncodedPacket("front", t, "av1", t % 20 == 0, bytes(PACKET_BYTES)) for t in range(0, 6000, 2)
        )
        self.stream = replace(self.stream, packets=tuple(packets))
        self.ring = Ring(CATALOGUE, horizon_ns=60, max_bytes=1 << 24)
        ids = itertools.count(1 + len(self.journal.clips(set(ClipState))))
        self.new_id = lambda: f"{next(ids):032x}"
        self.recorder = Recorder(
            ring=self.ring,
            staging=self.staging,
            journal=self.journal,
            ledger=self.ledger,
            events=self.events,
            new_id=self.new_id,
            room=self.room,
        )
        self.now = 0
        self.look()

    def event(self, priority: int = 0, *, in_between: Callable[[], object] = lambda: None) -> None:
        """One firing, sensed from before its window to after it; ``in_between`` happens in its after-window."""
        for start in range(self.now, self.now + EVENT, TICK):
            self.ring.append(*self.stream.batch(start, start + TICK))
            fires = start == self.now + 30
            self.step(start + TICK, [self._firing(start, priority)] if fires else [])
            if start == self.now + 35:
                in_between()
        self.now += EVENT

    def step(self, until: int, firings: list[KeptFiring]) -> None:
        """As sensing: what the disk can't take is dropped with that reason."""
        kept, dropped = [], []
        for one in firings:
            reason = self.room.refuses(one.priority)
            if reason is None:
                kept.append(one)
            else:
                dropped.append(JudgedFiring(one.firing_id, one.firing, one.wall_ns, None, reason))
        self.recorder.step(
            kept, dropped, until_ns=until, region_id="cn", given=ALL_PURPOSES, wall_minus_mono_ns=0
        )

    def _firing(self, t_ns: int, priority: int) -> KeptFiring:
        name = f"p{priority}"
        return KeptFiring(f"{name}-{t_ns}", Firing(name, 1, t_ns, ()), t_ns, SPEC, priority, Purpose.SAFETY)

    def seal(self) -> None:
        """As finishing: what finds no room stays captured."""
        for row in self.journal.clips({CAPTURED}):
            try:
                file = self.spool.put(row.compartment, row.clip_id, as_file(bytes(SEALED_BYTES)))
            except SpoolFullError:
                return
            clip = row.clip_id
            self.ledger.append(
                Redacted(clip, "cn", (), (), 0, 0, "dropped"),
                Sealed(clip, "cn", "car-1", 1, 1, "0" * 16, file.sha256, file.size_bytes),
            )
            self.journal.sealed(file)
            self.ledger.append(Erased(clip, "cn", Copy.STAGED, Cause.SEALED))
            self.staging.erase(row.compartment, clip)

    def deliver(self) -> None:
        for row in self.journal.clips({SEALED}):
            self.journal.delivered(row.clip_id, receipt=b"signed")
            self.spool.erase(row.compartment, row.clip_id)

    def look(self) -> None:
        """A look, and both threads do what was decided."""
        self.clock.advance(LOOK_EVERY_NS)
        self.upkeep.look()
        self.upkeep.step(CAPTURED)
        self.upkeep.step(SEALED)

    def recover(self) -> None:
        """As at a start."""
        consent = ConsentKeeper(
            lambda: consent_document(Purpose.SAFETY),
            keys=self.keys,
            journal=self.journal,
            ledger=self.ledger,
            clock=self.clock,
            events=self.events,
        )
        apply_recovery(self.journal, self.staging, self.spool, self.ledger, keys=self.keys, consent=consent)

    def rows(self, *states: ClipState) -> list[ClipRow]:
        return sorted(self.journal.clips(states), key=lambda row: row.clip_id)

    def dropped_firings(self) -> dict[str, dict[DropReason, int]]:
        return {one.campaign_id: dict(one.dropped) for one in self.journal.totals() if one.dropped}

    def levels(self) -> list[object]:
        return [fields["level"] for fields in self.events.of("headroom")]

    def check(self) -> None:
        """What was accepted is whole on board or was given up with a reason, by journal, ledger and disk alike."""
        staged = {clip_id for _, clip_id in self.staging.entries()}
        sealed = {clip_id for _, clip_id in self.spool.entries()}
        assert staged == {row.clip_id for row in self.rows(ClipState.STAGED, CAPTURED)}
        assert sealed == {row.clip_id for row in self.rows(SEALED)}
        for clip_id in staged:
            assert list(self.staging.read(at("cn"), clip_id))
        for row in self.rows(SEALED):
            data = self.spool.region("cn").read(Purpose.SAFETY, row.clip_id, 0, SEALED_BYTES + 1)
            assert len(data) == SEALED_BYTES
        assert {row.drop for row in self.rows(DROPPED)} <= {DropReason.DISK_NEEDED}
        segments = [(path.name, path.read_bytes()) for path in segment_paths(self.books / "ledger")]
        found = examine(
            [(name, read_segment(data)) for name, data in segments],
            {self.keys.device_key_id(): self.keys.device_public_key},
        )
        assert not found.findings
        clips, findings = account(found.records, {}, None)
        assert not findings
        assert {clip.clip_id for clip in clips.values() if clip.copies} == staged | sealed


def fill(path: Path, spare_bytes: int = 0) -> None:
    """Take all the room there is but this."""
    kept = path.with_suffix(".spare")
    kept.write_bytes(bytes(spare_bytes))
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    kept.unlink()


@contextlib.contextmanager
def read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


MakeDisk = Callable[[int, int], Path]


@pytest.mark.parametrize(("size_bytes", "files"), [(12 * MIB, 10_000), (64 * MIB, 90)])
def test_a_full_spool_takes_every_new_event_and_gives_up_the_least_valuable(
    make_disk: MakeDisk, size_bytes: int, files: int
) -> None:
    """Full of bytes, and full of files."""
    car = Car(make_disk(size_bytes, files))
    for number in range(80):
        car.event(priority=1 if number % 10 == 5 else 0)
        car.seal()
        car.look()
    assert car.dropped_firings() == {"p0": {DropReason.DISK_NEEDED: len(car.rows(DROPPED))}}
    assert 20 < len(car.rows(DROPPED)) < 72, "there was room for some"
    assert not any(row.cut for row in car.rows(*ClipState))
    assert len([row for row in car.rows(SEALED, CAPTURED) if row.priority == 1]) == 8
    ordinary = [row.clip_id for row in car.rows(*ClipState) if row.priority == 0]
    gone = [row.clip_id for row in car.rows(DROPPED)]
    assert gone == ordinary[: len(gone)], "the oldest of the least valuable"
    assert not {"scarce", "none", "broken"} & set(car.levels())
    car.check()


def test_an_event_in_progress_goes_on_in_the_reserve_when_another_program_fills_the_disk(
    make_disk: MakeDisk,
) -> None:
    car = Car(make_disk(12 * MIB, 10_000))
    for _ in range(5):
        car.event()
        car.seal()
    before = car.reserve.held
    car.event(in_between=lambda: fill(car.disk / "log"))
    (row,) = car.rows(CAPTURED)
    assert not row.cut, "its window is whole"
    assert car.reserve.held.files < before.files
    assert not car.events.of("disk_full")
    car.look()
    gone = [row.clip_id for row in car.rows(DROPPED)]
    assert gone == [f"{number:032x}" for number in (1, 2, 3, 4, 5, 6)][: len(gone)]
    assert gone
    car.event()
    assert not car.dropped_firings().get("p0", {}).get(DropReason.DISK_FULL)
    car.check()


def test_with_nothing_left_that_may_go_the_order_of_degradation_is_the_stated_one(
    make_disk: MakeDisk,
) -> None:
    car = Car(make_disk(12 * MIB, 10_000))
    car.event()
    car.event()
    car.seal()
    car.sending = {row.clip_id for row in car.rows(SEALED)}
    # Tight: everything goes on.
    room = DataDisk(car.disk).look(write=False).free.size_bytes
    fill(car.disk / "log", FREE.size_bytes * 3 // 4)
    car.look()
    assert car.levels() == ["tight"]
    assert room > 0
    assert car.room.refuses(0) is None
    # Scarce: what fires with a low priority is not taken, and the rest is.
    fill(car.disk / "log2", FREE.size_bytes // 4)
    car.look()
    assert car.levels() == ["tight", "scarce"]
    car.event(priority=49)
    assert car.dropped_firings() == {"p49": {DropReason.DISK_SCARCE: 1}}
    car.event(priority=50)
    assert len(car.rows(CAPTURED)) == 1
    car.sending |= {row.clip_id for row in car.rows(CAPTURED)}
    # None: nothing is taken, but journal and ledger go on, and what is on board is delivered.
    fill(car.disk / "log3")
    while car.reserve.held.files > PARTS // 4:
        assert car.reserve.give_up()
        fill(car.disk / f"log-{car.reserve.held.files}")
    car.give_up.drop(car.rows(CAPTURED)[0], DropReason.DISK_NEEDED, "by hand: nothing may go any more")
    fill(car.disk / "log4")
    car.look()
    assert car.levels() == ["tight", "scarce", "none"]
    for number in range(20):
        car.event(priority=900 + number)
    totals = car.dropped_firings()
    assert all(totals[f"p{900 + number}"] == {DropReason.DISK_FULL: 1} for number in range(20))
    kept = car.rows(SEALED)
    assert len(kept) == 2
    car.check()
    # Room again: everything goes on, and the reserve is whole.
    for log in car.disk.glob("log*"):
        log.unlink()
    car.look()
    car.look()
    assert car.levels() == ["tight", "scarce", "none", "ample"]
    assert car.reserve.held == Amount(PARTS * PART_BYTES, PARTS)
    car.event()
    assert len(car.rows(CAPTURED)) == 1
    car.check()


def test_on_a_full_disk_what_is_on_board_is_delivered_and_gives_room(make_disk: MakeDisk) -> None:
    car = Car(make_disk(12 * MIB, 10_000))
    for _ in range(6):
        car.event()
        car.seal()
    fill(car.disk / "log")
    car.deliver()
    assert len(car.rows(ClipState.DELIVERED)) == 6
    car.look()
    car.event()
    assert len(car.rows(CAPTURED)) == 1


def test_a_read_only_disk_loses_nothing_and_is_told_and_used_again(
    make_disk: MakeDisk, tmp_path: Path
) -> None:
    """Journal and ledger lie elsewhere: a disk with files that are open for writing can't be made read-only."""
    car = Car(make_disk(12 * MIB, 10_000), tmp_path / "books")
    car.event()
    car.event()
    car.seal()
    car.event()
    with read_only(car.disk):
        car.event(priority=7)  # Before anybody has looked
        assert car.dropped_firings() == {"p7": {DropReason.DISK_FAILED: 1}}
        assert "Read-only file system" in str(car.events.of("disk_failed")[0]["what"])
        car.look()
        assert car.levels() == ["broken"]
        assert car.room.trouble == "disk: is read-only, or was a moment ago"
        car.event(priority=999)
        assert car.dropped_firings()["p999"] == {DropReason.DISK_FAILED: 1}
        assert len(car.rows(SEALED)) == 2
        assert len(car.rows(CAPTURED)) == 1
        car.check()
    for _ in range(LOOKS):
        car.event(priority=3)
        car.look()
    assert car.dropped_firings()["p3"] == {DropReason.DISK_FAILED: LOOKS}
    assert car.levels() == ["broken", "ample"]
    car.event()
    assert len(car.rows(CAPTURED)) == 2
    car.check()
