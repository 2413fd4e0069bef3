"""What the clips of a journal that are on board come to, by region and state: counted once, then kept with every move.

Counting reads every clip that waits, which takes a tenth of a second for 50,000; it is asked for every few seconds, by who
keeps room and by who tells the status. Only the process that has the journal open changes it.

Of each level the moments of its oldest clips are held, a few at a time: the oldest is mostly the one that goes next. When all of them
are gone, and others are there, the next few are read.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from fsd_agent.ports.journal import Level
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.rules.spool.lifecycle import LIVE

OLDEST = 256
"""Moments that are held of each level, at most."""
# Grouped by us: SQLite would sort all rows for it, and keep what that takes.
_REGIONS = "SELECT DISTINCT region_id FROM clips WHERE state = ?"
_COUNT = """
    SELECT count(*), sum(size_bytes), min(start_ns + wall_minus_mono_ns)
    FROM clips WHERE state = ? AND region_id = ?
"""
_OLDEST = f"""
    SELECT start_ns + wall_minus_mono_ns AS began_ns FROM clips
    WHERE state = ? AND region_id = ? ORDER BY began_ns LIMIT {OLDEST}
"""  # noqa: S608 - our own number

_Key = tuple[str, ClipState]


@dataclass(slots=True)
class _Sums:
    """Of one level."""

    clips: int = 0
    size_bytes: int = 0
    oldest: list[int] = field(default_factory=list)
    """When the windows of its first clips began, sorted: no other clip's began before the last of these."""

    def enter(self, began_ns: int, size_bytes: int) -> None:
        are_all = len(self.oldest) == self.clips
        if are_all or (self.oldest and began_ns < self.oldest[-1]):
            insort(self.oldest, began_ns)
            del self.oldest[OLDEST:]
        self.clips += 1
        self.size_bytes += size_bytes

    def leave(self, began_ns: int, size_bytes: int) -> None:
        if self.oldest and began_ns <= self.oldest[-1]:
            del self.oldest[bisect_left(self.oldest, began_ns)]
        self.clips -= 1
        self.size_bytes -= size_bytes


class LevelSums:
    """See the module. Every method is called with the journal's lock held, but for ``forget``."""

    def __init__(self) -> None:
        self._known: dict[_Key, _Sums] | None = None

    def read(self, db: sqlite3.Connection) -> tuple[Level, ...]:
        """By region id and state; a level without clips is not listed."""
        if self._known is None:
            self._known = dict(_count(db))
        return tuple(self._level(db, *one) for one in sorted(self._known.items()) if one[1].clips)

    def enter(self, row: ClipRow, state: ClipState, size_bytes: int = 0) -> None:
        """A clip is in this state from now on; ``size_bytes`` of its sealed file."""
        if self._known is not None:
            sums = self._known.setdefault((row.region_id, state), _Sums())
            sums.enter(_began_ns(row), size_bytes)

    def leave(self, row: ClipRow) -> None:
        """A clip is as ``row`` no more."""
        if self._known is not None:
            self._known[row.region_id, row.state].leave(_began_ns(row), row.size_bytes)

    def forget(self) -> None:
        """A move was undone: count again."""
        self._known = None

    def _level(self, db: sqlite3.Connection, key: _Key, sums: _Sums) -> Level:
        region_id, state = key
        if not sums.oldest:
            sums.oldest = [began_ns for (began_ns,) in db.execute(_OLDEST, (state, region_id))]
        return Level(region_id, state, sums.clips, sums.size_bytes, sums.oldest[0])


def _count(db: sqlite3.Connection) -> Iterator[tuple[_Key, _Sums]]:
    for state in LIVE:
        for (region_id,) in db.execute(_REGIONS, (state,)).fetchall():
            clips, size_bytes, oldest_ns = db.execute(_COUNT, (state, region_id)).fetchone()
            yield (region_id, state), _Sums(clips, size_bytes, [oldest_ns])


def _began_ns(row: ClipRow) -> int:
    return row.start_ns + row.wall_minus_mono_ns
