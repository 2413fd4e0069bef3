"""Whether a condition is true."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Truth:
    """Of one condition, as of its newest evaluation. It is first evaluated where something that it refers to arrives."""

    position: int
    """Of its campaign."""
    is_true: bool = False
    evaluated: bool = False

    def carry(self, before: Truth) -> None:
        """Take over what was true in the set before."""
        self.is_true, self.evaluated = before.is_true, before.evaluated
