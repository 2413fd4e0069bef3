"""Recovery carried out, on real files and in memory, cut off after any action and started again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.pipeline.consent import STATE_KEY, ConsentKeeper
from fsd_agent.pipeline.recover import RecoveryRefusedError, RecoveryReport, apply_recovery
from fsd_agent.ports.journal import Journal
from fsd_agent.ports.ledger import Ledger
from fsd_agent.ports.spool import SpoolStore, Staging
from fsd_agent.ports.vehicle_keys import VehicleKeys
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.clip_ids import pack_ids
from fsd_agent.records.consent import ConsentSetting
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.ledger import (
    Cause,
    ConsentChanged,
    Copy,
    Dropped,
    Erased,
    Fired,
    Receipted,
    Redacted,
    Sealed,
    Sent,
)
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.audit.account import account
from fsd_agent.rules.audit.chain import Located
from fsd_agent.testing.clock import ManualClock
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.consent import consent_document
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.testing.ledger import MemoryLedger
from fsd_agent.testing.regions import sample_region
from fsd_agent.testing.sealed import as_file, sealed_sample
from fsd_agent.testing.spool import MemorySpool
from fsd_agent.testing.staging import MemoryStaging
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.floors import encode_consent_floor
from fsd_agent.wire.pieces import FileIdentity

Disk = tuple[Journal, Staging, SpoolStore, Ledger]
KEYS = keyed("eu", "cn")


def new_ledger(*given: Purpose) -> MemoryLedger:
    ledger = MemoryLedger(keys=KEYS, clock=ManualClock())
    ledger.append(*(ConsentChanged(purpose, given=True) for purpose in given))
    return ledger


def recovery(disk: Disk, *given: Purpose, keys: VehicleKeys = KEYS) -> RecoveryReport:
    """As at a start, with a user who consents to this."""
    journal, staging, spool, ledger = disk
    consent = ConsentKeeper(
        lambda: consent_document(*given),
        keys=keys,
        journal=journal,
        ledger=ledger,
        clock=ManualClock(),
        events=RememberedEvents(),
    )
    return apply_recovery(journal, staging, spool, ledger, keys=keys, consent=consent)


def clip_id(n: int) -> str:
    return f"{n:032x}"


@pytest.fixture(params=["memory", "files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    if request.param == "memory":
        return MemoryJournal(), MemoryStaging(KEYS), MemorySpool(KEYS), new_ledger(Purpose.SAFETY)
    staging, spool = StagingFiles(tmp_path / "staging", KEYS), SpoolFiles(tmp_path / "spool", KEYS)
    return SqliteJournal(tmp_path / "journal.db"), staging, spool, new_ledger(Purpose.SAFETY)


def stage(disk: Disk, n: int) -> None:
    journal, staging, _, ledger = disk
    writer = staging.open(at("eu"), clip_id(n))
    writer.append(b"part")
    writer.close()
    ledger.append(Fired(clip_id(n), "eu", Purpose.SAFETY, f"f{n}", "c", 1))
    row = ClipRow(clip_id(n), "eu", Purpose.SAFETY, ClipState.STAGED, 1, 2, 0, (), (), 0)
    journal.accept([JudgedFiring(f"f{n}", Firing("c", 1, n, ()), n, clip_id(n), None)], [row])


def seal(disk: Disk, n: int) -> None:
    journal, _, spool, ledger = disk
    journal.captured(clip_id(n), cut=False)
    sealed = spool.put(at("eu"), clip_id(n), as_file(b"sealed"))
    ledger.append(*recorded(sealed))
    journal.sealed(sealed)


def recorded(sealed: SealedClip) -> tuple[Redacted, Sealed]:
    clip, region = sealed.clip_id, sealed.region_id
    return (
        Redacted(clip, region, (), (), 0, 0, "dropped"),
        Sealed(clip, region, "car-1", 1, 1, "0" * 16, sealed.sha256, sealed.size_bytes),
    )


def a_bad_day(disk: Disk) -> None:
    """One clip of each kind of trouble."""
    journal, staging, spool, ledger = disk
    for n in range(8):
        stage(disk, n)
    staging.erase(at("eu"), clip_id(1))  # 0 open, 1 open without its file
    journal.captured(clip_id(2), cut=False)  # 2 captured; its sealed file is there, the row does not know yet
    spool.put(at("eu"), clip_id(2), as_file(b"sealed"))
    journal.captured(clip_id(3), cut=False)
    staging.erase(at("eu"), clip_id(3))  # 3 captured without its file
    seal(disk, 4)  # 4 sealed, staging not erased yet
    seal(disk, 5)
    spool.erase(at("eu"), clip_id(5))  # 5 sealed, its file gone
    seal(disk, 6)
    ledger.append(*sent(6))
    journal.delivered(clip_id(6), receipt=b"signed")  # 6 delivered, nothing erased yet
    ledger.append(Dropped(clip_id(7), "eu", DropReason.SEAL_FAILED))
    journal.dropped(clip_id(7), DropReason.SEAL_FAILED, "")  # 7 dropped, nothing erased yet
    staging.open(at("eu"), clip_id(8)).close()  # 8 never accepted
    spool.put(at("cn"), clip_id(9), as_file(b"stray"))  # 9 never heard of


def sent(n: int) -> tuple[Sent, Receipted]:
    return (
        Sent(clip_id(n), "eu", "127.0.0.1", 8883, "urn:fsd:region:eu", bytes(32)),
        Receipted(clip_id(n), "eu", b"signed"),
    )


def check_ledger(disk: Disk) -> dict[int, str]:
    """It holds, and names the copies that there are; where each clip is, by its number."""
    _, staging, spool, ledger = disk
    assert isinstance(ledger, MemoryLedger)
    clips, findings = account([Located(entry, "memory") for entry in ledger.entries], {}, None)
    assert not findings
    assert {clip.clip_id for clip in clips.values() if Copy.STAGED in clip.copies} == {
        one for _, one in staging.entries()
    }
    there = {(at(clip.region_id), clip.clip_id) for clip in clips.values() if Copy.SEALED in clip.copies}
    assert there == spool.entries()
    return {int(clip_id, 16): str(clip.where) for clip_id, clip in clips.items()}


def check_after(disk: Disk) -> None:
    journal, staging, spool, _ = disk
    states = {int(row.clip_id, 16): (row.state, row.drop, row.cut) for row in journal.clips(tuple(ClipState))}
    assert states == {
        0: (ClipState.CAPTURED, None, True),
        1: (ClipState.DROPPED, DropReason.STAGING_LOST, False),
        2: (ClipState.CAPTURED, None, False),
        3: (ClipState.DROPPED, DropReason.STAGING_LOST, False),
        4: (ClipState.SEALED, None, False),
        5: (ClipState.DROPPED, DropReason.SPOOL_DAMAGED, False),
        6: (ClipState.DELIVERED, None, False),
        7: (ClipState.DROPPED, DropReason.SEAL_FAILED, False),
    }
    assert staging.entries() == {(at("eu"), clip_id(0)), (at("eu"), clip_id(2))}
    assert spool.entries() == {(at("eu"), clip_id(4))}
    assert spool.ids() == {at("eu"): pack_ids([clip_id(4)])}
    where = check_ledger(disk)
    assert {n for n, at in where.items() if at == "on the vehicle"} == {0, 2, 4}
    assert {n for n, at in where.items() if at == "erased"} == {1, 3, 5, 7}
    assert where[6] == "at the region"


def test_everything_at_once(disk: Disk) -> None:
    a_bad_day(disk)
    report = recovery(disk, Purpose.SAFETY)
    counts = (report.live, report.closed_cut, report.dropped, report.erased_staging, report.erased_sealed)
    assert counts == (6, 1, 3, 5, 3)
    assert len(report.reasons) == 12
    assert f"Drop {clip_id(1)}: staged, but its staging file or its key is gone" in report.reasons
    check_after(disk)
    again = recovery(disk, Purpose.SAFETY)
    assert again == RecoveryReport(3, 0, 0, 0, 0, 0, ())
    disk[0].close()


def test_a_clip_that_waits_in_peace_is_left_alone_whatever_else_is_found(disk: Disk) -> None:
    """Also where a stray file has its id, in another compartment: the file goes, and the clip stays."""
    journal, staging, spool, _ = disk
    for n in (1, 2):
        stage(disk, n)
        seal(disk, n)
    recovery(disk, Purpose.SAFETY)
    assert staging.entries() == frozenset()
    assert spool.entries() == {(at("eu"), clip_id(1)), (at("eu"), clip_id(2))}
    spool.put(at("cn"), clip_id(1), as_file(b"stray"))
    report = recovery(disk, Purpose.SAFETY)
    assert (report.live, report.dropped, report.erased_sealed) == (2, 0, 1)
    assert spool.entries() == {(at("eu"), clip_id(1)), (at("eu"), clip_id(2))}
    assert [row.state for row in journal.clips(tuple(ClipState))] == [ClipState.SEALED] * 2


@pytest.mark.parametrize(
    ("given", "why"),
    [((), DropReason.CONSENT_WITHDRAWN), ((Purpose.SAFETY,), DropReason.SPOOL_DAMAGED)],
)
def test_a_clip_that_waits_in_peace_is_given_up_without_consent_or_key(
    given: tuple[Purpose, ...], why: DropReason
) -> None:
    keys = keyed("eu", "cn")
    disk = MemoryJournal(), MemoryStaging(keys), MemorySpool(keys), new_ledger(Purpose.SAFETY)
    stage(disk, 1)
    seal(disk, 1)
    assert recovery(disk, Purpose.SAFETY, keys=keys).dropped == 0
    assert recovery(disk, Purpose.SAFETY, keys=keys) == RecoveryReport(1, 0, 0, 0, 0, 0, ())
    keys.destroy_compartment("eu", Purpose.SAFETY)
    report = recovery(disk, *given, keys=keys)
    assert (report.live, report.dropped, report.erased_sealed) == (1, 1, 1)
    row = disk[0].clip(clip_id(1))
    assert row is not None
    assert row.drop is why
    assert disk[2].entries() == frozenset()
    check_ledger(disk)


class PowerCutError(Exception):
    """The test's own."""


