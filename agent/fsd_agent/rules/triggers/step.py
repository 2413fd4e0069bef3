"""What is asked when something arrives: a function that looks back, or a condition."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from fsd_agent.rules.triggers.expressions.scalars import Ask
from fsd_agent.rules.triggers.past.temporal import Temporal

Failed = Callable[[Exception], None]
"""Told of a step that raised."""


@dataclass(slots=True, eq=False)
class Truth:
    """Whether a condition is true, as of its newest evaluation.

    It is first evaluated where something that it refers to arrives; until then it is not true.
    """

    position: int
    """Of its campaign."""
    is_true: bool = False
    evaluated: bool = False

    def carry(self, before: Truth) -> None:
        """Take over what was true in the set before."""
        self.is_true, self.evaluated = before.is_true, before.evaluated


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One of them. It has a memory and a row, or a truth."""

    ask: Ask
    """Its argument, or whether it is true."""
    every: frozenset[int]
    """Rows whose every event it is asked about."""
    rows: frozenset[int]
    """Rows that it is asked about where their value changes."""
    edges: Mapping[int, Collection[float]]
    """Rows that it only compares with numbers: the values at which its answer may change."""
    failed: Failed
    memory: Temporal | None = None
    """Of a node that looks back."""
    row: int = -1
    """Of its result."""
    reads: int = -1
    """The row that is its argument, where it is no more than that."""
    truth: Truth | None = None
    """Of a condition."""
    many: bool = False
    """Whether it can be asked at many instants at once, with others (``conditions.bank``)."""

    @property
    def begun(self) -> bool:
        """Whether it has ever been asked."""
        if self.memory is not None:
            return self.memory.begun
        return self.truth is not None and self.truth.evaluated
