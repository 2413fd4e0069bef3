"""Small programs of which it is known what a power cut does to them, to be run on a disk whose power is cut.

    python -m hil_tests.powercut.programs NAME FOLDER

Each says a number on stdout when it takes that one for durable: a row that was committed, a file that was replaced.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

ROUNDS = 60


def rows(folder: Path, *synchronous: str, journal: str = "WAL") -> None:
    """Commit row after row, by turns as ``synchronous`` says, and tell the last of each turn. The file and its name are durable before the first."""
    db = sqlite3.connect(folder / "rows.db", isolation_level=None)
    db.execute(f"PRAGMA journal_mode = {journal}")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 16")
    db.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, filler BLOB)")
    _sync_folder(folder)
    for number in range(ROUNDS):
        for turn, how in enumerate(synchronous):
            db.execute(f"PRAGMA synchronous = {how}")
            db.execute("INSERT INTO rows VALUES (?, randomblob(900))", (number * len(synchronous) + turn,))
        _say(number)


def files(folder: Path, *, file: bool, name: bool) -> None:
    """Replace one file again and again: write, sync the ``file``, rename, sync the ``name``."""
    for number in range(ROUNDS):
        tmp = folder / "tmp"
        with tmp.open("wb") as out:
            out.write(f"{number:04}".encode() * 1500)
            out.flush()
            if file:
                os.fsync(out.fileno())
        tmp.replace(folder / "current")
        if name:
            _sync_folder(folder)
        _say(number)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


PROGRAMS: dict[str, Callable[[Path], None]] = {
    "wal full": lambda folder: rows(folder, "FULL"),
    "wal normal": lambda folder: rows(folder, "NORMAL"),
    "wal normal then full": lambda folder: rows(folder, "NORMAL", "FULL"),
    "wal off": lambda folder: rows(folder, "OFF"),
    "file and name": lambda folder: files(folder, file=True, name=True),
    "file alone": lambda folder: files(folder, file=True, name=False),
    "name alone": lambda folder: files(folder, file=False, name=True),
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](Path(sys.argv[2]))
