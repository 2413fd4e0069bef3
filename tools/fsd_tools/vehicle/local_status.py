"""``fsdctl vehicle status`` on the vehicle: what its agent last wrote down, and what its files say. Asks nobody.

The agent's word counts while it is fresh: its age is taken on the computer's monotonic clock, so that a wall clock that
was set makes nothing fresh or stale. Else the files decide, as the agent would decide on them now.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from fsd_agent.adapters.key_files import KeyFileError, VehicleDir
from fsd_agent.adapters.ledger_disk import segment_paths
from fsd_agent.adapters.sqlite_reader import JournalReading
from fsd_agent.adapters.status_file import STATUS_FILE, boot_id, read_status
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.pipeline.residence import Belonging
from fsd_agent.pipeline.retention import STATE_KEY as HELD_SINCE
from fsd_agent.pipeline.tell_locally import belongs_of
from fsd_agent.ports.clock import Clock
from fsd_agent.ports.spool import SpoolError
from fsd_agent.records.local_status import Belongs, LocalStatus
from fsd_agent.wire.ledger import LedgerFormatError, decode_head
from fsd_agent.wire.local_status import LocalStatusError
from fsd_tools.vehicle.advice import ADVICE
from fsd_tools.vehicle.belonging import as_owner, belonging_of, read_kept

EXIT_ROUTE, EXIT_HOLD, EXIT_NOT_RUNNING = 0, 3, 4
FRESH_TIMES = 3
FRESH_MORE_S = 5.0
"""An agent that has missed two of its turns, and some, is not there any more."""


class Agent(StrEnum):
    """Whether the agent runs, by what it wrote down."""

    RUNNING = "running"
    ENDED = "ended"
    SILENT = "silent"
    """It should have written since: it was killed, or hangs."""
    UNKNOWN = "unknown"
    """It has written nothing that can be read."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Clips of one region that are on board."""

    clips: Mapping[str, int]
    """By state."""
    oldest_s: int | None
    """How long the oldest has waited, as far as that is known."""
    retention_days: int | None
    """How long it may; None where the region has no policy in force."""


@dataclass(frozen=True, slots=True)
class LedgerSize:
    """The ledger as it lies there, and the head that the agent signed last."""

    files: int
    bytes: int
    records: int | None
    root: str


@dataclass(frozen=True, slots=True)
class VehicleStatus:
    """Everything that is shown."""

    agent: Agent
    age_s: int | None
    """Of what it wrote down; None where that can't be told."""
    told: LocalStatus | None
    why_not_told: str
    belongs: Belongs
    """What counts now: the agent's word while it runs, else what the files say."""
    by_files: Belongs
    advice: str
    """What to do about a hold; empty where there is none."""
    policies: Mapping[str, int]
    refused_policies: Mapping[str, str]
    waiting: Mapping[str, Waiting]
    certificates: Mapping[str, str]
    """By region: the last moment of its validity (Unix seconds, decimal), or why it can't be read."""
    ledger: LedgerSize | None
    journal: str
    """Why the journal can't be read; empty where it can."""

    @property
    def exit_code(self) -> int:
        """See ``EXIT_*``."""
        if self.belongs.hold_reason:
            return EXIT_HOLD
        return EXIT_ROUTE if self.agent is Agent.RUNNING else EXIT_NOT_RUNNING


def vehicle_status(vehicle_dir: Path, data_dir: Path, clock: Clock) -> VehicleStatus:
    """Look at everything once. Raises :class:`ToolError` where the vehicle's own keys can't be read."""
    reading = read_kept(data_dir)
    now = belonging_of(vehicle_dir, reading, clock)
    told, why = _told(data_dir)
    agent, age_s = _alive(told, clock)
    by_files = belongs_of(now.where)
    belongs = told.belongs if told is not None and agent is Agent.RUNNING else by_files
    return VehicleStatus(
        agent=agent,
        age_s=age_s,
        told=told,
        why_not_told=why,
        belongs=belongs,
        by_files=by_files,
        advice=_advice(belongs.hold_reason),
        policies={policy.region_id: policy.version for policy in now.policies},
        refused_policies=dict(now.refused),
        waiting={} if isinstance(reading, str) else _waiting(reading, now, clock),
        certificates=_certificates(vehicle_dir),
        ledger=_ledger(data_dir / "ledger", told),
        journal=reading if isinstance(reading, str) else "",
    )


