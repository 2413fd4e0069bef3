"""The journal's tables, version 3, and how a file is recognised as one.

    clips     one row a clip, for ever; ``seq`` is the order of acceptance
    firings   one row a firing; exactly one of ``clip_id`` and ``drop_reason``
    tallies   per campaign and outcome: firings, clips, bytes. Kept with every move in the same transaction, so
              that reporting costs the number of campaigns, not of firings. ``outcome``: "in_progress",
              "delivered" or a drop reason
    state     small values kept across restarts

``application_id`` says the file is ours; ``user_version`` is the version of the tables. Both are set in the
transaction that creates the tables: a file has all of it or none.

A file of version 2 is brought up in one transaction too, by :data:`UPGRADES`. What was collected under it knows nothing of
links and gets the rule of a campaign that says nothing. Older ones are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

APPLICATION_ID = 0x46534A4C
"""ASCII "FSJL"."""
VERSION = 3

# The link rule comes last in each, so that thousands of clips that may not go are passed over without a look at their rows.
_IN_ORDER = "CREATE INDEX clips_in_order ON clips (state, urgent DESC, priority DESC, seq, links, roaming)"
_WAITING = "CREATE INDEX clips_waiting ON clips (region_id, links, roaming, urgent) WHERE state = 'sealed'"

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
        CHECK ((state = 'dropped') = (drop_reason IS NOT NULL)),
        CHECK ((state = 'delivered') = (receipt IS NOT NULL))
    ) STRICT""",
    _IN_ORDER,
    _WAITING,
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
        CHECK ((clip_id IS NULL) <> (drop_reason IS NULL))
    ) STRICT""",
    "CREATE INDEX firings_of_clip ON firings (clip_id, campaign_id) WHERE clip_id IS NOT NULL",
    "CREATE INDEX firings_kept ON firings (campaign_id, wall_ns, clip_id) WHERE clip_id IS NOT NULL",
    """CREATE TABLE tallies (
        campaign_id TEXT NOT NULL,
        outcome TEXT NOT NULL,
        firings INTEGER NOT NULL,
        clips INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (campaign_id, outcome)
    ) STRICT, WITHOUT ROWID""",
    "CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
)

UPGRADES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        2: (
            "ALTER TABLE clips ADD COLUMN links TEXT NOT NULL DEFAULT 'unmetered'",
            "ALTER TABLE clips ADD COLUMN roaming INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE clips ADD COLUMN urgent INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE clips ADD COLUMN deadline_ns INTEGER",
            "DROP INDEX clips_in_order",
            _IN_ORDER,
            _WAITING,
        ),
    }
)
"""By version: what makes the next one of it."""

IN_PROGRESS = "in_progress"
DELIVERED = "delivered"
