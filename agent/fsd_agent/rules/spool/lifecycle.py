"""The way of a clip through the journal, as a table, and what a second firing may change of it.

    STAGED --> CAPTURED --> SEALED --> DELIVERED
       |          |           |
       +----------+-----------+------> DROPPED (with a reason)

Nothing leaves DELIVERED or DROPPED, and nothing goes back: a step that failed is tried again from where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from fsd_agent.records.clip import ClipRow, ClipState
from fsd_agent.records.link_rule import wider as wider_rule

TRANSITIONS: Mapping[ClipState, frozenset[ClipState]] = MappingProxyType(
    {
        ClipState.STAGED: frozenset({ClipState.CAPTURED, ClipState.DROPPED}),
        ClipState.CAPTURED: frozenset({ClipState.SEALED, ClipState.DROPPED}),
        ClipState.SEALED: frozenset({ClipState.DELIVERED, ClipState.DROPPED}),
        ClipState.DELIVERED: frozenset(),
        ClipState.DROPPED: frozenset(),
    },
)

LIVE: frozenset[ClipState] = frozenset(state for state, after in TRANSITIONS.items() if after)
"""States in which the vehicle still owes the clip something."""


def may_move(before: ClipState, after: ClipState) -> bool:
    """Whether the table has this step."""
    return after in TRANSITIONS[before]


def refuse_move(clip_id: str, before: ClipState | None, after: ClipState) -> str | None:
    """Why a clip in ``before`` (None: unknown) can't go to ``after``; None when it can."""
    if before is None:
        return f"clip {clip_id}: unknown, can't become {after}"
    if not may_move(before, after):
        return f"clip {clip_id}: is {before}, can't become {after}"
    return None


def widen(known: ClipRow, wider: ClipRow) -> ClipRow:
    """A STAGED clip after another firing joined it: the union of both windows and sources, and the wider link rule.

    Its compartment was fixed by the first firing. Raises ValueError when ``wider`` is of another region or purpose.
    """
    if wider.compartment != known.compartment:
        raise ValueError(
            f"clip {known.clip_id}: belongs to {known.compartment} for good, not to {wider.compartment}"
        )
    return replace(
        known,
        start_ns=min(known.start_ns, wider.start_ns),
        end_ns=max(known.end_ns, wider.end_ns),
        cameras=tuple(dict.fromkeys(known.cameras + wider.cameras)),
        signals=tuple(dict.fromkeys(known.signals + wider.signals)),
        priority=max(known.priority, wider.priority),
        link=wider_rule(known.link, wider.link),
    )
