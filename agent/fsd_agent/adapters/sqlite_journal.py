"""The journal on SQLite: its changes.

Questions: ``sqlite_queries.py``; tables: ``sqlite_schema.py``; durability and faults: ``sqlite_file.py``.

Every change is one transaction that first reads the clip's state, asks the table of moves
(``rules/spool/lifecycle.py``), then writes the row and the tallies of its campaigns together. What is held in memory of the
rows (``sqlite_levels.py``) follows in the same transaction, and is forgotten where that is undone.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from fsd_agent.adapters import sqlite_untold
from fsd_agent.adapters.sqlite_file import SqliteFile
from fsd_agent.adapters.sqlite_queries import SqliteQueries, find_clip
from fsd_agent.adapters.sqlite_reserve import MoveReserve
from fsd_agent.adapters.sqlite_rows import (
    CLIP_COLUMNS,
    FIRING_COLUMNS,
    clip_values,
    firing_values,
    worth_values,
)
from fsd_agent.adapters.sqlite_schema import DELIVERED
from fsd_agent.adapters.sqlite_tallies import tally_end, tally_firing
from fsd_agent.ports.journal import IllegalMoveError, JournalError
from fsd_agent.records.clip import ClipRow, ClipState, SealedClip
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.worth import Worth
from fsd_agent.rules.spool.lifecycle import refuse_move, widen

# Names of our own columns are put into these statements, values never.
_PUT_CLIP = f"""
    INSERT INTO clips ({CLIP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (clip_id) DO UPDATE SET start_ns = excluded.start_ns, end_ns = excluded.end_ns,
        cameras = excluded.cameras, signals = excluded.signals, priority = excluded.priority,
        links = excluded.links, roaming = excluded.roaming, urgent = excluded.urgent,
        deadline_ns = excluded.deadline_ns
"""  # noqa: S608 - see above
_PUT_FIRING = f"INSERT INTO firings ({FIRING_COLUMNS}, region_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - see above


class SqliteJournal(SqliteQueries):
    """See :class:`fsd_agent.ports.journal.Journal`. ``path`` is created, with its folder, where it is missing."""

    def __init__(self, path: Path) -> None:
        self._reserve = MoveReserve(path)
        super().__init__(path, self._reserve.open(lambda: SqliteFile(path)))

    def accept(self, firings: Sequence[JudgedFiring], clips: Sequence[ClipRow]) -> None:
        """See the port."""
        with self._counted() as db:
            for clip in clips:
                self._put_staged(db, clip)
            for judged in firings:
                self._put_firing(db, judged)
            if any(judged.telling is not None for judged in firings):
                sqlite_untold.bound(db)

    def captured(self, clip_id: str, *, cut: bool) -> None:
        """See the port."""
        with self._counted() as db:
            row = self._check_move(db, clip_id, ClipState.CAPTURED)
            db.execute("UPDATE clips SET state = 'captured', cut = ? WHERE clip_id = ?", (int(cut), clip_id))
            self._levels.leave(row)
            self._levels.enter(row, ClipState.CAPTURED)

    def valued(self, worths: Mapping[str, Worth]) -> None:
        """See the port."""
        with self._file.change() as db:
            db.executemany(
                "UPDATE clips SET value = ?, valued = ?, value_parts = ?, best_ns = ? "
                "WHERE clip_id = ? AND state = 'captured'",
                [(*worth_values(worth), clip_id) for clip_id, worth in worths.items()],
            )

    def sealed(self, sealed: SealedClip) -> None:
        """See the port."""
        self._reserve.move(lambda: self._sealed(sealed))

    def _sealed(self, sealed: SealedClip) -> None:
        with self._counted(may_be_taken_back=True) as db:
            row = self._check_move(db, sealed.clip_id, ClipState.SEALED)
            changed = db.execute(
                "UPDATE clips SET state = 'sealed', size_bytes = ?, sha256 = ? WHERE clip_id = ? AND region_id = ?",
                (sealed.size_bytes, sealed.sha256, sealed.clip_id, sealed.region_id),
            )
            if changed.rowcount != 1:
                raise JournalError(
                    f"clip {sealed.clip_id}: its file is sealed to another region, {sealed.region_id}"
                )
            self._levels.leave(row)
            self._levels.enter(row, ClipState.SEALED, sealed.size_bytes)

    def delivered(self, clip_id: str, *, receipt: bytes) -> None:
        """See the port."""
        self._reserve.move(lambda: self._delivered(clip_id, receipt))

    def _delivered(self, clip_id: str, receipt: bytes) -> None:
        with self._counted() as db:
            row = self._check_move(db, clip_id, ClipState.DELIVERED)
            db.execute(
                "UPDATE clips SET state = 'delivered', receipt = ? WHERE clip_id = ?", (receipt, clip_id)
            )
            tally_end(db, row, DELIVERED, clips=1, size_bytes=row.size_bytes)
            self._levels.leave(row)

    def dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        """See the port."""
        self._reserve.move(lambda: self._dropped(clip_id, reason, detail))

    def _dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        with self._counted() as db:
            row = self._check_move(db, clip_id, ClipState.DROPPED)
            db.execute(
                "UPDATE clips SET state = 'dropped', drop_reason = ?, drop_detail = ? WHERE clip_id = ?",
                (reason, detail, clip_id),
            )
            tally_end(db, row, reason, clips=0, size_bytes=0)
            self._levels.leave(row)

    def told(self, firing_ids: Collection[str]) -> None:
        """See the port."""
        with self._file.change() as db:
            sqlite_untold.forget(db, firing_ids)

    def untell(self, *, purposes: Collection[Purpose] = (), region_ids: Collection[str] = ()) -> None:
        """See the port. On a full disk, too: consent may be what it waits for."""

        def forget() -> None:
            with self._file.change() as db:
                sqlite_untold.forget_of(db, purposes, region_ids)

        self._reserve.move(forget)

    def set_state(self, key: str, value: bytes) -> None:
        """See the port."""
        with self._file.change() as db:
            db.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """See the port."""
        self._file.close()

    @contextlib.contextmanager
    def _counted(self, *, may_be_taken_back: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction that changes what is on board; where it is undone, that is counted again."""
        try:
            with self._file.change(may_be_taken_back=may_be_taken_back) as db:
                yield db
        except BaseException:
            self._levels.forget()
            raise

    def _check_move(self, db: sqlite3.Connection, clip_id: str, after: ClipState) -> ClipRow:
        """The row as it is; raises :class:`IllegalMoveError` when the table lacks the step."""
        row = find_clip(db, clip_id)
        refused = refuse_move(clip_id, None if row is None else row.state, after)
        if row is None or refused is not None:
            raise IllegalMoveError(f"{self._path}: {refused}")
        return row

    def _put_staged(self, db: sqlite3.Connection, clip: ClipRow) -> None:
        """Insert or widen one clip."""
        known = find_clip(db, clip.clip_id)
        if clip.state is not ClipState.STAGED or (known is not None and known.state is not ClipState.STAGED):
            state = clip.state if known is None else known.state
            raise IllegalMoveError(
                f"{self._path}: clip {clip.clip_id}: is {state}, only staged clips are accepted"
            )
        try:
            row = clip if known is None else widen(known, clip)
        except ValueError as error:
            raise JournalError(f"{self._path}: {error}") from error
        db.execute(_PUT_CLIP, clip_values(row))
        if known is not None:
            self._levels.leave(known)
        self._levels.enter(row, ClipState.STAGED)

    def _put_firing(self, db: sqlite3.Connection, judged: JudgedFiring) -> None:
        """Insert one firing, once its clip is known to be open."""
        if (judged.clip_id is None) == (judged.drop is None):
            raise JournalError(f"firing {judged.firing_id}: needs exactly one of clip_id and drop")
        region_id = judged.region_id
        if judged.clip_id is not None:
            row = find_clip(db, judged.clip_id)
            if row is None or row.state is not ClipState.STAGED:
                state = "unknown" if row is None else row.state
                raise IllegalMoveError(
                    f"{self._path}: firing {judged.firing_id}: its clip {judged.clip_id} is {state}, not staged"
                )
            region_id = row.region_id
        if db.execute("SELECT 1 FROM firings WHERE firing_id = ?", (judged.firing_id,)).fetchone():
            raise JournalError(f"{self._path}: firing {judged.firing_id}: already journalled")
        put = db.execute(_PUT_FIRING, (*firing_values(judged), region_id))
        tally_firing(db, judged, region_id)
        if judged.telling is not None and put.lastrowid is not None:
            sqlite_untold.put(db, put.lastrowid, region_id, judged.telling)