class DyingJournal(MemoryJournal):
    """Behaves until it is told to die: then the next change raises instead."""

    left = 1 << 30

    def captured(self, clip_id: str, *, cut: bool) -> None:
        _spend(self)
        super().captured(clip_id, cut=cut)

    def dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        _spend(self)
        super().dropped(clip_id, reason, detail)


def _spend(journal: DyingJournal) -> None:
    if journal.left == 0:
        raise PowerCutError
    journal.left -= 1


@pytest.mark.parametrize("steps", range(5))
def test_cut_off_and_started_again(steps: int) -> None:
    journal = DyingJournal()
    disk: Disk = (journal, MemoryStaging(KEYS), MemorySpool(KEYS), new_ledger(Purpose.SAFETY))
    a_bad_day(disk)
    journal.left = steps
    if steps < 4:
        with pytest.raises(PowerCutError):
            recovery(disk, Purpose.SAFETY)
    journal.left = 1 << 30
    recovery(disk, Purpose.SAFETY)
    check_after(disk)


def test_a_lost_journal_does_not_erase_the_spool(disk: Disk) -> None:
    _, staging, spool, _ = disk
    stage(disk, 1)
    seal(disk, 1)
    disk[0].close()
    with pytest.raises(
        RecoveryRefusedError, match="1 sealed clips, but the journal has never accepted a firing"
    ):
        recovery((MemoryJournal(), staging, spool, new_ledger()), Purpose.SAFETY)
    assert spool.entries() == {(at("eu"), clip_id(1))}


