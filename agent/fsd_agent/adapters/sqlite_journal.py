"""The journal on SQLite. Tables: ``sqlite_schema.py``; durability and faults: ``sqlite_file.py``.

Every change is one transaction that first reads the clip's state, asks the table of moves
(``rules/spool/lifecycle.py``), then writes the row and the tallies of its campaigns together.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from fsd_agent.adapters import sqlite_untold
from fsd_agent.adapters.sqlite_file import SqliteFile
from fsd_agent.adapters.sqlite_reserve import MoveReserve
from fsd_agent.adapters.sqlite_rows import (
    CLIP_COLUMNS,
    FIRING_COLUMNS,
    PLACE_COLUMNS,
    clip_of,
    clip_values,
    firing_of,
    firing_values,
    place_of,
    rule_of,
)
from fsd_agent.adapters.sqlite_schema import DELIVERED, IN_PROGRESS
from fsd_agent.adapters.sqlite_weights import SealedWeights
from fsd_agent.ports.journal import CampaignTotals, IllegalMoveError, JournalError, Level, RegionWeight
from fsd_agent.records.clip import ClipPlace, ClipRow, ClipState, SealedClip
from fsd_agent.records.firing import JudgedFiring, UntoldFiring
from fsd_agent.records.link_rule import EVERYTHING, Admits, LinkRule
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.spool.lifecycle import refuse_move, widen

# Names of our own columns are put into these statements, values never.
_SELECT_CLIP = f"SELECT {CLIP_COLUMNS} FROM clips WHERE clip_id = ?"  # noqa: S608 - see above
_PUT_CLIP = f"""
    INSERT INTO clips ({CLIP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (clip_id) DO UPDATE SET start_ns = excluded.start_ns, end_ns = excluded.end_ns,
        cameras = excluded.cameras, signals = excluded.signals, priority = excluded.priority,
        links = excluded.links, roaming = excluded.roaming, urgent = excluded.urgent,
        deadline_ns = excluded.deadline_ns
"""  # noqa: S608 - see above
_PUT_FIRING = f"INSERT INTO firings ({FIRING_COLUMNS}, region_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - see above
_TALLY_FIRING = """
    INSERT INTO tallies (region_id, campaign_id, outcome, firings, clips, bytes) VALUES (?, ?, ?, 1, 0, 0)
    ON CONFLICT (region_id, campaign_id, outcome) DO UPDATE SET firings = firings + 1
"""
# "WHERE true" keeps SQLite's parser from reading ON CONFLICT as a join.
_TALLY_CLIP = """
    INSERT INTO tallies (region_id, campaign_id, outcome, firings, clips, bytes)
        SELECT :region, campaign_id, :outcome, :sign * n, :clips, :bytes
        FROM (SELECT campaign_id, count(*) AS n FROM firings WHERE clip_id = :clip GROUP BY campaign_id)
        WHERE true
    ON CONFLICT (region_id, campaign_id, outcome) DO UPDATE SET
        firings = firings + excluded.firings, clips = clips + excluded.clips, bytes = bytes + excluded.bytes
"""
PAGE = 1000
"""Rows that are read at a time by who goes over all of them."""
_PAGE = f"""
    SELECT seq, {PLACE_COLUMNS} FROM clips
    WHERE state = ? AND urgent = ? AND priority = ? AND seq > ? ORDER BY seq LIMIT {PAGE}
"""  # noqa: S608 - see above
_LEVELS = """
    SELECT region_id, state, count(*), sum(size_bytes), min(start_ns + wall_minus_mono_ns)
    FROM clips WHERE state IN ('staged', 'captured', 'sealed') GROUP BY region_id, state ORDER BY region_id, state
"""
# Few clips are in these states at a time, however many wait for delivery.
_UNSEALED = """
    SELECT clips.region_id, campaign_id,
        count(*) FILTER (WHERE state = 'staged'), count(*) FILTER (WHERE state = 'captured')
    FROM clips JOIN firings USING (clip_id) WHERE state IN ('staged', 'captured')
    GROUP BY clips.region_id, campaign_id
"""


class SqliteJournal:
    """See :class:`fsd_agent.ports.journal.Journal`. ``path`` is created, with its folder, where it is missing."""

    def __init__(self, path: Path) -> None:
        self._reserve = MoveReserve(path)
        self._file = self._reserve.open(lambda: SqliteFile(path))
        self._path = path
        self._weights = SealedWeights()

    def accept(self, firings: Sequence[JudgedFiring], clips: Sequence[ClipRow]) -> None:
        """See the port."""
        with self._file.change() as db:
            for clip in clips:
                self._put_staged(db, clip)
            for judged in firings:
                self._put_firing(db, judged)
            if any(judged.telling is not None for judged in firings):
                sqlite_untold.bound(db)

    def captured(self, clip_id: str, *, cut: bool) -> None:
        """See the port."""
        with self._file.change() as db:
            self._check_move(db, clip_id, ClipState.CAPTURED)
            db.execute("UPDATE clips SET state = 'captured', cut = ? WHERE clip_id = ?", (int(cut), clip_id))

    def sealed(self, sealed: SealedClip) -> None:
        """See the port."""
        self._reserve.move(lambda: self._sealed(sealed))

    def _sealed(self, sealed: SealedClip) -> None:
        with self._weighed() as db:
            self._check_move(db, sealed.clip_id, ClipState.SEALED)
            changed = db.execute(
                "UPDATE clips SET state = 'sealed', size_bytes = ?, sha256 = ? WHERE clip_id = ? AND region_id = ?",
                (sealed.size_bytes, sealed.sha256, sealed.clip_id, sealed.region_id),
            )
            if changed.rowcount != 1:
                raise JournalError(
                    f"clip {sealed.clip_id}: its file is sealed to another region, {sealed.region_id}"
                )
            self._weights.sealed(sealed.region_id, sealed.size_bytes)

    def delivered(self, clip_id: str, *, receipt: bytes) -> None:
        """See the port."""
        self._reserve.move(lambda: self._delivered(clip_id, receipt))

    def _delivered(self, clip_id: str, receipt: bytes) -> None:
        with self._weighed() as db:
            row = self._check_move(db, clip_id, ClipState.DELIVERED)
            db.execute(
                "UPDATE clips SET state = 'delivered', receipt = ? WHERE clip_id = ?", (receipt, clip_id)
            )
            _tally_end(db, row, DELIVERED, clips=1, size_bytes=row.size_bytes)
            self._weights.ended(row)

    def dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        """See the port."""
        self._reserve.move(lambda: self._dropped(clip_id, reason, detail))

    def _dropped(self, clip_id: str, reason: DropReason, detail: str) -> None:
        with self._weighed() as db:
            row = self._check_move(db, clip_id, ClipState.DROPPED)
            db.execute(
                "UPDATE clips SET state = 'dropped', drop_reason = ?, drop_detail = ? WHERE clip_id = ?",
                (reason, detail, clip_id),
            )
            _tally_end(db, row, reason, clips=0, size_bytes=0)
            self._weights.ended(row)

    def clips(
        self, states: Collection[ClipState], *, limit: int | None = None, admits: Admits = EVERYTHING
    ) -> tuple[ClipRow, ...]:
        """See the port."""
        marks, links = ", ".join("?" * len(states)), ", ".join("?" * len(admits.links))
        query = (
            f"SELECT {CLIP_COLUMNS} FROM clips WHERE state IN ({marks}) AND links IN ({links}) "  # noqa: S608 - marks are question marks
            "AND roaming >= ? AND urgent >= ? ORDER BY urgent DESC, priority DESC, seq LIMIT ?"
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
            "ORDER BY priority, urgent, seq LIMIT ?"
        )
        with self._file.read() as db:
            rows = db.execute(query, (*region_ids, limit)).fetchall()
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

    def sealed_weights(self) -> tuple[RegionWeight, ...]:
        """See the port."""
        with self._file.read() as db:
            return self._weights.read(db)

    def each(self, states: Collection[ClipState]) -> Iterator[ClipPlace]:
        """See the port. Page by page along the index, so that nothing is sorted and others have their turn."""
        for state in (one for one in ClipState if one in states):
            with self._file.read() as db:
                query = "SELECT DISTINCT urgent, priority FROM clips WHERE state = ? ORDER BY urgent DESC, priority DESC"
                ranks = db.execute(query, (state,)).fetchall()
            for rank in ranks:
                yield from self._pages(state, *rank)

    def _pages(self, state: ClipState, urgent: int, priority: int) -> Iterator[ClipPlace]:
        after = 0
        while True:
            with self._file.read() as db:
                rows = db.execute(_PAGE, (state, urgent, priority, after)).fetchall()
            for seq, *place in rows:
                after = seq
                yield place_of(place)
            if len(rows) < PAGE:
                return

    def clip(self, clip_id: str) -> ClipRow | None:
        """See the port."""
        with self._file.read() as db:
            return _find(db, clip_id)

    def levels(self) -> tuple[Level, ...]:
        """See the port."""
        with self._file.read() as db:
            rows = db.execute(_LEVELS).fetchall()
        return tuple(Level(region_id, ClipState(state), *counts) for region_id, state, *counts in rows)

    def firings_of(self, clip_id: str) -> tuple[JudgedFiring, ...]:
        """See the port."""
        with self._file.read() as db:
            rows = db.execute(
                f"SELECT {FIRING_COLUMNS} FROM firings WHERE clip_id = ? ORDER BY t_ns, seq",  # noqa: S608 - see above
                (clip_id,),
            ).fetchall()
        return tuple(map(firing_of, rows))

    def usage(self, campaign_id: str, *, since_wall_ns: int) -> tuple[int, int]:
        """See the port."""
        with self._file.read() as db:
            kept, size = db.execute(
                "SELECT coalesce(sum(n), 0), coalesce(sum(size_bytes), 0) FROM "
                "(SELECT clip_id, count(*) AS n FROM firings WHERE campaign_id = ? AND wall_ns >= ? "
                "AND clip_id IS NOT NULL GROUP BY clip_id) JOIN clips USING (clip_id)",
                (campaign_id, since_wall_ns),
            ).fetchone()
        return int(kept), int(size)

    def totals(self) -> tuple[CampaignTotals, ...]:
        """See the port."""
        columns = "region_id, campaign_id, outcome, firings, clips, bytes"
        with self._file.read() as db:
            rows = db.execute(f"SELECT {columns} FROM tallies").fetchall()  # noqa: S608 - see above
            unsealed = {(region_id, id_): counts for region_id, id_, *counts in db.execute(_UNSEALED)}
        found: dict[tuple[str, str], dict[str, tuple[int, int, int]]] = {}
        for region_id, campaign_id, outcome, *counts in rows:
            found.setdefault((region_id, campaign_id), {})[outcome] = (counts[0], counts[1], counts[2])
        return tuple(_totals(*of, found[of], *unsealed.get(of, (0, 0))) for of in sorted(found))

    def untold(self, region_id: str, *, limit: int) -> tuple[UntoldFiring, ...]:
        """See the port."""
        with self._file.read() as db:
            return sqlite_untold.read(db, region_id, limit)

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

    def never_told(self, region_id: str) -> int:
        """See the port."""
        with self._file.read() as db:
            return sqlite_untold.never_told(db, region_id)

    def get_state(self, key: str) -> bytes | None:
        """See the port."""
        with self._file.read() as db:
            row = db.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_state(self, key: str, value: bytes) -> None:
        """See the port."""
        with self._file.change() as db:
            db.execute("INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """See the port."""
        self._file.close()

    @contextlib.contextmanager
    def _weighed(self) -> Iterator[sqlite3.Connection]:
        """A transaction that changes what is sealed; where it is undone, that is counted again."""
        try:
            with self._file.change() as db:
                yield db
        except BaseException:
            self._weights.forget()
            raise

    def _check_move(self, db: sqlite3.Connection, clip_id: str, after: ClipState) -> ClipRow:
        """The row as it is; raises :class:`IllegalMoveError` when the table lacks the step."""
        row = _find(db, clip_id)
        refused = refuse_move(clip_id, None if row is None else row.state, after)
        if row is None or refused is not None:
            raise IllegalMoveError(f"{self._path}: {refused}")
        return row

    def _put_staged(self, db: sqlite3.Connection, clip: ClipRow) -> None:
        """Insert or widen one clip."""
        known = _find(db, clip.clip_id)
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

    def _put_firing(self, db: sqlite3.Connection, judged: JudgedFiring) -> None:
        """Insert one firing, once its clip is known to be open."""
        if (judged.clip_id is None) == (judged.drop is None):
            raise JournalError(f"firing {judged.firing_id}: needs exactly one of clip_id and drop")
        region_id = judged.region_id
        if judged.clip_id is not None:
            row = _find(db, judged.clip_id)
            if row is None or row.state is not ClipState.STAGED:
                state = "unknown" if row is None else row.state
                raise IllegalMoveError(
                    f"{self._path}: firing {judged.firing_id}: its clip {judged.clip_id} is {state}, not staged"
                )
            region_id = row.region_id
        if db.execute("SELECT 1 FROM firings WHERE firing_id = ?", (judged.firing_id,)).fetchone():
            raise JournalError(f"{self._path}: firing {judged.firing_id}: already journalled")
        put = db.execute(_PUT_FIRING, (*firing_values(judged), region_id))
        db.execute(_TALLY_FIRING, (region_id, judged.firing.campaign_id, judged.drop or IN_PROGRESS))
        if judged.telling is not None and put.lastrowid is not None:
            sqlite_untold.put(db, put.lastrowid, region_id, judged.telling)


def _tally_end(db: sqlite3.Connection, row: ClipRow, outcome: str, *, clips: int, size_bytes: int) -> None:
    """Move the firings of a clip from in progress to ``outcome``, for each of its campaigns."""
    of = {"clip": row.clip_id, "region": row.region_id}
    gone = of | {"outcome": IN_PROGRESS, "sign": -1, "clips": 0, "bytes": 0}
    come = of | {"outcome": outcome, "sign": 1, "clips": clips, "bytes": size_bytes}
    db.execute(_TALLY_CLIP, gone)
    db.execute(_TALLY_CLIP, come)


def _totals(
    region_id: str, campaign_id: str, outcomes: dict[str, tuple[int, int, int]], staged: int, captured: int
) -> CampaignTotals:
    """``outcomes``: firings, clips, bytes by outcome."""
    delivered, clips, size_bytes = outcomes.get(DELIVERED, (0, 0, 0))
    drops = [
        (DropReason(name), n) for name, (n, _, _) in outcomes.items() if name not in {IN_PROGRESS, DELIVERED}
    ]
    return CampaignTotals(
        region_id=region_id,
        campaign_id=campaign_id,
        fired=sum(n for n, _, _ in outcomes.values()),
        in_progress=outcomes.get(IN_PROGRESS, (0, 0, 0))[0],
        staged=staged,
        captured=captured,
        delivered=delivered,
        dropped=tuple(sorted(drops)),
        delivered_clips=clips,
        delivered_bytes=size_bytes,
    )


def _find(db: sqlite3.Connection, clip_id: str) -> ClipRow | None:
    row = db.execute(_SELECT_CLIP, (clip_id,)).fetchone()
    return None if row is None else clip_of(row)
