"""The history of holds: for which reasons the vehicle belonged nowhere, since when, and for how long. Bounded.

A hold lasts as long as its reason stays the same. Its length is the time that the agent ran and held, on the clock that
nobody sets: a wall clock that is set right is often what ends a hold, and would make it decades long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fsd_agent.records.region import HoldReason
from fsd_agent.records.status import HoldSpan

HOLDS_MAX = 16


def after(
    spans: Sequence[HoldSpan], reason: HoldReason | None, *, wall_ns: int, elapsed_ns: int
) -> tuple[HoldSpan, ...]:
    """The history once the vehicle holds for ``reason``, or belongs somewhere (None); ``elapsed_ns`` after the look before.

    The newest is the last, and the only one that may be open; the oldest ones go.
    """
    before, last = list(spans[:-1]), spans[-1] if spans else None
    if last is not None and not last.until_wall_ns:
        last = replace(last, held_ns=last.held_ns + elapsed_ns)
        if reason == last.reason:
            return (*before, last)
        last = replace(last, until_wall_ns=max(1, wall_ns))
    closed = before if last is None else [*before, last]
    opened = [] if reason is None else [HoldSpan(str(reason), wall_ns, 0, 0)]
    return tuple((closed + opened)[-HOLDS_MAX:])