def test_a_first_start_has_nothing_to_do(disk: Disk) -> None:
    assert recovery(disk, Purpose.SAFETY) == RecoveryReport(0, 0, 0, 0, 0, 0, ())
    disk[0].close()


KILLED = """
import sys
from pathlib import Path
from fsd_agent.adapters.spool_files import SpoolFiles
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.testing.compartments import at, keyed
from fsd_agent.testing.sealed import as_file
base = Path(sys.argv[1])
journal = SqliteJournal(base / "journal.db")
keys = keyed("eu", "cn")
staging, spool = StagingFiles(base / "staging", keys), SpoolFiles(base / "spool", keys)
n = int(sys.argv[2])
while True:
    clip_id = f"{n:032x}"
    writer = staging.open(at('eu'), clip_id)
    writer.append(b"before the firing")
    writer.sync()
    row = ClipRow(clip_id, "eu", Purpose.SAFETY, ClipState.STAGED, n, n + 1, 0, (), (), 0)
    journal.accept([JudgedFiring(f"f{n}", Firing("c", 1, n, ()), n, clip_id, None)], [row])
    print(n, flush=True)
    writer.append(b"after it")
    writer.close()
    journal.captured(clip_id, cut=False)
    journal.sealed(spool.put(at("eu"), clip_id, as_file(b"sealed" * 100)))
    staging.erase(at('eu'), clip_id)
    if n % 2:
        journal.delivered(clip_id, receipt=b"signed")
        spool.erase(at("eu"), clip_id)
    n += 1
"""


