"""What is on board, kept with every move: always what counting the rows gives, and not by counting them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.adapters.sqlite_levels import OLDEST, LevelSums
from fsd_agent.adapters.sqlite_rows import CLIP_COLUMNS, clip_values
from fsd_agent.adapters.sqlite_schema import TABLES
from fsd_agent.ports.journal import IllegalMoveError, Level
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.purpose import Purpose

STAGED, CAPTURED, SEALED = ClipState.STAGED, ClipState.CAPTURED, ClipState.SEALED


def row(
    number: int, began_ns: int, region_id: str = "eu", state: ClipState = STAGED, size: int = 0
) -> ClipRow:
    return ClipRow(
        f"{number:032x}",
        region_id,
        Purpose.SAFETY,
        state,
        began_ns,
        began_ns + 9,
        7,
        (),
        (),
        0,
        size_bytes=size,
    )


class Table:
    """The journal's table of clips, and the sums that follow it."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        for statement in TABLES:
            self.db.execute(statement)
        self.sums, self.rows = LevelSums(), dict[str, ClipRow]()
        self.asked = 0
        self.db.set_trace_callback(self._ask)

    def put(self, new: ClipRow) -> None:
        known = self.rows.get(new.clip_id)
        if known is not None:
            self.go(known.clip_id)
        marks = ", ".join("?" * len(clip_values(new)))
        self.db.execute(f"INSERT INTO clips ({CLIP_COLUMNS}) VALUES ({marks})", clip_values(new))
        self.rows[new.clip_id] = new
        self.sums.enter(new, new.state, new.size_bytes)

    def go(self, clip_id: str) -> None:
        self.db.execute("DELETE FROM clips WHERE clip_id = ?", (clip_id,))
        self.sums.leave(self.rows.pop(clip_id))

    def read(self) -> tuple[Level, ...]:
        """What the sums say, which must be what counting the rows anew says."""
        found = self.sums.read(self.db)
        assert found == LevelSums().read(self.db)
        return found

    def _ask(self, statement: str) -> None:
        self.asked += "SELECT" in statement


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    made.db.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [3, 10_000])
def test_they_are_what_the_rows_come_to(table: Table, seed: int, spread: int) -> None:
    """More clips come than moments are held of, then more go; mostly, but not always, the oldest."""
    chance, number = random.Random(seed), 0
    table.read()
    for going in (0.2, 0.9, 0.4, 1.0):
        for _ in range(3 * OLDEST):
            if table.rows and chance.random() < going:
                first = min(table.rows.values(), key=lambda one: one.start_ns)
                table.go(first.clip_id if chance.random() < 0.8 else chance.choice(list(table.rows)))
            else:
                number += 1
                at = chance.randrange(spread)
                state = chance.choice((SEALED, SEALED, SEALED, STAGED, CAPTURED))
                region_id, size = chance.choice(("eu", "cn")), chance.randrange(9)
                table.put(row(number, at, region_id, state, size))
            if chance.random() < 0.1:
                table.read()
    assert table.read() == ()


def test_the_rows_are_read_once_for_hundreds_of_moves(table: Table) -> None:
    for number in range(3 * OLDEST):
        table.put(row(number, number, state=SEALED))
    table.sums.read(table.db)
    table.go(f"{0:032x}")
    table.asked = 0
    for number in range(1, OLDEST):
        assert table.sums.read(table.db)[0].oldest_wall_ns == number + 7
        table.go(f"{number:032x}")
    assert table.asked == 1


def test_a_move_that_is_undone_is_not_counted(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.accept([], [row(1, 20)])
    before = journal.levels()
    with pytest.raises(IllegalMoveError):
        journal.accept([], [row(2, 5), replace(row(3, 1), state=SEALED)])
    assert journal.levels() == before == (Level("eu", STAGED, 1, 0, 27),)
    journal.accept([], [row(1, 4)])
    assert journal.levels() == (Level("eu", STAGED, 1, 0, 11),)
    journal.captured(f"{1:032x}", cut=False)
    journal.sealed(SealedClip(f"{1:032x}", "eu", 100, bytes(32)))
    assert journal.levels() == (Level("eu", SEALED, 1, 100, 11),)
    journal.delivered(f"{1:032x}", receipt=b"signed")
    assert journal.levels() == ()
    journal.close()
