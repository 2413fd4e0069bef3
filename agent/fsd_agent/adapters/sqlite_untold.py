"""Firings that their region is still to be told of: the table ``untold``, inside the journal's own transactions.

It holds references to firings and what their campaigns let be told, no evidence of its own. A row comes with its firing, in
one transaction; it goes when the region has the firing, when consent to its purpose is withdrawn, when its region was left
and wants nothing, or for newer ones. How many of a region's went for newer ones is kept beside it, in the table ``state``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import msgspec

from fsd_agent.adapters.sqlite_rows import FIRING_COLUMNS, Row, firing_of
from fsd_agent.ports.journal import MAX_UNTOLD, JournalError
from fsd_agent.records.firing import Telling, UntoldFiring
from fsd_agent.records.purpose import Purpose

_SELECT = f"""
    SELECT untold.region_id, purpose, signals, {FIRING_COLUMNS} FROM untold JOIN firings USING (seq)
    WHERE untold.region_id = ? ORDER BY seq LIMIT ?
"""  # noqa: S608 - our own names
_names = msgspec.msgpack.Decoder(tuple[str, ...])


def put(db: sqlite3.Connection, seq: int, region_id: str, telling: Telling) -> None:
    """The firing that was inserted as ``seq`` is untold."""
    signals = msgspec.msgpack.encode(telling.signals)
    db.execute("INSERT INTO untold VALUES (?, ?, ?, ?)", (seq, region_id, telling.purpose, signals))


def bound(db: sqlite3.Connection) -> None:
    """The oldest beyond :data:`MAX_UNTOLD` go, and are counted; asked once a transaction that has put some."""
    (count,) = db.execute("SELECT count(*) FROM untold").fetchone()
    gone = count - MAX_UNTOLD
    if gone <= 0:
        return
    oldest = "SELECT seq FROM untold ORDER BY seq LIMIT ?"
    of_regions = f"SELECT region_id, count(*) FROM untold WHERE seq IN ({oldest}) GROUP BY region_id"  # noqa: S608 - see above
    for region_id, lost in db.execute(of_regions, (gone,)).fetchall():
        value = str(never_told(db, region_id) + lost).encode()
        db.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (_key(region_id), value))
    db.execute(f"DELETE FROM untold WHERE seq IN ({oldest})", (gone,))  # noqa: S608 - see above


def read(db: sqlite3.Connection, region_id: str, limit: int) -> tuple[UntoldFiring, ...]:
    """The oldest of one region; raises :class:`JournalError` for values that we never wrote."""
    return tuple(map(_untold_of, db.execute(_SELECT, (region_id, limit)).fetchall()))


def forget(db: sqlite3.Connection, firing_ids: Collection[str]) -> None:
    """Those that their regions have."""
    for firing_id in firing_ids:
        db.execute(
            "DELETE FROM untold WHERE seq = (SELECT seq FROM firings WHERE firing_id = ?)", (firing_id,)
        )


def forget_of(db: sqlite3.Connection, purposes: Collection[Purpose], region_ids: Collection[str]) -> None:
    """All of these purposes, and all of these regions."""
    for purpose in purposes:
        db.execute("DELETE FROM untold WHERE purpose = ?", (purpose,))
    for region_id in region_ids:
        db.execute("DELETE FROM untold WHERE region_id = ?", (region_id,))


def never_told(db: sqlite3.Connection, region_id: str) -> int:
    """How many of a region's went for newer ones."""
    row = db.execute("SELECT value FROM state WHERE key = ?", (_key(region_id),)).fetchone()
    try:
        return 0 if row is None else int(bytes(row[0]))
    except ValueError as error:
        raise JournalError(f"journal: {_key(region_id)}: {error}") from error


def _key(region_id: str) -> str:
    return f"firings-never-told/{region_id}"


def _untold_of(row: Row) -> UntoldFiring:
    region_id, purpose, signals, *firing = row
    judged = firing_of(tuple(firing))
    try:
        return UntoldFiring(judged, region_id, Telling(Purpose(purpose), _names.decode(signals)))
    except (ValueError, msgspec.MsgspecError) as error:
        raise JournalError(
            f"journal: what may be told of firing {judged.firing_id} is damaged: {error}"
        ) from error