def test_killed_anywhere_on_the_way(tmp_path: Path, kill_after_lines: Callable[..., list[str]]) -> None:
    accepted = 0
    for turn, lines in enumerate((1, 2, 3, 5, 9, 14)):
        first = turn * 10_000
        told = int(kill_after_lines(KILLED, lines, str(tmp_path), str(first))[-1])
        journal = SqliteJournal(tmp_path / "journal.db")
        staging, spool = StagingFiles(tmp_path / "staging", KEYS), SpoolFiles(tmp_path / "spool", KEYS)
        report = recovery((journal, staging, spool, new_ledger(Purpose.SAFETY)), Purpose.SAFETY)
        assert report.dropped == 0
        rows = {int(row.clip_id, 16): row for row in journal.clips(tuple(ClipState))}
        assert set(range(first, told + 1)) <= set(rows)
        accepted += sum(n >= first for n in rows)
        (total,) = journal.totals()
        assert total.fired == accepted == total.in_progress + total.delivered
        for row in rows.values():
            assert row.state is not ClipState.STAGED
            if row.state is ClipState.CAPTURED:
                assert list(staging.read(row.compartment, row.clip_id))[:1] == [b"before the firing"]
            if row.state is ClipState.SEALED:
                assert (
                    spool.region("eu").read(Purpose.SAFETY, row.clip_id, 0, row.size_bytes) == b"sealed" * 100
                )
        journal.close()


def test_what_was_recorded_and_not_accepted_is_given_up(disk: Disk) -> None:
    """The stop came between the record of a firing and the journal: with the staged file still there, and without it."""
    _, staging, _, ledger = disk
    for n in (1, 2):
        ledger.append(Fired(clip_id(n), "eu", Purpose.SAFETY, f"f{n}", "c", 1))
    staging.open(at("eu"), clip_id(1)).close()
    recovery(disk, Purpose.SAFETY)
    assert check_ledger(disk) == {1: "erased", 2: "erased"}
    recovery(disk, Purpose.SAFETY)
    check_ledger(disk)


def test_what_the_ledger_says_was_decided_is_carried_through(disk: Disk) -> None:
    journal, _, spool, ledger = disk
    for n in range(5):
        stage(disk, n)
    for n in range(4):
        journal.captured(clip_id(n), cut=False)
    ledger.append(
        *recorded(spool.put(at("eu"), clip_id(0), as_file(b"sealed")))
    )  # 0 sealed, and the file is that one
    ledger.append(*recorded(spool.put(at("eu"), clip_id(1), as_file(b"sealed"))))
    spool.put(at("eu"), clip_id(1), as_file(b"other"))  # 1 sealed, and the file is another one
    ledger.append(*recorded(spool.put(at("eu"), clip_id(2), as_file(b"sealed"))))
    spool.erase(at("eu"), clip_id(2))  # 2 sealed, and the file is gone
    for n in (3, 4):
        ledger.append(Dropped(clip_id(n), "eu", DropReason.VIDEO_DAMAGED))
    recovery(disk, Purpose.SAFETY)
    rows = {int(row.clip_id, 16): (row.state, row.drop) for row in journal.clips(tuple(ClipState))}
    assert rows == {
        0: (ClipState.SEALED, None),
        1: (ClipState.CAPTURED, None),
        2: (ClipState.CAPTURED, None),
        3: (ClipState.DROPPED, DropReason.VIDEO_DAMAGED),
        4: (ClipState.DROPPED, DropReason.VIDEO_DAMAGED),
    }
    assert spool.entries() == {(at("eu"), clip_id(0))}
    where = check_ledger(disk)
    assert {n for n, at in where.items() if at == "erased"} == {3, 4}
    ledger.append(*recorded(spool.put(at("eu"), clip_id(1), as_file(b"again"))))
    check_ledger(disk)


