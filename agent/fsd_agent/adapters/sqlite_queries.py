"""What the journal on SQLite is asked: nothing here changes a row."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from fsd_agent.adapters import sqlite_untold
from fsd_agent.adapters.sqlite_file import SqliteFile
from fsd_agent.adapters.sqlite_levels import LevelSums
from fsd_agent.adapters.sqlite_rows import (
    CLIP_COLUMNS,
    FIRING_COLUMNS,
    PLACE_COLUMNS,
    Row,
    clip_of,
    compartment_of,
    firing_of,
    place_of,
    rule_of,
)
from fsd_agent.adapters.sqlite_tallies import read_totals
from fsd_agent.ports.journal import CampaignTotals, JournalError, Level
from fsd_agent.records.clip import ClipPlace, ClipRow, ClipState
from fsd_agent.records.clip_ids import ID_BYTES
from fsd_agent.records.firing import JudgedFiring, UntoldFiring
from fsd_agent.records.link_rule import EVERYTHING, Admits, LinkRule
from fsd_agent.records.purpose import Compartment, Purpose

# Names of our own columns are put into these statements, values never.
_SELECT_CLIP = f"SELECT {CLIP_COLUMNS} FROM clips WHERE clip_id = ?"  # noqa: S608 - see above
PAGE = 1000
"""Rows that are read at a time by who goes over all of them."""
_PAGE_OF_VALUE = f"""
    SELECT value, seq, {PLACE_COLUMNS} FROM clips
    WHERE state = ? AND urgent = ? AND priority = ? AND value = ? AND seq > ? ORDER BY seq LIMIT {PAGE}
"""  # noqa: S608 - see above
_PAGE_BELOW = f"""
    SELECT value, seq, {PLACE_COLUMNS} FROM clips
    WHERE state = ? AND urgent = ? AND priority = ? AND value < ? ORDER BY value DESC, seq LIMIT {PAGE}
"""  # noqa: S608 - see above
_SEALED_PLACES = "SELECT DISTINCT region_id, purpose FROM clips WHERE state = 'sealed'"
_SEALED_IDS = """
    SELECT group_concat(clip_id, ''), count(*) FROM clips
    WHERE state = 'sealed' AND region_id = ? AND purpose = ?
