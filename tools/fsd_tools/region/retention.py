"""Removes stored clips, and what was told of firings, whose retention is over: ``fsdctl region retention``, and while a region is served.

The rule is that of vehicles (``rules.spool.retention``), counted from when the clip was stored, with the days of the
region's newest signed policy. While serving, a clock counts once it has gone on for five minutes without going back: one
that is set ahead by mistake, and set right, removes nothing. The command believes the clock that the operator sees.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from fsd_agent.adapters.key_files import KeyFileError, read_private
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.spool.retention import is_over
from fsd_agent.rules.trust.registration import BelievedClock
from fsd_agent.wire.moments import show_moment
from fsd_tools.errors import ToolError
from fsd_tools.region.expired import Expired
from fsd_tools.region.firings import FiringStore
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy
from fsd_tools.region.store import ClipStore, StoredClip, StoreError

PASS_EVERY_NS = 3_600_000_000_000
CLIPS_A_STEP = 100
"""Looked at before the region's messages have their turn again."""
OnEvent = Callable[[str, dict[str, str | int]], None]


class Keeper:
    """While a region is served: some clips at a time, on the receiver's thread."""

    def __init__(
        self,
        region: RegionDir,
        tell: OnEvent,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``tell`` gets ``expired`` and ``retention_failed``."""
        self._region = region
        self._tell = tell
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._clock = BelievedClock()
        self._proved_ns = 0
        self._next_ns = 0
        self._pass: Iterator[StoredClip | None] | None = None

    def step(self) -> None:
        """A part of a pass, if one is due; a fault ends the pass and is told, never the region."""
        now_ns = self._monotonic_ns()
        believed_ns = self._clock.look(monotonic_ns=now_ns, wall_ns=self._wall_ns())
        self._proved_ns = max(self._proved_ns, believed_ns or 0)
        if not self._proved_ns or (self._pass is None and now_ns < self._next_ns):
            return
        try:
            if self._pass is None:
                self._pass = _sweep(self._region, load_policy(self._region), self._proved_ns)
            if not self._go_on(self._pass):
                self._end(now_ns)
        except (ToolError, StoreError, SpoolError, OSError) as error:
            self._tell("retention_failed", {"reason": str(error)})
            self._end(now_ns)

    def _go_on(self, looked: Iterator[StoredClip | None]) -> bool:
        """Look at some; False where there are no more."""
        count = 0
        for clip in islice(looked, CLIPS_A_STEP):
            count += 1
            if clip is not None:
                self._tell("expired", {"vehicle": clip.vehicle, "clip": clip.clip_id})
        return count == CLIPS_A_STEP

    def _end(self, now_ns: int) -> None:
        self._pass, self._next_ns = None, now_ns + PASS_EVERY_NS


def _sweep(region: RegionDir, policy: RegionPolicy, now_ns: int) -> Iterator[StoredClip | None]:
    """Remove what is over; one for all that was looked at, a clip where that went."""
    for clip, is_gone in expire(region, policy, now_ns):
        yield clip if is_gone else None
    for _ in _told(region, policy, now_ns):
        yield None


def _told(region: RegionDir, policy: RegionPolicy, now_ns: int, *, dry_run: bool = False) -> Iterator[bool]:
    """Remove what was told of firings and is over; for each whether it went. Nothing of it stays."""
    days = policy.retention_days
    return FiringStore(region.firings).expire(proved_ns=now_ns, retention_days=days, dry_run=dry_run)


def expire(
    region: RegionDir, policy: RegionPolicy, now_ns: int, *, dry_run: bool = False
) -> Iterator[tuple[StoredClip, bool]]:
    """Remove what is over; every stored clip, and whether it went. Raises :class:`ToolError` and what the store raises."""
    try:
        key = b"" if dry_run else read_private(region.receipt_key, 32)
    except KeyFileError as error:
        raise ToolError(str(error)) from error
    expired = Expired(region.expired)
    for path in sorted(path for root in region.holding for path in root.glob("*/*.json")):
        clip = ClipStore(path.parent.parent).find(path.parent.name, path.stem)
        if clip is None:  # Removed by somebody else meanwhile
            continue
        days = policy.retention_days
        over = is_over(clip.stored_wall_ns, proved_ns=now_ns, retention_days=days)
        if over and not dry_run:
            expired.remove(path.parent.parent, clip, now_ns=now_ns, days=days, receipt_key=key)
        yield clip, over


def retention(
    directory: Path, *, dry_run: bool = False, json: Annotated[bool, Parameter(negative="")] = False
) -> int:
    """Remove stored clips and told firings that are older than the policy's retention_days; `region serve` does so every hour.

    Of each clip that goes a signed record stays, which `fsdctl audit verify` reads.

    Example: fsdctl region retention ./cn --dry-run

    Parameters
    ----------
    directory
        The region's directory.
    dry_run
        Say what would go, and remove nothing.
    json
        One JSON object a clip.
    """
    region, now_ns = RegionDir(directory), time.time_ns()
    policy = load_policy(region)
    if now_ns < policy.issued_wall_ns:
        signed = show_moment(policy.issued_wall_ns)
        raise ToolError(
            f"the clock says {show_moment(now_ns)}, but the policy was signed at {signed}: set the clock"
        )
    gone = kept = 0
    try:
        for clip, over in expire(region, policy, now_ns, dry_run=dry_run):
            kept += not over
            if over:
                gone += 1
                _show(clip, removed=not dry_run, as_json=json)
        told = list(_told(region, policy, now_ns, dry_run=dry_run))
    except (StoreError, SpoolError, OSError) as error:
        raise ToolError(f"after {gone} clips: {error}") from error
    if not json:
        did = "would go" if dry_run else "removed"
        print(f"{gone} clips {did}, {kept} stay; retention is {policy.retention_days} days")
        if told:
            print(f"{sum(told)} firings that vehicles told of {did}, {len(told) - sum(told)} stay")
    return 0


def _show(clip: StoredClip, *, removed: bool, as_json: bool) -> None:
    if as_json:
        facts = {"clip": clip.clip_id, "vehicle": clip.vehicle, "bytes": clip.clip_bytes}
        times = {"stored_wall_ns": clip.stored_wall_ns, "removed": removed}
        print(msgspec.json.encode(facts | times).decode(), flush=True)
    else:
        stored = show_moment(clip.stored_wall_ns)
        print(f"{clip.vehicle} {clip.clip_id} stored {stored}, {clip.clip_bytes} bytes", flush=True)
