"""The journal as somebody else sees it, while the agent runs or not: one reading, and nothing is changed.

Read in one transaction of a read-only connection, so that what is found belongs together whatever the agent does
meanwhile. SQLite may make the ``-shm`` and ``-wal`` files beside the journal where there are none; they belong to
whoever reads: a reader that is not the agent's user takes that user's place first (``fsd_tools.vehicle.belonging``).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fsd_agent.adapters.sqlite_file import BUSY_TIMEOUT_S
from fsd_agent.adapters.sqlite_rows import CLIP_COLUMNS, FIRING_COLUMNS, Row, clip_of, firing_of
from fsd_agent.adapters.sqlite_schema import APPLICATION_ID, UPGRADES, VERSION
from fsd_agent.ports.journal import JournalError
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.spool.lifecycle import LIVE


@dataclass(frozen=True, slots=True)
class JournalReading:
    """What one reading found."""

    state: Mapping[str, bytes]
    """Every small value that is kept, by key."""
    live: tuple[ClipRow, ...]
    """Every clip that is not finished."""


@dataclass(frozen=True, slots=True)
class CollectedReading:
    """Everything that was ever collected, as one reading found it."""

    clips: tuple[ClipRow, ...] = ()
    firings: tuple[JudgedFiring, ...] = ()
    """Those that a clip was kept for, oldest first."""
    dropped: tuple[tuple[str, DropReason, int], ...] = ()
    """(campaign, reason, how many firings) of those that nothing was kept for."""
    receipts: Mapping[str, bytes] = field(default_factory=dict)
    """Of delivered clips, by clip id."""
    damaged: tuple[str, ...] = ()
    """Rows that can't be read, in words; the others are here."""


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
    with _transaction(path) as db:
        state = {str(key): bytes(value) for key, value in db.execute("SELECT key, value FROM state")}
        marks = ", ".join("?" * len(LIVE))
        query = f"SELECT {CLIP_COLUMNS} FROM clips WHERE state IN ({marks}) ORDER BY seq"  # noqa: S608 - our own names
        return JournalReading(state, tuple(map(clip_of, db.execute(query, tuple(LIVE)))))


def read_collected(path: Path) -> CollectedReading:
    """What the journal at ``path`` says was collected; raises :class:`JournalError` as :func:`read_journal` does."""
    damaged: list[str] = []
    with _transaction(path) as db:
        clips = f"SELECT {CLIP_COLUMNS} FROM clips ORDER BY seq"  # noqa: S608 - our own names
        firings = f"SELECT {FIRING_COLUMNS} FROM firings WHERE clip_id IS NOT NULL ORDER BY seq"  # noqa: S608 - our own names
        dropped = (
            "SELECT campaign_id, drop_reason, count(*) FROM firings WHERE clip_id IS NULL "
            "GROUP BY campaign_id, drop_reason ORDER BY campaign_id, drop_reason"
        )
        receipts = "SELECT clip_id, receipt FROM clips WHERE receipt IS NOT NULL"
        return CollectedReading(
            tuple(_readable(clip_of, db.execute(clips), damaged)),
            tuple(_readable(firing_of, db.execute(firings), damaged)),
            tuple(_readable(_dropped_of, db.execute(dropped), damaged)),
            {str(clip_id): bytes(receipt) for clip_id, receipt in db.execute(receipts)},
            tuple(damaged),
        )


_T = TypeVar("_T")


def _readable(decode: Callable[[Row], _T], rows: Iterable[Row], damaged: list[str]) -> Iterator[_T]:
    for row in rows:
        try:
            yield decode(row)
        except JournalError as error:
            damaged.append(str(error))


def _dropped_of(row: Row) -> tuple[str, DropReason, int]:
    campaign_id, reason, count = row
    try:
        return str(campaign_id), DropReason(reason), int(count)
    except ValueError as error:
        raise JournalError(f"journal: firings of {campaign_id} that were dropped: {error}") from error


@contextlib.contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(_open(path)) as db:
            db.execute("BEGIN")
            _check(path, db)
            yield db
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
    if version in UPGRADES:
        raise JournalError(
            f"{path}: its tables are version {version}; the agent makes them version {VERSION} when it starts"
        )
    if version != VERSION:
        raise JournalError(f"{path}: its tables are version {version}, this program knows {VERSION}")
