"""The disk does to known programs what real disks do: what syncs is safe, and what does not loses.

The programs have one thread, so a seed leaves the same every time: nothing here hangs on luck.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fsd_tools.rig.processes import wait_until
from hil_tests.powercut.power import PoweredFolder
from hil_tests.powercut.terms import Lie

CUTS = 5
"""Of a program that must not lose anything; of one that must, there are as many as it takes, up to MANY."""
MANY = 25


@dataclass(frozen=True, slots=True)
class After:
    """What a cut left of a program's work."""

    said: int
    """How many times it had said that something is durable."""
    folder: Path

    def rows(self) -> int | None:
        """Rows that are there; None where the database is damaged."""
        if not self.said and not (self.folder / "rows.db").exists():
            return 0
        db = sqlite3.connect(self.folder / "rows.db")
        try:
            if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                return None
            made = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            return int(db.execute("SELECT count(*) FROM rows").fetchone()[0]) if made else 0
        except sqlite3.DatabaseError:
            return None
        finally:
            db.close()

    def current(self) -> int | None:
        """The number of times that a file was replaced; None where it is damaged."""
        path = self.folder / "current"
        if not path.exists():
            return 0
        content = path.read_bytes()
        return int(content[:4]) + 1 if len(content) == 6000 and content == content[:4] * 1500 else None


def cut(root: Path, program: str, seed: int, lie: Lie = Lie.NONE) -> After:
    """Run it and cut the power somewhere."""
    folder = root / f"{program.replace(' ', '-')}-{seed}"
    folder.mkdir()
    disk = PoweredFolder(folder, root / "logs", lie=lie)
    disk.on(stop_at=random.Random(seed).randint(30, 200), seed=seed)
    argv = [sys.executable, "-m", "hil_tests.powercut.programs", program, str(folder)]
    running = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        wait_until(lambda: disk.at() is not None, timeout_s=30.0, what=f"the cut of {program}")
    finally:
        running.kill()
        disk.off()
        said, _ = running.communicate()
    return After(len(said.splitlines()), folder)


@pytest.mark.usefixtures("mounts")
def test_commits_that_are_synced_survive(tmp_path: Path) -> None:
    after = [cut(tmp_path, "wal full", seed) for seed in range(CUTS)]
    assert sum(one.said for one in after) > CUTS
    assert all((rows := one.rows()) is not None and rows >= one.said for one in after)


@pytest.mark.usefixtures("mounts")
def test_a_commit_that_is_synced_takes_those_before_it_along(tmp_path: Path) -> None:
    """As the journal's move to SEALED, which nobody waits for, survives with whatever comes next."""
    after = [cut(tmp_path, "wal normal then full", seed) for seed in range(CUTS)]
    assert sum(one.said for one in after) > CUTS
    assert all((rows := one.rows()) is not None and rows >= 2 * one.said for one in after)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(("program", "lie"), [("wal normal", Lie.NONE), ("wal full", Lie.COMMITS)])
def test_commits_that_are_not_synced_are_lost_and_nothing_is_damaged(
    tmp_path: Path, program: str, lie: Lie
) -> None:
    lost = 0
    for seed in range(MANY):
        one = cut(tmp_path, program, seed, lie)
        rows = one.rows()
        assert rows is not None
        lost += rows < one.said
        if lost > 2:
            return
    pytest.fail(f"{lost} of {MANY} cuts lost a row")


@pytest.mark.usefixtures("mounts")
def test_a_database_that_never_syncs_is_damaged(tmp_path: Path) -> None:
    assert any(cut(tmp_path, "wal off", seed).rows() is None for seed in range(MANY))


@pytest.mark.usefixtures("mounts")
def test_a_file_that_is_synced_before_and_after_its_renaming_survives(tmp_path: Path) -> None:
    after = [cut(tmp_path, "file and name", seed) for seed in range(CUTS)]
    assert sum(one.said for one in after) > CUTS
    assert all((number := one.current()) is not None and number >= one.said for one in after)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(("program", "lie"), [("file alone", Lie.NONE), ("file and name", Lie.FOLDERS)])
def test_a_file_whose_folder_is_not_synced_is_whole_and_may_be_an_older_one(
    tmp_path: Path, program: str, lie: Lie
) -> None:
    for seed in range(MANY):
        one = cut(tmp_path, program, seed, lie)
        number = one.current()
        assert number is not None
        if number < one.said:
            return
    pytest.fail(f"none of {MANY} cuts lost anything")


@pytest.mark.usefixtures("mounts")
def test_a_file_that_is_not_synced_before_its_renaming_is_damaged(tmp_path: Path) -> None:
    assert any(cut(tmp_path, "name alone", seed).current() is None for seed in range(MANY))
