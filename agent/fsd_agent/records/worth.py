"""What a clip is worth among those of one priority: a number from 0 to 1, what it is made of, and why it is that.

A clip's value orders what is given up where room is short and what is sent next. It is the weighted mean of named parts,
each from 0 to 1 (``rules.selection.parts``), with the weights of the campaign that it was kept for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Final

WEIGHT_MOST: Final = 100.0
"""Only what weights are to each other counts; two digits each way are plenty."""


class Part(StrEnum):
    """What a value is made of; ``docs/selection.md`` says what each is."""

    BEGINS_TO_CROSS = "begins_to_cross"
    RARITY = "rarity"
    MOTION = "motion"
    CLOSENESS = "closeness"
    UNCERTAINTY = "uncertainty"
    DISAGREEMENT = "disagreement"


class Valued(StrEnum):
    """Whether a clip was valued, or why its value says little; the journal stores it."""

    NOT_YET = ""
    """Its window is open, or its turn did not come yet."""
    VALUED = "valued"
    NO_MOTION = "no_motion"
    """Valued, but nobody said how the car moved: what depends on it counts as unknown."""
    NO_DETECTIONS = "no_detections"
    """Nobody looked at its cameras: 0 but for what the car's motion gives."""
    FAILED = "failed"
    """Valuing it failed: 0. The clip is none the worse."""
    EARLIER = "earlier"
    """Kept by software that valued nothing: 0."""
    WITHHELD = "withheld"
    """Only in a clip that leaves: its region may not be told what was seen or how the car moved."""


class WeightsError(ValueError):
    """Weights that say nothing; the message names the part."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts, by the order of :class:`Part`. Raises :class:`WeightsError`.

    The defaults are a campaign's that says nothing: the one head that was measured leads, and the rest decides among
    what it holds equal. More of closeness finds fewer true clips (docs/selection.md).
    """

    begins_to_cross: float = 8.0
    rarity: float = 0.25
    motion: float = 0.25
    closeness: float = 0.25
    uncertainty: float = 0.125
    disagreement: float = 0.125

    def __post_init__(self) -> None:
        for part, weight in self.items():
            if not (math.isfinite(weight) and 0 <= weight <= WEIGHT_MOST):
                raise WeightsError(f"{part}: {weight!r}: a weight is a number from 0 to {WEIGHT_MOST:g}")
        if not sum(weight for _, weight in self.items()):
            raise WeightsError("every weight is 0: at least one part must count")

    def items(self) -> Iterator[tuple[Part, float]]:
        """Each part with its weight."""
        return zip(Part, astuple(self), strict=True)


DEFAULT_WEIGHTS: Final = Weights()
"""Of a campaign that says nothing."""


@dataclass(frozen=True, slots=True)
class Worth:
    """One clip's."""

    value: float = 0.0
    """0 to 1."""
    why: Valued = Valued.NOT_YET
    parts: tuple[tuple[str, float], ...] = ()
    """What it was made of, by :class:`Part`; each 0 to 1."""
    best_ns: int | None = None
    """When its most promising window begins (``rules.selection.span``); None where nobody can say."""

    @property
    def known(self) -> float | None:
        """The value; None where the clip was not valued yet."""
        return None if self.why is Valued.NOT_YET else self.value


NOT_VALUED: Final = Worth()
