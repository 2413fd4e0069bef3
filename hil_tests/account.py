"""The account after an agent was stopped many times: every firing that it ever accepted, and where it ended.

An accepted firing is one that the agent told as ``fired`` with a clip (which it does after ``Journal.accept`` returned) or that its
journal holds. Each must end in exactly one clip that the region has stored once and that opens, or as a drop with a reason
that is a decision. A reason that says that something was lost on the way (:data:`LOSSES`) is none. The region must have been
told of each by itself, once, or is still to be told. The ledger, through all of it, must pass its audit and say the same, clip
by clip.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsd_agent.adapters.sqlite_journal import SqliteJournal
from fsd_agent.ports.journal import MAX_UNTOLD
from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.firing import JudgedFiring
from fsd_agent.records.reasons import DropReason
from fsd_agent.wire.clip import ClipFormatError, decode_clip
from fsd_tools.errors import ToolError
from fsd_tools.region.firings import FiringStore
from fsd_tools.rig.rig import Rig

LOSSES = frozenset(
    {
        DropReason.DISK_FULL,
        DropReason.NO_KEY,
        DropReason.STAGING_LOST,
        DropReason.LEDGER_FAILED,
        DropReason.NEVER_ACCEPTED,
        DropReason.REDACTION_FAILED,
        DropReason.VIDEO_DAMAGED,
        DropReason.SEAL_FAILED,
        DropReason.SPOOL_DAMAGED,
        DropReason.REFUSED_BY_REGION,
    }
)
"""On a disk with room and with all its parts in order, none of these is anybody's decision."""

UNFINISHED = frozenset({ClipState.STAGED, ClipState.CAPTURED, ClipState.SEALED})


@dataclass(frozen=True, slots=True)
class Told:
    """One firing, as the agent told it."""

    campaign: str
    event_ns: int
    firing: str
    clip: str | None
    """None where it was dropped at once: told, and never accepted."""


@dataclass(slots=True)
class Starts:
    """What one vehicle told over all its starts."""

    fired: list[list[Told]] = field(default_factory=list)
    """For each start, in the order told."""

    def begin(self) -> None:
        """The agent is started once more."""
        self.fired.append([])

    def hear(self, event: Mapping[str, Any]) -> None:
        """Remember firings."""
        if event["event"] == "fired":
            one = Told(event["campaign"], event["event_ns"], event["firing"], event.get("clip"))
            self.fired[-1].append(one)


class Stored:
    """What a region told that it has stored."""

    def __init__(self) -> None:
        self._clips: Counter[str] = Counter()
        self._lock = threading.Lock()

    def hear(self, event: Mapping[str, Any]) -> None:
        """An event of the region, from any thread."""
        if event["event"] == "stored":
            with self._lock:
                self._clips[event["clip"]] += 1

    def times(self, clip_id: str) -> int:
        """How often a clip was stored."""
        with self._lock:
            return self._clips[clip_id]

    def total(self) -> int:
        """Of all vehicles."""
        with self._lock:
            return self._clips.total()


@dataclass(slots=True)
class Account:
    """What became of one vehicle's firings."""

    firings: int = 0
    clips: int = 0
    """At the region."""
    told: int = 0
    """Firings that the region was told of by themselves."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Firings, by reason."""
    records: Counter[str] = field(default_factory=Counter)
    """Of the ledger, by kind."""
    in_ledger_alone: int = 0
    """Firings whose acceptance was cut off between ledger and journal: nobody was told of them."""
    wrong: list[str] = field(default_factory=list)
    """What must not be; empty is the proof."""

    def must(self, holds: bool, otherwise: str) -> None:
        """Note what is wrong."""
        if not holds:
            self.wrong.append(otherwise)


@dataclass(frozen=True, slots=True)
class _Journal:
    """What it holds at the end."""

    rows: tuple[ClipRow, ...]
    firings: dict[str, tuple[JudgedFiring, ...]]
    """By clip."""
    untold: set[str]
    """Firings that the region is still to be told of."""
    told: set[str]
    """Firings that the region was told of, as it holds them."""

    def delivered(self) -> set[str]:
        return {row.clip_id for row in self.rows if row.state is ClipState.DELIVERED}

    def withdrawn(self) -> set[str]:
        return {row.clip_id for row in self.rows if row.drop is DropReason.CONSENT_WITHDRAWN}

    def ids(self) -> set[str]:
        return {judged.firing_id for firings in self.firings.values() for judged in firings}


def account(rig: Rig, region_id: str, vehicle: str, starts: Starts, stored: Stored, *, whole: int) -> Account:
    """The account of one vehicle whose agent has ended; ``whole``: the start that lived to its end."""
    found = Account()
    _check_starts(found, starts, whole)
    journal = _read_journal(rig, region_id, vehicle, found)
    told = {one.firing for start in starts.fired for one in start if one.clip is not None}
    missing = told - journal.ids()
    found.must(not missing, f"accepted, and not in the journal: {sorted(missing)}")
    _check_store(found, rig.region(region_id).store / vehicle, journal, stored)
    _check_ledger(found, rig, region_id, vehicle, journal)
    return found


def _check_starts(found: Account, starts: Starts, whole: int) -> None:
    fires = [(one.campaign, one.event_ns) for one in starts.fired[whole]]
    found.must(bool(fires), "the drive fires nothing: the test would prove nothing")
    for number, start in enumerate(starts.fired):
        began = [(one.campaign, one.event_ns) for one in start]
        found.must(began == fires[: len(began)], f"start {number} skipped or repeated a firing: {began}")


