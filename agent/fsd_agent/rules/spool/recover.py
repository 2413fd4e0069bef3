"""After any stop, however sudden: what the journal and the files must do to agree again.

The journal is the truth; files follow it. The order of writing makes every crash one of these cases:
staging is synced before the firing is accepted; the sealed file is durable before the row says SEALED; staging
is erased after that; the sealed file is erased after the row says DELIVERED.

| row                 | staging file | sealed file | decision |
| --- | --- | --- | --- |
| STAGED              | yes | any | close the window, marked as cut; an unaccounted sealed file goes |
| STAGED, CAPTURED    | no  | any | drop: STAGING_LOST (the disk lost what it had confirmed) |
| CAPTURED            | yes | any | nothing: redaction and sealing go on; an unaccounted sealed file goes |
| SEALED              | any | yes | nothing is missing; staging goes |
| SEALED              | any | no  | drop: SPOOL_DAMAGED |
| DELIVERED, DROPPED  | any | any | what is left goes |
| none                | any | any | what is there goes: never journalled is never accepted |

Before that, a live row whose purpose is not consented to is dropped: CONSENT_WITHDRAWN. A file counts where it lies in
its row's compartment and that has a key: in another compartment, or without its key, it is noise. Carrying the decisions
out and deciding again gives no decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fsd_agent.records.clip import ClipPlace, ClipRow, ClipState
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.rules.spool.lifecycle import LIVE

Place = tuple[Compartment, str]
"""Compartment and clip id."""


@dataclass(frozen=True, slots=True)
class CloseCut:
    """Finish this clip with what was captured; it is marked as cut."""

    clip_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Give this clip up."""

    clip_id: str
    reason: DropReason
    why: str


@dataclass(frozen=True, slots=True)
class EraseStaging:
    """Remove this staging file."""

    compartment: Compartment
    clip_id: str
    why: str


@dataclass(frozen=True, slots=True)
class EraseSealed:
    """Remove this sealed file."""

    compartment: Compartment
    clip_id: str
    why: str


Action = CloseCut | Drop | EraseStaging | EraseSealed


def recover(
    rows: Iterable[ClipRow | ClipPlace],
    staged: frozenset[Place],
    sealed: frozenset[Place],
    *,
    keys: frozenset[Compartment],
    consented: frozenset[Purpose],
) -> tuple[Action, ...]:
    """Decide, for every row and every file, in the order in which to act: rows first, then files.

    ``rows``: all in a live state, and any others; a finished row that is not given is treated as none, with
    the same result. ``staged`` and ``sealed``: where there are files. ``keys``: compartments that have one.
    """
    states: dict[str, ClipState] = {}
    staging_left, sealed_left = set(staged), set(sealed)
    actions: list[Action] = []
    for row in rows:
        place, has_key = (row.compartment, row.clip_id), row.compartment in keys
        if row.state in LIVE and row.purpose not in consented:
            why = f"consent to {row.purpose} was withdrawn"
            decision: CloseCut | Drop | None = Drop(row.clip_id, DropReason.CONSENT_WITHDRAWN, why)
        else:
            decision = _judge(
                row, is_staged=has_key and place in staged, is_sealed=has_key and place in sealed
            )
        if decision is not None:
            actions.append(decision)
        states[row.clip_id] = row.state
        if isinstance(decision, Drop):
            continue
        if row.state in {ClipState.STAGED, ClipState.CAPTURED}:
            staging_left.discard(place)
        elif row.state is ClipState.SEALED:
            sealed_left.discard(place)
    actions += [
        EraseStaging(*place, _leftover("staging file", states.get(place[1])))
        for place in sorted(staging_left)
    ]
    actions += [
        EraseSealed(*place, _leftover("sealed file", states.get(place[1]))) for place in sorted(sealed_left)
    ]
    return tuple(actions)


def _judge(row: ClipRow | ClipPlace, *, is_staged: bool, is_sealed: bool) -> CloseCut | Drop | None:
    """What becomes of the row itself."""
    if row.state in {ClipState.STAGED, ClipState.CAPTURED} and not is_staged:
        return Drop(
            row.clip_id, DropReason.STAGING_LOST, f"{row.state}, but its staging file or its key is gone"
        )
    if row.state is ClipState.STAGED:
        return CloseCut(row.clip_id, "its window was open when the agent stopped")
    if row.state is ClipState.SEALED and not is_sealed:
        where = f"region {row.region_id}"
        return Drop(
            row.clip_id, DropReason.SPOOL_DAMAGED, f"sealed, but its file for {where} or its key is gone"
        )
    return None


def _leftover(what: str, state: ClipState | None) -> str:
    """One line on why a file goes."""
    if state is None:
        return f"{what} of a clip that was never accepted or is long finished"
    return f"{what} not needed: the clip was {state} at the stop"
