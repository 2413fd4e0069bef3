"""The catalogue: what became of each clip, from everything that is known of it. Pure.

Ledger and journal may each be damaged, or behind the other (the ledger is written first), so whichever is further along
counts, in the order of :class:`State`. A clip that anything at all knows of is in the catalogue, once.

A copy can be had here of what was redacted and is still in the spool, and of nothing else:

    given up                                     -> no copy: it is erased, or about to be
    its sealed file and its compartment's key    -> HERE
    its sealed file without the key              -> the key was destroyed when consent was withdrawn
    delivered, and erased here                   -> the region has it
    recorded, not redacted                       -> not yet: other people can be recognised in it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.ledger import Copy
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.rules.audit.clip_account import ClipAccount


class State(StrEnum):
    """How far a clip has come; later ones outrank earlier ones."""

    UNKNOWN = "unknown"
    """A file of it is here, and no account of it can be read; or its account has lost its end."""
    RECORDING = "recording"
    NOT_REDACTED = "not_redacted"
    WAITS = "waits"
    """Redacted and sealed; waits to be sent."""
    SENT = "sent"
    """At least one connection was given it; no receipt yet."""
    GIVEN_UP = "given_up"
    DELIVERED = "delivered"
    """A receipt stands, whatever became of the clip here."""


class CopyState(StrEnum):
    """Whether a copy can be had on the vehicle; see the module."""

    HERE = "here"
    NOT_REDACTED_YET = "not_redacted_yet"
    KEY_DESTROYED = "key_destroyed"
    AT_REGION = "at_region"
    GIVEN_UP = "given_up"
    MISSING = "missing"
    """It should be here, and is not: it has just left, or was lost."""


@dataclass(frozen=True, slots=True)
class FiringFact:
    """A campaign's condition came true."""

    firing_id: str
    campaign_id: str
    campaign_version: int
    wall_ns: int
    saw: tuple[tuple[str, float | str], ...] = ()
    """What the condition saw; only the journal has it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A region's receipt for a clip."""

    region_id: str
    receipt_sha256: str
    stored_wall_ns: int | None
    """As the receipt says; None where it could not be verified."""
    why_not_verified: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip of the catalogue."""

    clip_id: str
    region_id: str
    purpose: Purpose | None
    state: State
    copy: CopyState
    on_board: bool
    """Whether the vehicle holds a file of it."""
    firings: tuple[FiringFact, ...]
    cameras: tuple[str, ...]
    signals: tuple[str, ...]
    size_bytes: int
    """Of the sealed file; 0 before sealing."""
    sha256: str
    """Of the sealed file, hexadecimal; empty before sealing."""
    rules: tuple[str, ...]
    """Of its redaction; none where that is not recorded any more, or not done yet."""
    location: str
    reason: str
    """Why it was given up."""
    delivery: Delivery | None


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is known, each by clip id. A source that can't be read is empty."""

    accounts: Mapping[str, ClipAccount] = field(default_factory=dict)
    rows: Mapping[str, ClipRow] = field(default_factory=dict)
    firings: Mapping[str, Sequence[FiringFact]] = field(default_factory=dict)
    deliveries: Mapping[str, Delivery] = field(default_factory=dict)
    sealed: Mapping[str, Compartment] = field(default_factory=dict)
    """Files in the spool."""
    staged: Mapping[str, Compartment] = field(default_factory=dict)
    """Files in staging."""
    keys: frozenset[Compartment] = frozenset()
    """Compartments that have a key."""


@dataclass(frozen=True, slots=True)
class Total:
    """Of one purpose; None where a clip's purpose is not known."""

    purpose: Purpose | None
    clips: int
    size_bytes: int
    states: Mapping[State, int]
    copies_here: int


_RANK: Final = {state: rank for rank, state in enumerate(State)}
_OF_ROW: Final = {
    ClipState.STAGED: State.RECORDING,
    ClipState.CAPTURED: State.NOT_REDACTED,
    ClipState.SEALED: State.WAITS,
    ClipState.DROPPED: State.GIVEN_UP,
    ClipState.DELIVERED: State.DELIVERED,
}


