"""One SQLite database as a durable file: how it is opened, how a transaction ends, what its errors mean.

Invariants
- WAL with synchronous=FULL: a commit has been fsynced before it returns (with NORMAL a power cut takes commits
  back; with a rollback journal an unsynced unlink can), but for one that may be taken back. The folder is fsynced when the file is new.
- What is read at the start is durable: a process that was killed in a commit may have left it unsynced, and we go by it.
- One connection, one lock: calls from many threads run one after the other.
- A damaged, foreign, newer or too old file is refused by name and left exactly as it is. It is never recreated: the
  journal is the only thing that knows which files on the disk were promised to anybody.
- A transaction that fails leaves what was committed before, and the connection usable.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from fsd_agent.adapters import durable
from fsd_agent.adapters.sqlite_schema import APPLICATION_ID, TABLES, UPGRADES, VERSION
from fsd_agent.ports.journal import JournalError, StorageFailedError, StorageFullError
from fsd_agent.ports.spool import SpoolError, SpoolFullError

BUSY_TIMEOUT_S = 5.0
"""Another process may read (an operator's tool); it never holds the file for longer."""
WAL_LIMIT_BYTES = 4 << 20
"""The log is cut to this after a checkpoint, so that a busy hour does not hold space for ever."""
CACHE_BYTES = 256 << 10
"""Pages that are held, at most: a change of one clip takes a dozen of 4 KiB, and the system caches the file as well."""
ALMOST_FULL_BYTES = 64 << 10
"""With less than this free an unexplained write error is taken for a full disk: SQLite says SQLITE_FULL only
for some of them."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_MAYBE_FULL = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_FAILED = _MAYBE_FULL | {sqlite3.SQLITE_READONLY}
_ADVICE = (
    "Nothing was changed. Move it away together with its -wal and -shm files and keep the spool's folders; "
    "`sqlite3 FILE .recover` may save its rows"
)


class SqliteFile:
    """See the module.

    Raises :class:`JournalError`: :class:`StorageFullError` where space is the reason, :class:`StorageFailedError` where the
    disk is read-only or fails.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        try:
            durable.make_folder(path.parent)
        except SpoolFullError as error:
            raise StorageFullError(str(error)) from error
        except SpoolError as error:
            raise JournalError(str(error)) from error
        with self._translated():
            self._connection = sqlite3.connect(
                path,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self._translated():
                self._prepare(self._connection)
        except BaseException:
            self._connection.close()
            self._connection = None
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Recognise or create the tables, then check every page's structure."""
        self._settle()
        version = _value(connection, "PRAGMA user_version")
        tables = _value(connection, "SELECT count(*) FROM sqlite_schema")
        if (version or tables) and _value(connection, "PRAGMA application_id") != APPLICATION_ID:
            raise JournalError(f"{self._path}: a SQLite database, but not an agent's journal. {_ADVICE}")
        if version > VERSION:
            raise JournalError(
                f"{self._path}: its tables are version {version}, this agent knows {VERSION}: it was written by a "
                "newer agent. Start that one"
            )
        if 0 < version < VERSION and version not in UPGRADES:
            raise JournalError(
                f"{self._path}: its tables are version {version}, older than any that this agent can bring up to "
                f"{VERSION}. {_ADVICE}"
            )
        connection.execute("PRAGMA foreign_keys = ON")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise JournalError(
                f"{self._path}: this file system does not allow a write-ahead log (got {mode!r})"
            )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_BYTES >> 10}")
        if version == 0:
            with self.change() as created:
                for statement in TABLES:
                    created.execute(statement)
                created.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                created.execute(f"PRAGMA user_version = {VERSION}")
        durable.sync_folder(self._path.parent)
        finding = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            raise JournalError(f"{self._path}: damaged ({finding}). {_ADVICE}")
        if 0 < version < VERSION:
            self._bring_up(version)

    def _bring_up(self, version: int) -> None:
        """Make the tables those of now, all of it or nothing; only of a file that is sound."""
        with self.change() as raised:
            for before in range(version, VERSION):
                for statement in UPGRADES[before]:
                    raised.execute(statement)
            raised.execute(f"PRAGMA user_version = {VERSION}")

    def _settle(self) -> None:
        """Sync the log that an earlier process left. Its locks are on other files, so closing it here loses none."""
        log = self._path.with_name(f"{self._path.name}-wal")
        with durable.translated(log):
            try:
                fd = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                return
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries."""
        with self._lock, self._translated():
            yield self._opened()

    @contextlib.contextmanager
    def change(self, *, may_be_taken_back: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction: durable when the block ends, undone when it raises.

        ``may_be_taken_back``: the medium is not waited for. Everybody reads it from now on, and with the next one that is durable it
        is, too; a power cut before that takes it back.
        """
        with self._lock, self._translated():
            connection = self._opened()
            if may_be_taken_back:
                connection.execute("PRAGMA synchronous = NORMAL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:  # SQLite undoes some failures by itself
                        connection.execute("ROLLBACK")
                    raise
            finally:
                if may_be_taken_back:
                    connection.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Release the file. Safe to call twice."""
        with self._lock, self._translated():
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise JournalError(f"{self._path}: closed")
        return self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn SQLite's errors into the port's."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without the extension
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            if code == sqlite3.SQLITE_FULL or (code in _MAYBE_FULL and self._almost_full()):
                raise StorageFullError(
                    f"{self._path}: no space left ({name}); earlier commits are intact"
                ) from error
            if code in _DAMAGED:
                raise JournalError(f"{self._path}: damaged ({name}: {error}). {_ADVICE}") from error
            kind = StorageFailedError if code in _FAILED else JournalError
            raise kind(f"{self._path}: {error} ({name})") from error
        except SpoolFullError as error:
            raise StorageFullError(str(error)) from error
        except SpoolError as error:
            raise JournalError(str(error)) from error

    def _almost_full(self) -> bool:
        """Whether the volume has no room for another page, or no inode for another file."""
        try:
            volume = os.statvfs(self._path.parent)
        except OSError:
            return False
        no_inodes = volume.f_files > 0 and volume.f_favail == 0
        return no_inodes or volume.f_bavail * volume.f_frsize < ALMOST_FULL_BYTES


def _value(connection: sqlite3.Connection, query: str) -> int:
    """The first column of the first row, a number."""
    found: int = connection.execute(query).fetchone()[0]
    return found
