"""The journal's file: what it survives, what it refuses, and what it says."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fsd_agent.adapters.reserve_file import RESERVE_BYTES
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.sqlite_queries import PAGE
from fsd_agent.adapters.sqlite_reader import read_journal
from fsd_agent.adapters.sqlite_schema import UPGRADES
from fsd_agent.ports.journal import (
    MAX_UNTOLD,
    IllegalMoveError,
    Journal,
    JournalError,
    StorageFullError,
)
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.clip_ids import unpack_ids
from fsd_agent.records.firing import Firing, JudgedFiring, Telling, UntoldFiring
from fsd_agent.records.link_rule import NOTHING, Admits, LinkRule, Links
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.worth import NOT_VALUED, Valued, Worth
from fsd_agent.testing.journal import MemoryJournal


def clip_id(n: int) -> str:
    return f"{n:032x}"


def row(n: int, *, priority: int = 0) -> ClipRow:
    return ClipRow(
        clip_id(n),
        "eu",
        Purpose.SAFETY,
        ClipState.STAGED,
        10,
        20,
        5,
        ("front",),
        ("Vehicle.Speed",),
        priority,
    )


def sealed_level(journal: Journal) -> tuple[tuple[str, int, int], ...]:
    """(region, clips, bytes) of what waits for delivery."""
    sealed = [one for one in journal.levels() if one.state is ClipState.SEALED]
    return tuple((one.region_id, one.clips, one.size_bytes) for one in sealed)


def firing(
    n: int, *, clip: int | None = None, drop: DropReason | None = None, campaign: str = "c"
) -> JudgedFiring:
    evidence = (("Vehicle.Speed", 12.5), ("Vehicle.Mode", "auto"), ("detections.cyclist", 1.0))
    at = None if clip is None else clip_id(clip)
    region = "" if drop is None else "eu"
    return JudgedFiring(f"firing-{n}", Firing(campaign, 3, 100 + n, evidence), 1_000 + n, at, drop, region)


@pytest.fixture(params=["memory", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    made: Journal = MemoryJournal() if request.param == "memory" else SqliteJournal(tmp_path / "journal.db")
    yield made
    made.close()


def test_a_clip_goes_its_way_and_is_counted(journal: Journal) -> None:
    journal.accept([firing(1, clip=1), firing(2, clip=1, campaign="d")], [row(1)])
    journal.accept([firing(3, drop=DropReason.SAMPLED_OUT)], [])
    journal.captured(clip_id(1), cut=True)
    journal.sealed(SealedClip(clip_id(1), "eu", 77, b"h" * 32))
    assert journal.usage("eu", "c", since_wall_ns=0) == (1, 77)
    assert journal.usage("eu", "c", since_wall_ns=2_000) == (0, 0)
    journal.delivered(clip_id(1), receipt=b"signed")
    found = journal.clip(clip_id(1))
    assert found is not None
    assert (found.state, found.cut, found.size_bytes, found.sha256) == (
        ClipState.DELIVERED,
        True,
        77,
        b"h" * 32,
    )
    c, d = journal.totals()
    assert (c.campaign_id, c.fired, c.delivered, c.delivered_clips, c.delivered_bytes) == ("c", 2, 1, 1, 77)
    assert c.dropped == ((DropReason.SAMPLED_OUT, 1),)
    assert (d.campaign_id, d.fired, d.delivered, d.delivered_bytes) == ("d", 1, 1, 77)
    assert journal.firings_of(clip_id(1)) == (firing(1, clip=1), firing(2, clip=1, campaign="d"))


def test_a_second_firing_widens_an_open_clip_only(journal: Journal) -> None:
    journal.accept([firing(1, clip=1)], [row(1)])
    journal.accept(
        [firing(2, clip=1)],
        [ClipRow(clip_id(1), "eu", Purpose.SAFETY, ClipState.STAGED, 5, 40, 5, ("left",), (), 8)],
    )
    found = journal.clip(clip_id(1))
    assert found is not None
    assert (found.start_ns, found.end_ns, found.cameras, found.priority) == (5, 40, ("front", "left"), 8)
    journal.captured(clip_id(1), cut=False)
    with pytest.raises(IllegalMoveError, match="captured"):
        journal.accept([firing(3, clip=1)], [])
    with pytest.raises(IllegalMoveError, match="unknown"):
        journal.accept([firing(4, clip=9)], [])
    assert journal.totals()[0].fired == 2


def test_a_refused_call_changes_nothing(journal: Journal) -> None:
    journal.accept([firing(1, clip=1)], [row(1)])
    with pytest.raises(JournalError, match="already journalled"):
        journal.accept([firing(2, clip=2), firing(1, clip=2)], [row(2)])
    assert journal.clip(clip_id(2)) is None
    assert journal.totals()[0].fired == 1
    moves: list[Callable[[], None]] = [
        lambda: journal.sealed(SealedClip(clip_id(1), "eu", 1, b"")),
        lambda: journal.delivered(clip_id(1), receipt=b""),
        lambda: journal.captured(clip_id(7), cut=False),
    ]
    for move in moves:
        with pytest.raises(IllegalMoveError, match="can't become"):
            move()
    found = journal.clip(clip_id(1))
    assert found is not None
    assert found.state is ClipState.STAGED


def test_a_file_sealed_to_another_region_is_refused(journal: Journal) -> None:
    journal.accept([firing(1, clip=1)], [row(1)])
    journal.captured(clip_id(1), cut=False)
    with pytest.raises(JournalError, match="another region, cn"):
        journal.sealed(SealedClip(clip_id(1), "cn", 1, bytes(32)))
    found = journal.clip(clip_id(1))
    assert found is not None
    assert (found.state, found.region_id) == (ClipState.CAPTURED, "eu")


def test_only_the_move_to_sealed_does_not_wait_for_the_medium(tmp_path: Path) -> None:
    """Whatever becomes of it: the next change waits again."""
    journal = SqliteJournal(tmp_path / "journal.db")

    def waits() -> bool:
        with journal._file.read() as db:
            return bool(db.execute("PRAGMA synchronous").fetchone()[0] == 2)

    seen: list[bool] = []
    journal.accept([firing(1, clip=1)], [row(1)])
    journal.captured(clip_id(1), cut=False)
    with journal._file.read() as db:
        db.create_function("watch", 0, lambda: seen.append(waits()))
        db.execute("CREATE TEMP TRIGGER watched AFTER UPDATE ON clips BEGIN SELECT watch(); END")
    with pytest.raises(JournalError, match="another region"):
        journal.sealed(SealedClip(clip_id(1), "cn", 1, bytes(32)))
    assert waits()
    journal.sealed(SealedClip(clip_id(1), "eu", 1, bytes(32)))
    assert waits()
    journal.delivered(clip_id(1), receipt=b"signed")
    assert seen == [False, True]
    journal.close()


def test_what_has_ended_stays_ended(journal: Journal) -> None:
    journal.accept([firing(1, clip=1)], [row(1)])
    journal.dropped(clip_id(1), DropReason.NO_VIDEO, "no packets")
    for _ in range(2):
        with pytest.raises(IllegalMoveError, match="is dropped, can't become dropped"):
            journal.dropped(clip_id(1), DropReason.SEAL_FAILED, "")
    found = journal.clip(clip_id(1))
    assert found is not None
    assert (found.drop, found.drop_detail) == (DropReason.NO_VIDEO, "no packets")


def test_order_is_priority_then_acceptance(journal: Journal) -> None:
    for n, priority in enumerate([1, 5, 1, 5]):
        journal.accept([], [row(n, priority=priority)])
    journal.captured(clip_id(3), cut=False)
    assert [int(each.clip_id, 16) for each in journal.clips(tuple(ClipState))] == [1, 3, 0, 2]
    assert [int(each.clip_id, 16) for each in journal.clips([ClipState.STAGED], limit=2)] == [1, 0]
    assert journal.clips([]) == ()


def test_of_one_priority_the_most_valuable_comes_first_and_goes_last(journal: Journal) -> None:
    for n, priority in enumerate((1, 1, 1, 1, 2)):
        journal.accept([], [row(n, priority=priority)])
        journal.captured(clip_id(n), cut=False)
    assert [int(one.clip_id, 16) for one in journal.unvalued(2, purposes={Purpose.SAFETY})] == [0, 1]
    worths = {
        clip_id(1): Worth(0.5, Valued.VALUED, (("motion", 1.0),)),
        clip_id(2): Worth(0.75, Valued.NO_MOTION, best_ns=2**62),
        clip_id(3): Worth(0.0, Valued.FAILED),
        clip_id(4): Worth(0.0, Valued.NO_DETECTIONS),
        clip_id(9): Worth(1.0, Valued.VALUED),
    }
    journal.valued(worths)
    for n in range(5):
        found = journal.clip(clip_id(n))
        assert found is not None
        assert found.worth == worths.get(clip_id(n), NOT_VALUED)
    assert journal.clip(clip_id(9)) is None
    assert [int(one.clip_id, 16) for one in journal.clips({ClipState.CAPTURED})] == [4, 2, 1, 0, 3]
    assert [int(one.clip_id, 16) for one in journal.least(9)] == [3, 1, 2, 0, 4], "0 is not valued yet"
    assert [int(one.clip_id, 16) for one in journal.unvalued(9, purposes={Purpose.SAFETY})] == [0]
    assert journal.unvalued(9, purposes={Purpose.DIAGNOSTICS}) == journal.unvalued(9, purposes=()) == ()


def test_what_is_not_captured_is_not_valued(journal: Journal) -> None:
    journal.accept([], [row(1), row(2)])
    journal.captured(clip_id(2), cut=False)
    journal.sealed(SealedClip(clip_id(2), "eu", 9, bytes(32)))
    assert journal.unvalued(9, purposes={Purpose.SAFETY}) == ()
    journal.valued({clip_id(n): Worth(1.0, Valued.VALUED) for n in (1, 2)})
    assert [one.worth for one in journal.clips(tuple(ClipState))] == [NOT_VALUED, NOT_VALUED]


def test_each_goes_over_every_clip_once_in_order_page_by_page(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    count = 2 * PAGE + 7
    journal.accept([], [row(n, priority=n % 2) for n in range(count)])
    for n in range(0, 40, 4):
        journal.captured(clip_id(n), cut=False)
    journal.valued({clip_id(n): Worth((n % 3) / 4, Valued.VALUED) for n in range(0, 40, 4)})
    for state in (ClipState.STAGED, ClipState.CAPTURED):
        expected = [one.clip_id for one in journal.clips({state})]
        assert [one.clip_id for one in journal.each({state})] == expected
    assert len(list(journal.each(set(ClipState)))) == count
    journal.close()


@pytest.mark.parametrize("change", ["valued = 'dear'", "value_parts = x'c1'"])
def test_a_damaged_value_is_told_by_its_clip(tmp_path: Path, change: str) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.accept([], [row(1)])
    journal.captured(clip_id(1), cut=False)
    journal.valued({clip_id(1): Worth(0.5, Valued.VALUED)})
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute(f"UPDATE clips SET {change}")
    db.close()
    again = SqliteJournal(path)
    with pytest.raises(JournalError, match=f"the row of clip {clip_id(1)} is damaged"):
        again.clip(clip_id(1))
    again.close()


def test_the_least_valuable_come_first_and_what_is_sealed_is_weighed(journal: Journal) -> None:
    for n, priority in enumerate((3, 1, 2, 1, 0)):
        journal.accept([], [row(n, priority=priority)])
        if n < 4:
            journal.captured(clip_id(n), cut=False)
    assert sealed_level(journal) == ()
    for n, size_bytes in ((0, 100), (3, 23)):
        journal.sealed(SealedClip(clip_id(n), "eu", size_bytes, bytes(32)))
    assert [one.clip_id for one in journal.least(9)] == [clip_id(n) for n in (1, 3, 2, 0)]
    assert journal.least(2) == journal.least(9)[:2]
    assert sealed_level(journal) == (("eu", 2, 123),)
    assert [one.clip_id for one in journal.following(ClipState.CAPTURED, "", limit=9)] == [
        clip_id(1),
        clip_id(2),
    ]
    assert [one.clip_id for one in journal.following(ClipState.CAPTURED, clip_id(1), limit=9)] == [clip_id(2)]
    assert journal.following(ClipState.CAPTURED, clip_id(2), limit=9) == ()
    assert len(journal.following(ClipState.CAPTURED, "", limit=1)) == 1


def test_evidence_from_arrays_is_kept(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    judged = JudgedFiring("f", Firing("c", 1, 5, (("Vehicle.Speed", np.float64(2.5)),)), 9, clip_id(1), None)
    journal.accept([judged], [row(1)])
    assert journal.firings_of(clip_id(1)) == (judged,)
    journal.close()


def test_everything_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "journal.db"
    first = SqliteJournal(path)
    first.accept([firing(1, clip=1)], [row(1)])
    first.set_state("set", b"\x00v2")
    before = (first.clips(tuple(ClipState)), first.totals(), first.firings_of(clip_id(1)))
    first.close()
    first.close()
    with pytest.raises(JournalError, match="closed"):
        first.totals()
    again = SqliteJournal(path)
    assert (again.clips(tuple(ClipState)), again.totals(), again.firings_of(clip_id(1))) == before
    assert (again.get_state("set"), again.get_state("other")) == (b"\x00v2", None)
    again.close()


def test_many_threads(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")

    def work(base: int) -> None:
        for n in range(base, base + 20):
            journal.accept([firing(n, clip=n)], [row(n)])
            journal.captured(clip_id(n), cut=False)

    threads = [threading.Thread(target=work, args=(base,)) for base in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.clips([ClipState.CAPTURED])) == 60
    assert journal.totals()[0].in_progress == 60
    journal.close()


def refusal(path: Path) -> str:
    """The message; the file stays as it is, byte for byte."""
    before = path.read_bytes()
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path)
    assert path.read_bytes() == before
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_newer_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    SqliteJournal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    assert "version 7, this agent knows 6" in refusal(path)


V2 = Path(__file__).parent / "data" / "journal_v2.db"
"""Written by the agent whose tables were version 2: clips 1 to 5, one in each state, and a firing that was dropped."""


@pytest.fixture
def of_before(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    path.write_bytes(V2.read_bytes())
    return path


def schema(path: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as db:
        tables = ("clips", "firings", "tallies", "untold", "state")
        columns = [(table, *row) for table in tables for row in db.execute(f"PRAGMA table_info({table})")]
        indexes = db.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY name"
        ).fetchall()
        (version,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return [*columns, *indexes, (version,)]


def test_a_journal_of_version_2_is_brought_up(of_before: Path, tmp_path: Path) -> None:
    journal = SqliteJournal(of_before)
    rows = {int(one.clip_id, 16): one for one in journal.clips(tuple(ClipState))}
    states = [rows[n].state for n in range(1, 6)]
    assert states == [
        ClipState.STAGED,
        ClipState.CAPTURED,
        ClipState.SEALED,
        ClipState.DELIVERED,
        ClipState.DROPPED,
    ]
    assert {one.link for one in rows.values()} == {LinkRule()}
    assert (rows[2].cut, rows[2].priority, rows[3].size_bytes, rows[5].drop) == (
        True,
        9,
        300,
        DropReason.SPOOL_DAMAGED,
    )
    (total,) = journal.totals()
    assert (total.fired, total.in_progress, total.delivered, total.delivered_bytes) == (6, 3, 1, 400)
    assert [rows[n].worth.why for n in range(1, 6)] == [Valued.NOT_YET] * 2 + [Valued.EARLIER] * 3
    assert {one.worth.value for one in rows.values()} == {0.0}
    assert [one.clip_id for one in journal.unvalued(9, purposes=set(Purpose))] == [rows[2].clip_id]
    assert total.region_id == rows[1].region_id
    assert journal.untold(total.region_id, limit=9) == (), "nobody is told of what was before"
    assert journal.get_state("consent") == b"kept"
    urgent = replace(row(7), link=LinkRule(Links.ANY, roaming=True, urgent=True, deadline_ns=5))
    journal.accept([firing(7, clip=7)], [urgent])
    journal.close()
    again = SqliteJournal(of_before)
    assert again.clip(clip_id(7)) == urgent
    assert len(again.clips(tuple(ClipState))) == 6
    again.close()
    SqliteJournal(tmp_path / "new.db").close()
    assert schema(of_before) == schema(tmp_path / "new.db"), (
        "a new file and one that was brought up are the same"
    )


def test_totals_of_before_are_made_anew_region_by_region(of_before: Path) -> None:
    """Two regions had a campaign of one id: what nothing was kept for belongs to neither of them for sure."""
    with sqlite3.connect(of_before) as db:
        for statement in UPGRADES[2]:
            db.execute(statement)
        db.execute("PRAGMA user_version = 3")
        (mixed,) = db.execute("SELECT region_id FROM clips WHERE state = 'sealed'").fetchone()
        db.execute("UPDATE clips SET region_id = 'zz' WHERE state = 'sealed'")
        before = db.execute("SELECT outcome, firings, clips, bytes FROM tallies ORDER BY outcome").fetchall()
    db.close()
    journal = SqliteJournal(of_before)
    totals = {one.region_id: one for one in journal.totals()}
    journal.close()
    assert totals.keys() == {"", mixed, "zz"}
    assert (totals["zz"].fired, totals["zz"].sealed) == (1, 1)
    assert (totals[""].fired, sum(count for _, count in totals[""].dropped)) == (1, 1)
    with sqlite3.connect(of_before) as db:
        query = "SELECT outcome, sum(firings), sum(clips), sum(bytes) FROM tallies GROUP BY outcome ORDER BY outcome"
        assert db.execute(query).fetchall() == before, "all together are what they were"
    db.close()


def test_a_journal_of_version_4_is_brought_up_whole(of_before: Path, tmp_path: Path) -> None:
    with sqlite3.connect(of_before) as db:
        for statement in (*UPGRADES[2], *UPGRADES[3]):
            db.execute(statement)
        db.execute("PRAGMA user_version = 4")
        assert "value" not in {row[1] for row in db.execute("PRAGMA table_info(clips)")}
    db.close()
    SqliteJournal(of_before).close()
    SqliteJournal(tmp_path / "new.db").close()
    assert schema(of_before) == schema(tmp_path / "new.db")


def test_a_journal_of_version_5_is_brought_up_and_what_was_valued_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.accept([], [row(1)])
    journal.captured(clip_id(1), cut=False)
    journal.valued({clip_id(1): Worth(0.5, Valued.VALUED, best_ns=7)})
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE clips DROP COLUMN best_ns")
        db.execute("PRAGMA user_version = 5")
    db.close()
    again = SqliteJournal(path)
    found = again.clip(clip_id(1))
    assert found is not None
    assert found.worth == Worth(0.5, Valued.VALUED)
    again.close()
    SqliteJournal(tmp_path / "new.db").close()
    assert schema(path) == schema(tmp_path / "new.db")


def test_a_journal_that_cannot_be_brought_up_is_left_as_it_is(of_before: Path) -> None:
    with sqlite3.connect(of_before) as db:  # The last step but one of the change has nothing to take away
        db.execute("DROP INDEX clips_in_order")
    db.close()
    before = schema(of_before)
    assert "no such index: clips_in_order" in refusal(of_before)
    assert schema(of_before) == before, "no column was added"


def test_a_journal_that_is_too_old_is_refused(of_before: Path) -> None:
    with sqlite3.connect(of_before) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()
    assert "version 1, older than any that this agent can bring up to 6" in refusal(of_before)


def test_who_only_reads_does_not_bring_a_journal_up(of_before: Path) -> None:
    with pytest.raises(JournalError, match="version 2; the agent makes them version 6 when it starts"):
        read_journal(of_before)
    with sqlite3.connect(of_before) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


def told_of(n: int, region: str = "cn", purpose: Purpose = Purpose.SAFETY) -> JudgedFiring:
    """A firing that nothing is kept for, and that its region is to be told of."""
    telling = Telling(purpose, ("Vehicle.Speed",))
    return JudgedFiring(f"u{n}", Firing("c", 1, n, ()), n, None, DropReason.SAMPLED_OUT, region, telling)


def untold(journal: Journal, region: str = "cn") -> list[str]:
    return [one.judged.firing_id for one in journal.untold(region, limit=10_000)]


def test_what_is_untold_survives_until_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = SqliteJournal(path)
    kept = replace(firing(7, clip=7), telling=Telling(Purpose.DIAGNOSTICS, ()))
    first.accept([told_of(1), told_of(2), firing(3, clip=7), kept], [row(7)])
    first.close()
    again = SqliteJournal(path)
    region = row(7).region_id
    (one,) = [one for one in again.untold(region, limit=9) if one.judged.clip_id is not None]
    assert one == UntoldFiring(firing(7, clip=7), region, Telling(Purpose.DIAGNOSTICS, ()))
    assert again.untold("cn", limit=1)[0].judged.firing_id == "u1"
    again.told(["u1", "nobody"])
    again.told(["u1"])
    assert "u1" not in untold(again)
    assert "u2" in untold(again)
    again.close()


def test_what_may_not_be_told_any_more_is_forgotten_by_purpose_and_by_region(journal: Journal) -> None:
    journal.accept([told_of(1), told_of(2, "eu"), told_of(3, purpose=Purpose.DIAGNOSTICS)], ())
    journal.untell(purposes=[Purpose.DIAGNOSTICS])
    assert (untold(journal), untold(journal, "eu")) == (["u1"], ["u2"])
    journal.untell(region_ids=["cn"])
    assert (untold(journal), untold(journal, "eu")) == ([], ["u2"])
    assert journal.never_told("cn") == 0, "what may not be told is not counted as lost"
    assert journal.totals()[0].fired == 2, "and stays accounted for"


def test_the_oldest_of_too_many_untold_go_and_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    first = SqliteJournal(path)
    first.accept([told_of(0, "eu"), *(told_of(n) for n in range(1, MAX_UNTOLD + 2))], ())
    first.accept([told_of(MAX_UNTOLD + 2)], ())
    assert untold(first)[0] == "u3"
    first.close()
    again = SqliteJournal(path)
    assert len(untold(again)) == MAX_UNTOLD
    assert (again.never_told("eu"), again.never_told("cn"), untold(again, "eu")) == (1, 2, [])
    again.close()


def test_two_regions_campaigns_of_one_id_are_counted_apart(journal: Journal) -> None:
    journal.accept([told_of(1), told_of(2, "us"), told_of(3, "us")], ())
    journal.accept([replace(firing(7, clip=7), region_id="cn")], [row(7)])
    found = [(one.region_id, one.fired, one.staged, one.dropped) for one in journal.totals()]
    sampled = DropReason.SAMPLED_OUT
    assert found == [("cn", 1, 0, ((sampled, 1),)), ("eu", 1, 1, ()), ("us", 2, 0, ((sampled, 2),))]
    journal.dropped(clip_id(7), DropReason.QUOTA_SPOOL, "")
    assert [one.dropped for one in journal.totals()][1] == ((DropReason.QUOTA_SPOOL, 1),)


def test_two_regions_campaigns_of_one_id_have_a_budget_each(journal: Journal) -> None:
    journal.accept([firing(1, clip=1), firing(2, clip=2), firing(3, clip=2)], [row(1), in_region(2, "us")])
    for n, region, size in ((1, "eu", 10), (2, "us", 700)):
        journal.captured(clip_id(n), cut=False)
        journal.sealed(SealedClip(clip_id(n), region, size, b"h" * 32))
    assert journal.usage("eu", "c", since_wall_ns=0) == (1, 10)
    assert journal.usage("us", "c", since_wall_ns=0) == (2, 700)
    assert journal.usage("cn", "c", since_wall_ns=0) == (0, 0)


def in_region(n: int, region: str) -> ClipRow:
    return replace(row(n), region_id=region)


def read_bytes() -> int:
    """What this process has read so far, of files and of what the kernel had of them."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text("ascii").splitlines())
    return int(counts["rchar"])