def _advice(reason: str) -> str:
    """Empty without a reason; a newer agent may have one that this program does not know."""
    known = {str(one): text for one, text in ADVICE.items()}
    return known.get(reason, "see docs/residency.md") if reason else ""


def _told(data_dir: Path) -> tuple[LocalStatus | None, str]:
    path = data_dir / STATUS_FILE
    try:
        with as_owner(data_dir):
            return read_status(path), ""
    except OSError as error:
        return None, f"{path}: {error.strerror}"
    except LocalStatusError as error:
        return None, f"{path}: {error}"


def _alive(told: LocalStatus | None, clock: Clock) -> tuple[Agent, int | None]:
    if told is None:
        return Agent.UNKNOWN, None
    same_start = bool(told.boot_id) and told.boot_id == boot_id()
    age_ns = clock.monotonic_ns() - told.mono_ns if same_start else clock.wall_ns() - told.wall_ns
    age_s = max(0, age_ns) // 1_000_000_000
    if told.ended:
        return Agent.ENDED, age_s
    is_fresh = same_start and age_s <= told.every_s * FRESH_TIMES + FRESH_MORE_S
    return Agent.RUNNING if is_fresh else Agent.SILENT, age_s


def _waiting(reading: JournalReading, now: Belonging, clock: Clock) -> dict[str, Waiting]:
    since = _held_since(reading)
    days = {policy.region_id: policy.retention_days for policy in now.policies}
    found: dict[str, Waiting] = {}
    for region_id in sorted({row.region_id for row in reading.live}):
        rows = [row for row in reading.live if row.region_id == region_id]
        oldest = min((since[row.clip_id] for row in rows if row.clip_id in since), default=None)
        oldest_s = None if oldest is None else max(0, clock.wall_ns() - oldest) // 1_000_000_000
        states = Counter(str(row.state) for row in rows)
        found[region_id] = Waiting(dict(sorted(states.items())), oldest_s, days.get(region_id))
    return found


def _held_since(reading: JournalReading) -> dict[str, int]:
    """What can't be read here is made anew by the agent, which tells it."""
    try:
        return msgspec.msgpack.decode(reading.state.get(HELD_SINCE, b"\x80"), type=dict[str, int])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _certificates(vehicle_dir: Path) -> dict[str, str]:
    files, found = TlsFiles(VehicleDir(vehicle_dir)), dict[str, str]()
    for region_id in files.regions():
        try:
            found[region_id] = str(files.until_ns(region_id) // 1_000_000_000)
        except KeyFileError as error:
            found[region_id] = f"can't be read: {error}"
    return found


def _ledger(folder: Path, told: LocalStatus | None) -> LedgerSize | None:
    """None where there is none, or where it can't be looked at."""
    records, root = None, ""
    if told is not None and told.ledger_head:
        try:
            head = decode_head(told.ledger_head).value
            records, root = head.size, head.root.hex()
        except LedgerFormatError as error:
            root = f"the head that the agent wrote down can't be read: {error}"
    try:
        with as_owner(folder):
            paths = segment_paths(folder)
            return LedgerSize(len(paths), sum(path.stat().st_size for path in paths), records, root)
    except (OSError, SpoolError):
        return None


def wall_age_s(wall_ns: int) -> int:
    """Seconds since a moment, by this computer's clock."""
    return max(0, time.time_ns() - wall_ns) // 1_000_000_000