"""


class SqliteQueries:
    """The questions of :class:`fsd_agent.ports.journal.Journal`."""

    def __init__(self, path: Path, file: SqliteFile) -> None:
        self._path = path
        self._file = file
        self._levels = LevelSums()

    def clips(
        self, states: Collection[ClipState], *, limit: int | None = None, admits: Admits = EVERYTHING
    ) -> tuple[ClipRow, ...]:
        """See the port."""
        marks, links = ", ".join("?" * len(states)), ", ".join("?" * len(admits.links))
        query = (
            f"SELECT {CLIP_COLUMNS} FROM clips WHERE state IN ({marks}) AND links IN ({links}) "  # noqa: S608 - marks are question marks
            "AND roaming >= ? AND urgent >= ? ORDER BY urgent DESC, priority DESC, value DESC, seq LIMIT ?"
        )
        asked = (*states, *admits.links, admits.roaming_only, admits.urgent_only)
        with self._file.read() as db:
            rows = db.execute(query, (*asked, -1 if limit is None else limit)).fetchall()
        return tuple(map(clip_of, rows))

    def waiting(self, region_id: str) -> Mapping[LinkRule, int]:
        """See the port."""
        query = (
            "SELECT links, roaming, urgent, NULL, count(*) FROM clips WHERE state = 'sealed' AND region_id = ? "
            "GROUP BY links, roaming, urgent"
        )
        with self._file.read() as db:
            rows = db.execute(query, (region_id,)).fetchall()
        try:
            return {rule_of(*rule): count for *rule, count in rows}
        except ValueError as error:
            raise JournalError(f"{self._path}: a clip's link rule is damaged: {error}") from error

    def least(self, limit: int, *, region_ids: Collection[str] = ()) -> tuple[ClipRow, ...]:
        """See the port."""
        of_regions = f"AND region_id IN ({', '.join('?' * len(region_ids))}) " if region_ids else ""
        query = (
            f"SELECT {CLIP_COLUMNS} FROM clips WHERE state IN ('captured', 'sealed') {of_regions}"  # noqa: S608 - see above
            "ORDER BY priority, urgent, valued = '', value, seq LIMIT ?"
        )
        with self._file.read() as db:
            rows = db.execute(query, (*region_ids, limit)).fetchall()
        return tuple(map(clip_of, rows))

    def unvalued(self, limit: int, *, purposes: Collection[Purpose]) -> tuple[ClipRow, ...]:
        """See the port. Asked many times a second, and mostly there is none."""
        if not purposes:
            return ()
        marks = ", ".join("?" * len(purposes))
        query = (
            f"SELECT {CLIP_COLUMNS} FROM clips INDEXED BY clips_unvalued WHERE state = 'captured' AND valued = '' "  # noqa: S608 - marks are question marks
            f"AND purpose IN ({marks}) ORDER BY seq LIMIT ?"
        )
        with self._file.read() as db:
            rows = db.execute(query, (*purposes, limit)).fetchall()
        return tuple(map(clip_of, rows))

    def following(self, state: ClipState, clip_id: str, *, limit: int) -> tuple[ClipRow, ...]:
        """See the port. By the index of states: finished clips of years must not be read past."""
        query = (
            f"SELECT {CLIP_COLUMNS} FROM clips INDEXED BY clips_in_order "  # noqa: S608 - see above
            "WHERE state = ? AND clip_id > ? ORDER BY clip_id LIMIT ?"
        )
        with self._file.read() as db:
            rows = db.execute(query, (state, clip_id, limit)).fetchall()
        return tuple(map(clip_of, rows))

    def each(self, states: Collection[ClipState]) -> Iterator[ClipPlace]:
        """See the port. Page by page along the index, so that nothing is sorted and others have their turn."""
        for state in (one for one in ClipState if one in states):
            with self._file.read() as db:
                query = "SELECT DISTINCT urgent, priority FROM clips WHERE state = ? ORDER BY urgent DESC, priority DESC"
                ranks = db.execute(query, (state,)).fetchall()
            for rank in ranks:
                yield from self._pages(state, *rank)

    def _pages(self, state: ClipState, urgent: int, priority: int) -> Iterator[ClipPlace]:
        rank, value, after = (state, urgent, priority), math.inf, 0
        while True:
            with self._file.read() as db:
                rows = db.execute(_PAGE_OF_VALUE, (*rank, value, after)).fetchall()
                rows = rows or db.execute(_PAGE_BELOW, (*rank, value)).fetchall()
            for value, after, *place in rows:  # noqa: B007 - where the next page begins
                yield place_of(place)
            if not rows:
                return

    def sealed_ids(self) -> Mapping[Compartment, bytes]:
        """See the port. SQLite puts them one behind the other: as rows, each would be objects of Python's."""
        with self._file.read() as db:
            places = db.execute(_SEALED_PLACES).fetchall()
            found = {place: db.execute(_SEALED_IDS, place).fetchone() for place in places}
        return {
            compartment_of(place): self._packed(place, digits, count)
            for place, (digits, count) in found.items()
        }

    def _packed(self, place: Row, digits: str, count: int) -> bytes:
        try:
            packed = bytes.fromhex(digits)
        except ValueError as error:
            raise JournalError(f"{self._path}: a clip's id in {place} is damaged: {error}") from error
        if len(packed) != count * ID_BYTES:
            raise JournalError(
                f"{self._path}: a clip's id in {place} is damaged: {count} are {len(packed)} bytes"
            )
        return packed

    def clip(self, clip_id: str) -> ClipRow | None:
        """See the port."""
        with self._file.read() as db:
            return find_clip(db, clip_id)

    def levels(self) -> tuple[Level, ...]:
        """See the port."""
        with self._file.read() as db:
            return self._levels.read(db)

    def firings_of(self, clip_id: str) -> tuple[JudgedFiring, ...]:
        """See the port."""
        with self._file.read() as db:
            rows = db.execute(
                f"SELECT {FIRING_COLUMNS} FROM firings WHERE clip_id = ? ORDER BY t_ns, seq",  # noqa: S608 - see above
                (clip_id,),
            ).fetchall()
        return tuple(map(firing_of, rows))

    def usage(self, region_id: str, campaign_id: str, *, since_wall_ns: int) -> tuple[int, int]:
        """See the port."""
        with self._file.read() as db:
            kept, size = db.execute(
                "SELECT coalesce(sum(n), 0), coalesce(sum(size_bytes), 0) FROM "
                "(SELECT clip_id, count(*) AS n FROM firings WHERE region_id = ? AND campaign_id = ? "
                "AND wall_ns >= ? AND clip_id IS NOT NULL GROUP BY clip_id) JOIN clips USING (clip_id)",
                (region_id, campaign_id, since_wall_ns),
            ).fetchone()
        return int(kept), int(size)

    def totals(self) -> tuple[CampaignTotals, ...]:
        """See the port."""
        with self._file.read() as db:
            return read_totals(db)

    def untold(self, region_id: str, *, limit: int) -> tuple[UntoldFiring, ...]:
        """See the port."""
        with self._file.read() as db:
            return sqlite_untold.read(db, region_id, limit)

    def never_told(self, region_id: str) -> int:
        """See the port."""
        with self._file.read() as db:
            return sqlite_untold.never_told(db, region_id)

    def get_state(self, key: str) -> bytes | None:
        """See the port."""
        with self._file.read() as db:
            row = db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])


def find_clip(db: sqlite3.Connection, clip_id: str) -> ClipRow | None:
    """One row."""
    row = db.execute(_SELECT_CLIP, (clip_id,)).fetchone()
    return None if row is None else clip_of(row)