def test_to_look_for_a_small_value_reads_no_large_one(tmp_path: Path) -> None:
    """What is noted of every clip on board lies beside what is asked for with every status and every message."""
    large, journal = 4 << 20, SqliteJournal(tmp_path / "journal.db")
    for key in ("b", "d", "f"):
        journal.set_state(key, bytes(large))
    for key in ("a", "c", "e", "g"):
        before = read_bytes()
        assert journal.get_state(key) is None
        journal.set_state(key, b"small")
        assert journal.get_state(key) == b"small"
        assert read_bytes() - before < large // 8
    before = read_bytes()
    assert journal.get_state("d") == bytes(large)
    assert read_bytes() - before >= large, "it is what is counted"
    journal.close()


RULES = [
    LinkRule(links, roaming, urgent)
    for links in Links
    for roaming in (False, True)
    for urgent in (False, True)
]


def test_only_clips_that_may_go_are_found_urgent_ones_first(journal: Journal) -> None:
    for n, rule in enumerate(RULES):
        made = replace(row(n, priority=n % 3), link=replace(rule, deadline_ns=n or None))
        journal.accept([firing(n, clip=n)], [made])
        journal.captured(clip_id(n), cut=False)
        journal.sealed(SealedClip(clip_id(n), "eu", 1, bytes(32)))
    every = journal.clips({ClipState.SEALED})
    assert [one.link.urgent for one in every] == [True] * 6 + [False] * 6
    assert [one.priority for one in every] == sorted(
        (one.priority for one in every[:6]), reverse=True
    ) + sorted((one.priority for one in every[6:]), reverse=True)
    for some in (Admits(frozenset({Links.ANY})), Admits(frozenset(Links), roaming_only=True), NOTHING):
        for admits in (some, replace(some, urgent_only=True)):
            wanted = tuple(one for one in every if admits.admits(one.link))
            assert journal.clips({ClipState.SEALED}, admits=admits) == wanted
            assert journal.clips({ClipState.SEALED}, admits=admits, limit=1) == wanted[:1]
    assert journal.waiting("eu") == dict.fromkeys(RULES, 1)
    assert journal.waiting("cn") == {}


