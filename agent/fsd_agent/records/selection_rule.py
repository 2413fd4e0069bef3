"""Which verdicts may throw a finished clip away, and how much of it is kept, said by its campaigns.

The defaults are a campaign's that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from typing import Final


class Fault(StrEnum):
    """What may be wrong with a camera's pictures; ``rules.selection.quality`` says when. The first counts that applies."""

    MISSING = "missing"
    """There is not one picture of it."""
    BLACK = "black"
    """Nothing can be seen at all: darker than any street at night with a lamp or a headlight in it."""
    FROZEN = "frozen"
    """The same picture again and again."""
    DARK = "dark"
    """Night, or nearly. Thrown away only where a campaign asks for it."""
    OVEREXPOSED = "overexposed"
    BLURRED = "blurred"
    DIRTY = "dirty"
    """A good part of the lens is covered."""


class Cameras(StrEnum):
    """Of how many of its cameras a clip must be good."""

    ANY = "any"
    """One good one is worth it."""
    ALL = "all"
    """One bad one spoils it: for campaigns that compare cameras."""


USUAL: Final = frozenset(Fault) - {Fault.DARK}
"""Night is no fault."""


@dataclass(frozen=True, slots=True)
class SelectionRule:
    """Of a campaign, or of a clip."""

    reject: frozenset[Fault] = USUAL
    """Faults for which a clip is dropped; none of them: its quality is never asked about."""
    cameras: Cameras = Cameras.ANY
    confirm: bool = True
    """What the condition saw is looked for a second time, and a clip without it is dropped. Not for campaigns that are
    about the detector's own mistakes."""
    keep_ns: int | None = None
    """A longer clip is cut to its most promising so many nanoseconds; None keeps all of it."""


SELECTS_AS_USUAL: Final = SelectionRule()
"""Of a campaign that says nothing."""
KEEPS_ALL: Final = SelectionRule(frozenset(), Cameras.ANY, confirm=False)
"""Nothing may throw the clip away."""


def mildest(rules: Iterable[SelectionRule]) -> SelectionRule:
    """The rule of a clip that several are for: it, or a second of it, goes only where each of them would let it go. Of none: it stays."""
    found = tuple(rules)
    return reduce(_milder, found) if found else KEEPS_ALL


def _milder(one: SelectionRule, other: SelectionRule) -> SelectionRule:
    return SelectionRule(
        reject=one.reject & other.reject,
        cameras=Cameras.ALL if {one.cameras, other.cameras} == {Cameras.ALL} else Cameras.ANY,
        confirm=one.confirm and other.confirm,
        keep_ns=None if one.keep_ns is None or other.keep_ns is None else max(one.keep_ns, other.keep_ns),
    )
