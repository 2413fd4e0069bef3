"""What a change of consent asks for.

The order of the acts is what makes a stop in between harmless:

1. withdrawals are recorded;
2. keys of compartments whose purpose is not consented to are destroyed: from here on everything in them is noise; no region
   is to be told any more of firings of such a purpose;
3. clips of such purposes are given up, and their files erased;
4. consent that is new is recorded, once nothing from before is left: no clip, no key.

So at every moment: what is recorded as withdrawn stays withdrawn; a key is gone only after the record of why; and what
lies there of a purpose without consent, after whatever stop, is to be erased. Carrying the acts out and deciding again
gives nothing to do, or, at last, the consent that waited.

While nobody can say what the user consents to (``wanted`` is None) nothing changes; only what was withdrawn before goes on
to be erased. Nothing may be done for any purpose then; erasing takes the user's word, for it can't be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fsd_agent.records.clip import ClipRow
from fsd_agent.records.purpose import Compartment, Purpose


@dataclass(frozen=True, slots=True)
class ConsentActs:
    """In the order of the members; see the module."""

    withdraw: tuple[Purpose, ...]
    destroy: tuple[Compartment, ...]
    give_up: tuple[str, ...]
    """Clip ids."""
    give: tuple[Purpose, ...]


def consent_acts(
    in_force: frozenset[Purpose],
    wanted: frozenset[Purpose] | None,
    *,
    clips: Iterable[ClipRow],
    keys: Iterable[Compartment],
) -> ConsentActs:
    """Decide.

    ``in_force``: as recorded. ``clips``: those that are on the vehicle (live states). ``keys``: compartments that have
    one.
    """
    stays = in_force if wanted is None else in_force & wanted
    destroy = tuple(sorted(key for key in keys if key.purpose not in stays))
    left = [row for row in clips if row.purpose not in stays]
    busy = {key.purpose for key in destroy} | {row.purpose for row in left}
    return ConsentActs(
        withdraw=tuple(sorted(in_force - stays)),
        destroy=destroy,
        give_up=tuple(row.clip_id for row in left),
        give=tuple(sorted((wanted or frozenset()) - in_force - busy)),
    )
