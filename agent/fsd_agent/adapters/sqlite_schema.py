"""The journal's tables, version 6, and how a file is recognised as one.

    clips     one row a clip, for ever; ``seq`` is the order of acceptance
    firings   one row a firing; exactly one of ``clip_id`` and ``drop_reason``. ``region_id`` is that of its campaign, which
              its clip has too; empty where a file of before did not say
    tallies   per region, campaign and outcome: firings, clips, bytes. Kept with every move in the same transaction, so
              that reporting costs the number of campaigns, not of firings. ``outcome``: "in_progress",
              "delivered" or a drop reason. Two regions may have a campaign of one id each: neither is told of the other's
    untold    firings that their region is still to be told of; ``seq`` is that of the firing (``sqlite_untold.py``)
    state     values kept across restarts, one of which grows with every clip on board. Not WITHOUT ROWID: there a search compares
              whole rows, and each look for a few bytes would read megabytes that lie beside them

``application_id`` says the file is ours; ``user_version`` is the version of the tables. Both are set in the
transaction that creates the tables: a file has all of it or none.

A file of version 2 to 5 is brought up in one transaction too, by :data:`UPGRADES`. What was collected under version 2 knows
nothing of links and gets the rule of a campaign that says nothing. In version 3 a firing that nothing was kept for had no
region: it gets the one of all clips of its campaign's id, where that is one, else none. Nobody is told of firings of
before. Up to version 4 clips had no value: what was sealed or had ended by then keeps 0, what waits is valued yet. Up to version 5
nobody kept which seconds of a clip are best: what is valued by then is kept whole. Older ones are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

APPLICATION_ID = 0x46534A4C
"""ASCII "FSJL"."""
VERSION = 6

# The link rule comes last in each, so that thousands of clips that may not go are passed over without a look at their rows.
_IN_ORDER_3 = "CREATE INDEX clips_in_order ON clips (state, urgent DESC, priority DESC, seq, links, roaming)"
_IN_ORDER = "CREATE INDEX clips_in_order ON clips (state, urgent DESC, priority DESC, value DESC, seq, links, roaming)"
_UNVALUED = "CREATE INDEX clips_unvalued ON clips (purpose, seq) WHERE state = 'captured' AND valued = ''"
_WAITING = "CREATE INDEX clips_waiting ON clips (region_id, links, roaming, urgent) WHERE state = 'sealed'"

_TALLIES = """CREATE TABLE tallies (
        region_id TEXT NOT NULL,
        campaign_id TEXT NOT NULL,
        outcome TEXT NOT NULL,
        firings INTEGER NOT NULL,
        clips INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (region_id, campaign_id, outcome)
    ) STRICT, WITHOUT ROWID"""
_UNTOLD = """CREATE TABLE untold (
        seq INTEGER PRIMARY KEY REFERENCES firings (seq),
        region_id TEXT NOT NULL,
        purpose TEXT NOT NULL,
        signals BLOB NOT NULL
    ) STRICT"""

_KEPT = "CREATE INDEX firings_kept ON firings (region_id, campaign_id, wall_ns, clip_id) WHERE clip_id IS NOT NULL"
_STATE = "CREATE TABLE state (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT"

TABLES = (
    """CREATE TABLE clips (
        seq INTEGER PRIMARY KEY,
        clip_id TEXT NOT NULL UNIQUE,
        region_id TEXT NOT NULL,
        purpose TEXT NOT NULL,
        state TEXT NOT NULL,
        start_ns INTEGER NOT NULL,
        end_ns INTEGER NOT NULL,
        wall_minus_mono_ns INTEGER NOT NULL,
        cameras BLOB NOT NULL,
        signals BLOB NOT NULL,
        priority INTEGER NOT NULL,
        cut INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 BLOB NOT NULL,
        drop_reason TEXT,
        drop_detail TEXT NOT NULL,
        receipt BLOB,
        links TEXT NOT NULL DEFAULT 'unmetered',
        roaming INTEGER NOT NULL DEFAULT 0,
        urgent INTEGER NOT NULL DEFAULT 0,
        deadline_ns INTEGER,
        value REAL NOT NULL DEFAULT 0,
        valued TEXT NOT NULL DEFAULT '',
        value_parts BLOB NOT NULL DEFAULT x'',
        best_ns INTEGER,
        CHECK ((state = 'dropped') = (drop_reason IS NOT NULL)),
        CHECK ((state = 'delivered') = (receipt IS NOT NULL))
    ) STRICT""",
    _IN_ORDER,
    _WAITING,
    _UNVALUED,
    """CREATE TABLE firings (
        seq INTEGER PRIMARY KEY,
        firing_id TEXT NOT NULL UNIQUE,
        campaign_id TEXT NOT NULL,
        campaign_version INTEGER NOT NULL,
        t_ns INTEGER NOT NULL,
        wall_ns INTEGER NOT NULL,
        evidence BLOB NOT NULL,
        clip_id TEXT REFERENCES clips (clip_id),
        drop_reason TEXT,
        region_id TEXT NOT NULL DEFAULT '',
        CHECK ((clip_id IS NULL) <> (drop_reason IS NULL))
    ) STRICT""",
    "CREATE INDEX firings_of_clip ON firings (clip_id, campaign_id) WHERE clip_id IS NOT NULL",
    _KEPT,
    _TALLIES,
    _UNTOLD,
    _STATE,
)

UPGRADES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        2: (
            "ALTER TABLE clips ADD COLUMN links TEXT NOT NULL DEFAULT 'unmetered'",
            "ALTER TABLE clips ADD COLUMN roaming INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE clips ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE clips ADD COLUMN deadline_ns INTEGER",
            "DROP INDEX clips_in_order",
            _IN_ORDER_3,
            _WAITING,
        ),
        3: (
            "ALTER TABLE firings ADD COLUMN region_id TEXT NOT NULL DEFAULT ''",
            """UPDATE firings SET region_id = clips.region_id FROM clips WHERE clips.clip_id = firings.clip_id""",
            """UPDATE firings SET region_id = known.region_id FROM (
                SELECT campaign_id, min(region_id) AS region_id FROM firings WHERE clip_id IS NOT NULL
                GROUP BY campaign_id HAVING count(DISTINCT region_id) = 1
            ) AS known WHERE firings.clip_id IS NULL AND firings.campaign_id = known.campaign_id""",
            "DROP TABLE tallies",
            _TALLIES,
            """INSERT INTO tallies (region_id, campaign_id, outcome, firings, clips, bytes)
                SELECT region_id, campaign_id, outcome, sum(firings), sum(clips), sum(bytes) FROM (
                    SELECT firings.region_id AS region_id, campaign_id, count(*) AS firings,
                        CASE state WHEN 'delivered' THEN state WHEN 'dropped' THEN clips.drop_reason
                            ELSE 'in_progress' END AS outcome,
                        state = 'delivered' AS clips,
                        iif(state = 'delivered', size_bytes, 0) AS bytes
                    FROM firings JOIN clips USING (clip_id) GROUP BY campaign_id, clip_id
                    UNION ALL
                    SELECT region_id, campaign_id, count(*), drop_reason, 0, 0
                    FROM firings WHERE clip_id IS NULL GROUP BY region_id, campaign_id, drop_reason
                ) GROUP BY region_id, campaign_id, outcome""",
            _UNTOLD,
        ),
        4: (
            "ALTER TABLE clips ADD COLUMN value REAL NOT NULL DEFAULT 0",
            "ALTER TABLE clips ADD COLUMN valued TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE clips ADD COLUMN value_parts BLOB NOT NULL DEFAULT x''",
            "UPDATE clips SET valued = 'earlier' WHERE state NOT IN ('staged', 'captured')",
            "DROP INDEX clips_in_order",
            _IN_ORDER,
            _UNVALUED,
            "DROP INDEX firings_kept",
            _KEPT,
            "ALTER TABLE state RENAME TO state_4",
            _STATE,
            "INSERT INTO state (key, value) SELECT key, value FROM state_4",
            "DROP TABLE state_4",
        ),
        5: ("ALTER TABLE clips ADD COLUMN best_ns INTEGER",),
    }
)
"""By version: what makes the next one of it."""

IN_PROGRESS = "in_progress"
DELIVERED = "delivered"