def test_a_second_firing_widens_the_link_rule(journal: Journal) -> None:
    journal.accept(
        [firing(1, clip=1)], [replace(row(1), link=LinkRule(Links.WIFI, roaming=True, deadline_ns=5))]
    )
    more = LinkRule(Links.ANY, urgent=True, deadline_ns=9)
    journal.accept([firing(2, clip=1)], [replace(row(1), link=more)])
    found = journal.clip(clip_id(1))
    assert found is not None
    assert found.link == LinkRule(Links.ANY, roaming=True, urgent=True, deadline_ns=9)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    assert "not an agent's journal" in refusal(path)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database at all " * 100)
    assert "damaged" in refusal(path)
    assert "Move it away" in refusal(path)


def test_a_damaged_page_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    for n in range(200):
        journal.accept([firing(n, clip=n)], [row(n)])
    journal.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 3 * 4096 + 2048] = b"\xa5" * 2048
    path.write_bytes(content)
    assert "damaged" in refusal(path)


def test_a_damaged_value_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.accept([firing(1, clip=1)], [row(1)])
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE clips SET cameras = x'c1'")
    db.close()
    again = SqliteJournal(path)
    with pytest.raises(JournalError, match=f"row of clip {clip_id(1)} is damaged"):
        again.clip(clip_id(1))
    again.close()


