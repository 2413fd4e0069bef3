"""How many firings of each campaign, by region, came to which end: kept with every move, in the same transaction.

So that reporting costs the number of campaigns, not of firings. What is in progress is told apart by state, which few clips
are counted for: however many wait for delivery, only a handful are staged or captured.
"""

from __future__ import annotations

import sqlite3

from fsd_agent.adapters.sqlite_schema import DELIVERED, IN_PROGRESS
from fsd_agent.ports.journal import CampaignTotals
from fsd_agent.records.clip import ClipRow
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason

_FIRING = """
    INSERT INTO tallies (region_id, campaign_id, outcome, firings, clips, bytes) VALUES (?, ?, ?, 1, 0, 0)
    ON CONFLICT (region_id, campaign_id, outcome) DO UPDATE SET firings = firings + 1
"""
# "WHERE true" keeps SQLite's parser from reading ON CONFLICT as a join.
_CLIP = """
    INSERT INTO tallies (region_id, campaign_id, outcome, firings, clips, bytes)
        SELECT :region, campaign_id, :outcome, :sign * n, :clips, :bytes
        FROM (SELECT campaign_id, count(*) AS n FROM firings WHERE clip_id = :clip GROUP BY campaign_id)
        WHERE true
    ON CONFLICT (region_id, campaign_id, outcome) DO UPDATE SET
        firings = firings + excluded.firings, clips = clips + excluded.clips, bytes = bytes + excluded.bytes
"""
_UNSEALED = """
    SELECT clips.region_id, campaign_id,
        count(*) FILTER (WHERE state = 'staged'), count(*) FILTER (WHERE state = 'captured')
    FROM clips JOIN firings USING (clip_id) WHERE state IN ('staged', 'captured')
    GROUP BY clips.region_id, campaign_id
"""


def tally_firing(db: sqlite3.Connection, judged: JudgedFiring, region_id: str) -> None:
    """A firing is in progress, or was dropped at once."""
    db.execute(_FIRING, (region_id, judged.firing.campaign_id, judged.drop or IN_PROGRESS))


def tally_end(db: sqlite3.Connection, row: ClipRow, outcome: str, *, clips: int, size_bytes: int) -> None:
    """Move the firings of a clip from in progress to ``outcome``, for each of its campaigns."""
    of = {"clip": row.clip_id, "region": row.region_id}
    gone = of | {"outcome": IN_PROGRESS, "sign": -1, "clips": 0, "bytes": 0}
    come = of | {"outcome": outcome, "sign": 1, "clips": clips, "bytes": size_bytes}
    db.execute(_CLIP, gone)
    db.execute(_CLIP, come)


def read_totals(db: sqlite3.Connection) -> tuple[CampaignTotals, ...]:
    """Every campaign that ever fired, by region and id."""
    rows = db.execute("SELECT region_id, campaign_id, outcome, firings, clips, bytes FROM tallies").fetchall()
    unsealed = {(region_id, id_): counts for region_id, id_, *counts in db.execute(_UNSEALED)}
    found: dict[tuple[str, str], dict[str, tuple[int, int, int]]] = {}
    for region_id, campaign_id, outcome, *counts in rows:
        found.setdefault((region_id, campaign_id), {})[outcome] = (counts[0], counts[1], counts[2])
    return tuple(_totals(*of, found[of], *unsealed.get(of, (0, 0))) for of in sorted(found))


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
