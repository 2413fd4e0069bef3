"""A withdrawal on real files, killed before every single file that it opens, renames or removes, and finished at the next
start: nothing of the purpose is left, and everything of the others is as it was."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from fsd_agent.adapters.key_files import KeyFiles, create_keys
from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.ledger_files import LedgerFiles
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.pipeline.consent import ConsentKeeper
from fsd_agent.pipeline.give_up import GiveUp
from fsd_agent.pipeline.recover import apply_recovery
from fsd_agent.pipeline.withdrawn import WithdrawnClips
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.ledger import Cause, Copy, Erased, Fired, Redacted, Sealed
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import examine
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.sealed import as_file
from fsd_agent.wire.ledger_file import read_segment

KILLED = 9
STEPS = frozenset({"open", "os.remove", "os.rename", "os.mkdir", "os.scandir"})
GONE, STAYS = Purpose.SAFETY, Purpose.DIAGNOSTICS


class Vehicle:
    """Its stores on a folder, as a start opens them."""

    def __init__(self, folder: Path, document: bytes) -> None:
        self.folder, clock, self.events = folder, ManualClock(), RememberedEvents()
        self.keys = KeyFiles(folder)
        self.journal = SqliteJournal(folder / "journal.db")
        self.staging = StagingFiles(folder / "staging", self.keys)
        self.spool = SpoolFiles(folder / "spool", self.keys)
        self.ledger = LedgerFiles(folder / "ledger", keys=self.keys, clock=clock, events=self.events)
        self.document = document
        self.consent = ConsentKeeper(
            lambda: self.document,
            keys=self.keys,
            journal=self.journal,
            ledger=self.ledger,
            clock=clock,
            events=self.events,
        )
        give_up = GiveUp(
            journal=self.journal,
            staging=self.staging,
            spool=self.spool,
            ledger=self.ledger,
            events=self.events,
        )
        self.withdrawn = WithdrawnClips(
            self.consent, give_up, journal=self.journal, clock=clock, events=self.events
        )

    def recover(self) -> None:
        apply_recovery(
            self.journal, self.staging, self.spool, self.ledger, keys=self.keys, consent=self.consent
        )

    def close(self) -> None:
        self.ledger.close()
        self.journal.close()

    def add(self, number: int, compartment: Compartment, *, sealed: bool) -> None:
        clip_id = f"{number:032x}"
        region_id, purpose = compartment
        writer = self.staging.open(compartment, clip_id)
        writer.append(b"raw")
        writer.close()
        self.ledger.append(Fired(clip_id, region_id, purpose, f"f{number}", "c", 1))
        judged = JudgedFiring(f"f{number}", Firing("c", 1, number, ()), number, clip_id, None)
        self.journal.accept(
            [judged], [ClipRow(clip_id, region_id, purpose, ClipState.STAGED, 1, 2, 0, (), (), 0)]
        )
        self.journal.captured(clip_id, cut=False)
        if sealed:
            file = self.spool.put(compartment, clip_id, as_file(b"sealed"))
            self.ledger.append(
                Redacted(clip_id, region_id, (), (), 0, 0, "dropped"),
                Sealed(clip_id, region_id, "car-1", 1, 1, "0" * 16, file.sha256, file.size_bytes),
                Erased(clip_id, region_id, Copy.STAGED, Cause.SEALED),
            )
            self.journal.sealed(file)
            self.staging.erase(compartment, clip_id)


def prepared(folder: Path) -> None:
    """Clips of two regions and two purposes, captured and sealed."""
    folder.mkdir()
    create_keys(folder)
    vehicle = Vehicle(folder, consent_document(GONE, STAYS))
    vehicle.recover()
    number = 0
    for region_id in ("cn", "eu"):
        for purpose in (GONE, STAYS):
            for sealed in (False, True):
                number += 1
                vehicle.add(number, Compartment(region_id, purpose), sealed=sealed)
    vehicle.close()


def withdraw(folder: Path, steps: int) -> bool:
    """In a process of its own, killed before its n-th step; whether it came to that."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED
    code = 1
    try:
        vehicle = Vehicle(folder, consent_document(GONE, STAYS))
        vehicle.recover()
        left = steps

        def strike(event: str, _: object) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os._exit(KILLED)

        sys.addaudithook(strike)
        vehicle.document = consent_document(STAYS, revision=2)
        vehicle.consent.look()
        vehicle.withdrawn.step()
        code = 0
    finally:
        os._exit(code)


def check(folder: Path) -> None:
    """After the next start."""
    vehicle = Vehicle(folder, consent_document(STAYS, revision=2))
    vehicle.recover()
    assert {one.purpose for one in vehicle.keys.compartments()} == {STAYS}
    entries = vehicle.staging.entries() | vehicle.spool.entries()
    assert {(one.region_id, one.purpose) for one, _ in entries} == {("cn", STAYS), ("eu", STAYS)}
    assert len(entries) == 4
    for row in vehicle.journal.clips(set(ClipState)):
        assert (row.drop is DropReason.CONSENT_WITHDRAWN) == (row.purpose is GONE)
        if row.state is ClipState.SEALED:
            assert vehicle.spool.region(row.region_id).read(row.purpose, row.clip_id, 0, 9) == b"sealed"
    vehicle.close()
    segments = [(path.name, read_segment(path.read_bytes())) for path in segment_paths(folder / "ledger")]
    found = examine(segments, {vehicle.keys.device_key_id(): vehicle.keys.device_public_key()})
    clips, findings = account(found.records, {}, found.start)
    assert not found.findings
    assert not findings
    for clip in clips.values():
        assert bool(clip.copies) == (clip.purpose is STAYS)
        assert clip.purpose is STAYS or Cause.CONSENT in clip.erased.values()


def test_killed_before_every_step_of_a_withdrawal(tmp_path: Path) -> None:
    prepared(tmp_path / "whole")
    for steps in range(500):
        folder = tmp_path / f"{steps}"
        shutil.copytree(tmp_path / "whole", folder)
        killed = withdraw(folder, steps)
        check(folder)
        shutil.rmtree(folder)
        if not killed:
            assert steps > 10
            return
    raise AssertionError("it never came to its end")
