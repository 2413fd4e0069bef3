"""The journal as somebody else sees it, while the agent runs or not: one reading, and nothing is changed.

Read in one transaction of a read-only connection, so that what is found belongs together whatever the agent does
meanwhile. SQLite may make the ``-shm`` and ``-wal`` files beside the journal where there are none; they belong to
whoever reads: a reader that is not the agent's user takes that user's place first (``fsd_tools.vehicle.belonging``).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.adapters.sqlite_file import BUSY_TIMEOUT_S
from fsd_agent.adapters.sqlite_rows import CLIP_COLUMNS, clip_of
from fsd_agent.adapters.sqlite_schema import APPLICATION_ID, VERSION
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.clip import ClipRow
from fsd_agent.rules.spool.lifecycle import LIVE


@dataclass(frozen=True, slots=True)
class JournalReading:
    """What one reading found."""

    state: Mapping[str, bytes]
    """Every small value that is kept, by key."""
    live: tuple[ClipRow, ...]
    """Every clip that is not finished."""


class ReadStates:
    """Implements :class:`fsd_agent.ports.journal.StateStore` on one reading; what is set is forgotten with it.

    Made of words in place of a reading, it raises them at every question: nobody can say what is kept.
    """

    def __init__(self, reading: JournalReading | str) -> None:
        self._state = reading if isinstance(reading, str) else dict(reading.state)

    def get_state(self, key: str) -> bytes | None:
        """See the port."""
        return self._readable().get(key)

    def set_state(self, key: str, value: bytes) -> None:
        """See the port."""
        self._readable()[key] = value

    def _readable(self) -> dict[str, bytes]:
        if isinstance(self._state, str):
            raise JournalError(self._state)
        return self._state


def read_journal(path: Path) -> JournalReading:
    """Read the journal at ``path``; raises :class:`JournalError`, also where it is not there or not ours."""
    try:
        with contextlib.closing(_open(path)) as db:
            db.execute("BEGIN")
            _check(path, db)
            state = {str(key): bytes(value) for key, value in db.execute("SELECT key, value FROM state")}
            marks = ", ".join("?" * len(LIVE))
            query = f"SELECT {CLIP_COLUMNS} FROM clips WHERE state IN ({marks}) ORDER BY seq"  # noqa: S608 - our own names
            return JournalReading(state, tuple(map(clip_of, db.execute(query, tuple(LIVE)))))
    except sqlite3.Error as error:
        raise JournalError(f"{path}: can't be read: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )


def _check(path: Path, db: sqlite3.Connection) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalError(f"{path}: is not an agent's journal")
    if version != VERSION:
        raise JournalError(f"{path}: its tables are version {version}, this program knows {VERSION}")