def test_what_was_set_aside_goes_at_the_next_start_and_the_ledger_says_so(disk: Disk) -> None:
    journal, _, spool, ledger = disk
    stage(disk, 1)
    seal(disk, 1)
    ledger.append(Dropped(clip_id(1), "eu", DropReason.SPOOL_DAMAGED))
    journal.dropped(clip_id(1), DropReason.SPOOL_DAMAGED, "damaged")
    assert spool.set_aside(at("eu"), clip_id(1))
    recovery(disk, Purpose.SAFETY)
    assert spool.aside() == frozenset()
    assert check_ledger(disk) == {1: "erased"}


@pytest.mark.parametrize("given", [(Purpose.SAFETY,), ()])
def test_a_receipt_that_only_the_ledger_holds_is_carried_through(
    disk: Disk, given: tuple[Purpose, ...]
) -> None:
    """Whatever the user has said since: the clip is its region's, and journal and ledger say the same."""
    journal, _, spool, ledger = disk
    stage(disk, 1)
    seal(disk, 1)
    ledger.append(*sent(1))
    recovery(disk, *given)
    row = journal.clip(clip_id(1))
    assert row is not None
    assert (row.state, row.drop) == (ClipState.DELIVERED, None)
    assert spool.entries() == frozenset()
    assert check_ledger(disk) == {1: "at the region"}


@pytest.mark.parametrize("receipted", [False, True])
@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("given", [(Purpose.SAFETY,), ()])
def test_a_move_to_sealed_that_a_power_cut_took_back_is_made_again(
    disk: Disk, staged: bool, receipted: bool, given: tuple[Purpose, ...]
) -> None:
    """Nobody waited for it: the staged copy may be gone by then, and the region may have the clip."""
    journal, staging, spool, ledger = disk
    stage(disk, 1)
    journal.captured(clip_id(1), cut=False)
    ledger.append(*recorded(spool.put(at("eu"), clip_id(1), as_file(b"sealed"))))
    if not staged:
        ledger.append(Erased(clip_id(1), "eu", Copy.STAGED, Cause.SEALED))
        staging.erase(at("eu"), clip_id(1))
    if receipted:
        ledger.append(*sent(1))
    recovery(disk, *given)
    row = journal.clip(clip_id(1))
    assert row is not None
    where = check_ledger(disk)
    if receipted:
        assert (row.state, row.drop, where) == (ClipState.DELIVERED, None, {1: "at the region"})
    elif given:
        assert (row.state, row.drop, row.size_bytes) == (ClipState.SEALED, None, 6)
        assert spool.entries() == {(at("eu"), clip_id(1))}
    else:
        assert (row.state, where) == (ClipState.DROPPED, {1: "erased"})
    assert staging.entries() == frozenset()


def test_clips_from_before_the_ledger_are_taken_up(disk: Disk) -> None:
    """The ledger's folder was moved away: what was collected is not lost, and its account begins with what is known."""
    journal, staging, spool, _ = disk
    stage(disk, 1)
    stage(disk, 2)
    journal.captured(clip_id(2), cut=False)
    keys, route = MemoryVehicleKeys(), sample_region("eu", ("DE",)).route()
    content = sealed_sample(route, keys, clip_id(2))
    journal.sealed(spool.put(at("eu"), clip_id(2), as_file(content)))
    stage(disk, 3)
    seal(disk, 3)  # Its file is none: it will be found damaged when it is to be sent
    journal.set_state(STATE_KEY, encode_consent_floor(ConsentSetting(1, frozenset({Purpose.SAFETY}))))
    ledger = new_ledger()
    recovery((journal, staging, spool, ledger), Purpose.SAFETY)
    recorded_ = {
        type(entry.fact).__name__
        for entry in ledger.entries
        if getattr(entry.fact, "clip_id", "") == clip_id(2)
    }
    assert recorded_ == {"Fired", "Redacted", "Sealed", "Erased"}
    known = ledger.clip(clip_id(2))
    assert known is not None
    assert (known.vehicle, known.sha256) == ("car-1", FileIdentity.of(content).sha256)
