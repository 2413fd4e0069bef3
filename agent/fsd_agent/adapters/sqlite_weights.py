"""What the sealed clips of a journal weigh, by region: counted once, then kept in memory with every move.

Counting reads every clip that waits, which takes a tenth of a second for 50,000; it is asked for every few seconds. Only
the process that has the journal open changes it.
"""

from __future__ import annotations

import sqlite3

from fsd_agent.ports.journal import RegionWeight
from fsd_agent.records.clip import ClipRow, ClipState

_COUNT = (
    "SELECT region_id, count(*), sum(size_bytes) FROM clips WHERE state = 'sealed' "
    "GROUP BY region_id ORDER BY region_id"
)


class SealedWeights:
    """See the module. Every method is called with the journal's lock held, but for ``forget``."""

    def __init__(self) -> None:
        self._known: dict[str, RegionWeight] | None = None

    def read(self, db: sqlite3.Connection) -> tuple[RegionWeight, ...]:
        """By region id."""
        known = self._known
        if known is None:
            known = {row[0]: RegionWeight(*row) for row in db.execute(_COUNT)}
            self._known = known
        return tuple(known[region_id] for region_id in sorted(known) if known[region_id].clips)

    def sealed(self, region_id: str, size_bytes: int) -> None:
        """A clip of this size waits from now on."""
        self._add(region_id, 1, size_bytes)

    def ended(self, before: ClipRow) -> None:
        """A clip has come to its end; ``before`` is its row until then."""
        if before.state is ClipState.SEALED:
            self._add(before.region_id, -1, -before.size_bytes)

    def forget(self) -> None:
        """A move was undone: count again."""
        self._known = None

    def _add(self, region_id: str, clips: int, size_bytes: int) -> None:
        if self._known is not None:
            now = self._known.get(region_id, RegionWeight(region_id, 0, 0))
            self._known[region_id] = RegionWeight(region_id, now.clips + clips, now.size_bytes + size_bytes)
