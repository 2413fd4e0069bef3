"""After any stop, however sudden: what the journal and the files must do to agree again.

The journal is the truth; files follow it. The order of writing makes every crash one of these cases:
staging is synced before the firing is accepted; the sealed file is durable before the row says SEALED; staging
is erased after that; the sealed file is erased after the row says DELIVERED.

| row                 | staging file | sealed file (own region) | decision |
| --- | --- | --- | --- |
| STAGED              | yes | any | close the window, marked as cut; an unaccounted sealed file goes |
| STAGED, CAPTURED    | no  | any | drop: STAGING_LOST (the disk lost what it had confirmed) |
| CAPTURED            | yes | any | nothing: redaction and sealing go on; an unaccounted sealed file goes |
| SEALED              | any | yes | nothing is missing; staging goes |
| SEALED              | any | no  | drop: SPOOL_DAMAGED |
| DELIVERED, DROPPED  | any | any | what is left goes |
| none                | any | any | what is there goes: never journalled is never accepted |

A sealed file in another region's compartment than its row's is never accounted for. Carrying the decisions
out and deciding again gives no decision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.reasons import DropReason


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

    clip_id: str
    why: str


@dataclass(frozen=True, slots=True)
class EraseSealed:
    """Remove this sealed file."""

    region_id: str
    clip_id: str
    why: str


Action = CloseCut | Drop | EraseStaging | EraseSealed


def recover(
    rows: Iterable[ClipRow],
    staged: frozenset[str],
    sealed: frozenset[tuple[str, str]],
) -> tuple[Action, ...]:
    """Decide, for every row and every file, in the order in which to act: rows first, then files.

    ``rows``: all in a live state, and any others; a finished row that is not given is treated as none, with
    the same result. ``staged``: clip ids with a staging file. ``sealed``: (region id, clip id) with a file.
    """
    states: dict[str, ClipState] = {}
    wanted_staging: set[str] = set()
    wanted_sealed: set[tuple[str, str]] = set()
    actions: list[Action] = []
    for row in rows:
        place = (row.region_id, row.clip_id)
        decision = _judge(row, is_staged=row.clip_id in staged, is_sealed=place in sealed)
        if decision is not None:
            actions.append(decision)
        states[row.clip_id] = row.state
        if isinstance(decision, Drop):
            continue
        if row.state in {ClipState.STAGED, ClipState.CAPTURED}:
            wanted_staging.add(row.clip_id)
        elif row.state is ClipState.SEALED:
            wanted_sealed.add(place)
    actions += [
        EraseStaging(clip_id, _leftover("staging file", states.get(clip_id)))
        for clip_id in sorted(staged - wanted_staging)
    ]
    actions += [
        EraseSealed(region_id, clip_id, _leftover("sealed file", states.get(clip_id)))
        for region_id, clip_id in sorted(sealed - wanted_sealed)
    ]
    return tuple(actions)


def _judge(row: ClipRow, *, is_staged: bool, is_sealed: bool) -> CloseCut | Drop | None:
    """What becomes of the row itself."""
    if row.state in {ClipState.STAGED, ClipState.CAPTURED} and not is_staged:
        return Drop(row.clip_id, DropReason.STAGING_LOST, f"{row.state}, but its staging file is gone")
    if row.state is ClipState.STAGED:
        return CloseCut(row.clip_id, "its window was open when the agent stopped")
    if row.state is ClipState.SEALED and not is_sealed:
        where = f"region {row.region_id}"
        return Drop(row.clip_id, DropReason.SPOOL_DAMAGED, f"sealed, but its file for {where} is gone")
    return None


def _leftover(what: str, state: ClipState | None) -> str:
    """One line on why a file goes."""
    if state is None:
        return f"{what} of a clip that was never accepted or is long finished"
    return f"{what} not needed: the clip was {state} at the stop"