def fill(journal: Journal) -> int:
    """Accept until the disk is full; how many calls returned."""
    for n in range(20_000):
        try:
            journal.accept([firing(n, clip=n)], [row(n)])
        except StorageFullError:
            return n
    raise AssertionError("never full")


def test_a_full_disk_leaves_earlier_commits(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    journal = SqliteJournal(path)
    done = fill(journal)
    assert done > 10
    with pytest.raises(StorageFullError, match="no space left"):
        journal.accept([firing(99_999, clip=99_999)], [row(99_999)])
    assert len(journal.clips(tuple(ClipState))) == done  # the connection still answers
    (small_disk / "ballast").unlink()
    journal.accept([firing(99_999, clip=99_999)], [row(99_999)])  # and works again once there is room
    journal.close()
    again = SqliteJournal(path)
    assert (len(again.clips(tuple(ClipState))), again.totals()[0].fired) == (done + 1, done + 1)
    again.close()


def fill_up(disk: Path) -> None:
    """Take all the room there is."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_on_a_full_disk_it_opens_and_clips_come_to_their_ends(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    journal = SqliteJournal(path)
    for n in range(9):
        journal.accept([firing(n, clip=n)], [row(n)])
        journal.captured(clip_id(n), cut=False)
    for n in range(3):
        journal.sealed(SealedClip(clip_id(n), "eu", 10, bytes(32)))
    journal.close()
    fill_up(small_disk)
    journal = SqliteJournal(path)
    assert not (small_disk / "journal.db.reserve").exists()
    journal.sealed(SealedClip(clip_id(3), "eu", 10, bytes(32)))
    journal.delivered(clip_id(3), receipt=b"signed")
    journal.dropped(clip_id(4), DropReason.DISK_NEEDED, "why")
    assert sealed_level(journal) == (("eu", 3, 30),)
    (small_disk / "ballast").unlink()
    journal.delivered(clip_id(0), receipt=b"signed")
    assert (small_disk / "journal.db.reserve").stat().st_size == RESERVE_BYTES
    journal.close()


def test_what_is_undone_is_not_weighed(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    journal = SqliteJournal(path)
    journal.accept([firing(1, clip=1)], [row(1)])
    journal.captured(clip_id(1), cut=False)
    assert sealed_level(journal) == ()
    (small_disk / "journal.db.reserve").unlink()
    fill_up(small_disk)
    with contextlib.suppress(StorageFullError):
        for _ in range(1000):  # the log has some room left
            journal.set_state("key", bytes(100))
    with pytest.raises(StorageFullError):
        journal.sealed(SealedClip(clip_id(1), "eu", 10, bytes(32)))
    assert sealed_level(journal) == ()
    journal.close()


def test_no_room_to_create_it(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "rest").write_bytes(bytes(4 << 20))
    with pytest.raises(StorageFullError, match=r"journal\.db"):
        SqliteJournal(small_disk / "journal.db")


KILLED = """
import sys
from pathlib import Path
from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring, Telling, UntoldFiring
from fsd_agent.records.purpose import Purpose
journal = SqliteJournal(Path(sys.argv[1]))
n = int(sys.argv[2])
while True:
    row = ClipRow(f"{n:032x}", "eu", Purpose.SAFETY, ClipState.STAGED, n, n + 1, 0, ("front",), (), 0)
    judged = JudgedFiring(f"f{n}", Firing("c", 1, n, ()), n, row.clip_id, None)
    journal.accept([judged], [row])
    print(n, flush=True)
    n += 1
"""


def test_killed_in_the_middle_of_commits(tmp_path: Path, kill_after_lines: Callable[..., list[str]]) -> None:
    path = tmp_path / "journal.db"
    told = 0
    for lines in (1, 7, 40):
        told = int(kill_after_lines(KILLED, lines, str(path), str(1_000 * lines))[-1])
        journal = SqliteJournal(path)
        known = {int(each.clip_id, 16) for each in journal.clips(tuple(ClipState))}
        assert set(range(1_000 * lines, told + 1)) <= known
        assert max(known) <= told + 1  # at most the one whose confirmation was not read
        assert journal.totals()[0].fired == len(known)
        journal.close()


@pytest.mark.parametrize("damaged", ["0" * 30, "0" * 34, "x" * 32, "a row, none of ours"])
def test_an_id_of_a_sealed_clip_that_is_damaged_is_told(tmp_path: Path, damaged: str) -> None:
    """Else every id behind it would be read wrongly, and thousands of clips be given up for files that are there."""
    journal = SqliteJournal(tmp_path / "journal.db")
    for n in range(3):
        journal.accept([], [row(n)])
        journal.captured(clip_id(n), cut=False)
        journal.sealed(SealedClip(clip_id(n), "eu", 10, bytes(32)))
    (ids,) = journal.sealed_ids().values()
    assert sorted(unpack_ids(ids)) == [clip_id(n) for n in range(3)]
    journal.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as db, db:
        db.execute("UPDATE clips SET clip_id = ? WHERE clip_id = ?", (damaged, clip_id(1)))
    journal = SqliteJournal(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="damaged"):
        journal.sealed_ids()
    journal.close()


def test_a_purpose_that_we_never_wrote_is_told(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.accept([], [row(1)])
    journal.captured(clip_id(1), cut=False)
    journal.sealed(SealedClip(clip_id(1), "eu", 10, bytes(32)))
    journal.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as db, db:
        db.execute("UPDATE clips SET purpose = 'spying'")
    journal = SqliteJournal(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="clips of region eu are damaged: 'spying' is no purpose"):
        journal.sealed_ids()
    journal.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match="file"):
        SqliteJournal(tmp_path / "file" / "journal.db")