def catalogue(known: Known) -> tuple[Entry, ...]:
    """Every clip once, the oldest firing first."""
    files = known.sealed.keys() | known.staged.keys()
    ids = known.accounts.keys() | known.rows.keys() | known.firings.keys() | files
    entries = [_entry(clip_id, known) for clip_id in ids]
    return tuple(sorted(entries, key=lambda one: (min(_times(one), default=0), one.clip_id)))


def totals(entries: Sequence[Entry]) -> tuple[Total, ...]:
    """By purpose; only purposes that something was collected for."""
    found = []
    for purpose in (*Purpose, None):
        mine = [one for one in entries if one.purpose == purpose]
        if mine:
            here = sum(one.copy is CopyState.HERE for one in mine)
            states = Counter(one.state for one in mine)
            found.append(Total(purpose, len(mine), sum(one.size_bytes for one in mine), states, here))
    return tuple(found)


def _times(entry: Entry) -> list[int]:
    return [one.wall_ns for one in entry.firings]


def _entry(clip_id: str, known: Known) -> Entry:
    account, row = known.accounts.get(clip_id), known.rows.get(clip_id)
    place = known.sealed.get(clip_id) or known.staged.get(clip_id)
    state = max(_by_journal(row), _by_ledger(account, row), key=_RANK.__getitem__)
    redacted = account.redacted if account is not None else None
    purpose = row.purpose if row else account.purpose if account else None
    region_id = row.region_id if row else account.region_id if account else place.region_id if place else ""
    return Entry(
        clip_id=clip_id,
        region_id=region_id,
        purpose=purpose or (place.purpose if place else None),
        state=state,
        copy=copy_state(
            state,
            is_sealed=clip_id in known.sealed,
            is_staged=clip_id in known.staged,
            has_key=place in known.keys,
        ),
        on_board=place is not None,
        firings=tuple(known.firings.get(clip_id, ())),
        cameras=row.cameras if row else (),
        signals=row.signals if row else (),
        size_bytes=_size(account, row),
        sha256=_hash(account, row).hex(),
        rules=redacted.rules if redacted else (),
        location=redacted.location if redacted else "",
        reason=_reason(account, row) if state is State.GIVEN_UP else "",
        delivery=known.deliveries.get(clip_id),
    )


def copy_state(state: State, *, is_sealed: bool, is_staged: bool, has_key: bool) -> CopyState:
    """See the module; ``has_key`` is about the compartment that its file lies in."""
    if state is State.GIVEN_UP:
        return CopyState.GIVEN_UP
    if (is_sealed or is_staged) and not has_key and state is not State.DELIVERED:
        return CopyState.KEY_DESTROYED
    if is_sealed and has_key:
        return CopyState.HERE
    if state is State.DELIVERED:
        return CopyState.AT_REGION
    if is_staged:
        return CopyState.NOT_REDACTED_YET
    return CopyState.MISSING


def _by_journal(row: ClipRow | None) -> State:
    return _OF_ROW[row.state] if row is not None else State.UNKNOWN


def _by_ledger(account: ClipAccount | None, row: ClipRow | None) -> State:
    """The ledger does not say when a window closes: with a journal, the journal says so."""
    if account is None:
        return State.UNKNOWN
    if account.got_receipt:
        return State.DELIVERED
    if account.was_dropped:
        return State.GIVEN_UP
    if Copy.SEALED in account.copies:
        return State.SENT if account.was_sent else State.WAITS
    if Copy.STAGED in account.copies:
        return State.NOT_REDACTED if row is None else State.RECORDING
    return State.UNKNOWN


def _reason(account: ClipAccount | None, row: ClipRow | None) -> str:
    if account is not None and account.dropped is not None:
        return str(account.dropped.reason)
    if account is not None and account.before is not None and account.before.dropped:
        return account.before.dropped
    return str(row.drop) if row is not None and row.drop is not None else ""


def _size(account: ClipAccount | None, row: ClipRow | None) -> int:
    if row is not None and row.size_bytes:
        return row.size_bytes
    return account.sealed.size_bytes if account is not None and account.sealed is not None else 0


def _hash(account: ClipAccount | None, row: ClipRow | None) -> bytes:
    """The ledger is written first, and is the one that a receipt is compared with."""
    if account is not None and account.file is not None:
        return account.file[1]
    return row.sha256 if row is not None else b""