def _read_journal(rig: Rig, region_id: str, vehicle: str, found: Account) -> _Journal:
    journal = SqliteJournal(rig.vehicle(vehicle).data / "journal.db")
    try:
        totals, rows = journal.totals(), journal.clips(set(ClipState))
        firings = {row.clip_id: journal.firings_of(row.clip_id) for row in rows}
        untold = {one.judged.firing_id for one in journal.untold(region_id, limit=MAX_UNTOLD)}
        found.must(journal.never_told(region_id) == 0, "firings were never told, for want of room")
    finally:
        journal.close()
    told = {one.firing: one.told for one in FiringStore(rig.region(region_id).firings).of(vehicle)}
    kept = {judged.firing_id: judged.clip_id for each in firings.values() for judged in each}
    for firing, said in told.items():
        found.must(
            said.clip_id == kept.get(firing), f"firing {firing}: the region was told of {said.clip_id}"
        )
    for row in rows:
        found.must(row.state not in UNFINISHED, f"clip {row.clip_id} is {row.state} at the end")
        if row.drop in LOSSES:
            found.must(False, f"clip {row.clip_id} was lost: {row.drop}: {row.drop_detail}")
    for one in totals:
        dropped = sum(count for _, count in one.dropped)
        found.firings += one.fired
        found.dropped.update({str(reason): count for reason, count in one.dropped})
        found.must(one.in_progress == 0, f"{one.campaign_id}: {one.in_progress} firings in progress")
        found.must(one.fired == one.delivered + dropped, f"{one.campaign_id}: the totals do not add up")
        for reason, count in one.dropped:
            found.must(reason not in LOSSES, f"{one.campaign_id}: {count} firings lost: {reason}")
    delivered = sum(len(firings[row.clip_id]) for row in rows if row.state is ClipState.DELIVERED)
    counted = sum(one.delivered for one in totals)
    found.must(delivered == counted, f"{counted} firings counted as delivered, {delivered} are")
    return _Journal(rows, firings, untold, set(told))


def _check_told(found: Account, journal: _Journal, withdrawn: set[str]) -> None:
    """Every accepted firing is at the region, or still to be told; but for purposes that were withdrawn once."""
    found.told = len(journal.told)
    rows = [row for row in journal.rows if row.purpose not in withdrawn]
    accepted = {judged.firing_id for row in rows for judged in journal.firings[row.clip_id]}
    lost = accepted - journal.told - journal.untold
    found.must(not lost, f"neither told nor to be told: {sorted(lost)}")


def _check_store(found: Account, store: Path, journal: _Journal, stored: Stored) -> None:
    """The region holds what the journal says was delivered, each once, and each opens.

    It may have a clip, too, that it stored before consent was withdrawn, and whose receipt never came.
    """
    delivered = journal.delivered()
    held = {path.stem for path in store.glob("*.mcap")}
    found.clips = len(held)
    found.must(delivered <= held, f"delivered, and not at the region: {sorted(delivered - held)}")
    more = held - delivered - journal.withdrawn()
    found.must(not more, f"at the region, and not delivered: {sorted(more)}")
    seen: Counter[str] = Counter()
    for clip_id in sorted(held & journal.firings.keys()):
        found.must(stored.times(clip_id) == 1, f"clip {clip_id}: stored {stored.times(clip_id)} times")
        try:
            contents = decode_clip((store / f"{clip_id}.mcap").read_bytes())
        except ClipFormatError as error:
            found.must(False, f"clip {clip_id} does not open: {error}")
            continue
        found.must(bool(contents.packets), f"clip {clip_id} has no video")
        in_clip = {str(firing["firing"]) for firing in contents.firings}
        expected = {judged.firing_id for judged in journal.firings[clip_id]}
        found.must(in_clip == expected, f"clip {clip_id}: firings {in_clip}, not {expected}")
        seen.update(in_clip)
    twice = sorted(firing for firing, count in seen.items() if count > 1)
    found.must(not twice, f"in two clips: {twice}")


def _check_ledger(found: Account, rig: Rig, region_id: str, vehicle: str, journal: _Journal) -> None:
    """The ledger proves the same as the journal, clip by clip."""
    ledger, region = rig.vehicle(vehicle).ledger, rig.region(region_id).root
    try:
        said = json.loads(rig.fsdctl("audit", "verify", ledger, "--receipts", region, "--json"))
        shown = rig.fsdctl("audit", "show", ledger, "--json").splitlines()
    except ToolError as error:
        found.must(False, f"the audit: {error}")
        return
    found.must(said["heads_told"] >= 1, "the region was never told a head of the ledger")
    where = {one["clip"]: one["where"] for one in said["clips"]}
    delivered = journal.delivered()
    by_ledger = {clip for clip, at in where.items() if at == "at the region"}
    differ = by_ledger ^ delivered
    found.must(not differ, f"ledger and journal differ over {sorted(differ)}")
    elsewhere = {clip: at for clip, at in where.items() if at not in {"at the region", "erased"}}
    found.must(not elsewhere, f"by the ledger still somewhere: {elsewhere}")
    records = [json.loads(line) for line in shown]
    recorded = {one["firing_id"] for one in records if one["kind"] == "Fired"}
    found.records = Counter(one["kind"] for one in records)
    found.in_ledger_alone = len(recorded - journal.ids())
    sent = {one["firing_id"] for one in records if one["kind"] == "FiringSent"}
    withdrawn = {one["purpose"] for one in records if one["kind"] == "ConsentChanged" and not one["given"]}
    _check_told(found, journal, withdrawn)
    found.must(journal.told <= sent, f"told, and not recorded before: {sorted(journal.told - sent)}")
    missing = journal.ids() - recorded
    found.must(not missing, f"the journal keeps firings that the ledger does not have: {sorted(missing)}")
