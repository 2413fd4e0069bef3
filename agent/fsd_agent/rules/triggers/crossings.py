"""Which steps of a cascade to ask where a row's value crosses a number that they compare it with.

The numbers are *edges*, and a value lies in the gap of as many edges as are at most it. What is not known is a gap of
its own, and so is NaN, which is known but compares with nothing. Steps are bits of a whole number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import inf
from operator import or_
from typing import Final

_NAN: Final = -1
_UNKNOWN: Final = -2
"""What is no gap between edges."""
_FAR_EDGES: Final = 32
"""Edges crossed at once by which asking everyone is cheaper than asking who it is; it makes no other difference."""


@dataclass(slots=True, eq=False)
class Crossing:
    """One row, and the steps that compare it with numbers."""

    edges: list[float]
    """Increasing."""
    at_edge: list[int]
    """Steps that are asked where the row's value crosses the edge."""
    everyone: int
    """All of them."""
    gap: int = _UNKNOWN
    """How many edges are at most its value."""
    low: float = inf
    high: float = -inf
    """A known value of at least ``low`` and less than ``high`` is in the same gap; of what is no gap there is none."""

    def take(self, value: float, fresh: int, *, known: bool) -> int:
        """Take up a new value; the steps that are asked, those of them that are ``fresh`` in any case."""
        before = self.gap
        if not known:
            self.gap = _UNKNOWN
        else:
            self.gap = bisect_right(self.edges, value) if value == value else _NAN  # noqa: PLR0124 - NaN alone differs from itself
        if self.gap == before:
            return self.everyone & fresh
        self.low = inf if self.gap < 0 else (self.edges[self.gap - 1] if self.gap else -inf)
        self.high = -inf if self.gap < 0 else (self.edges[self.gap] if self.gap < len(self.edges) else inf)
        low, high = (before, self.gap) if before < self.gap else (self.gap, before)
        if low < 0 or high - low > _FAR_EDGES:
            return self.everyone
        asked = self.everyone & fresh
        for edge in range(low, high):
            asked |= self.at_edge[edge]
        return asked


def crossings_of(edges_of: Sequence[Mapping[int, Collection[float]]]) -> dict[int, Crossing]:
    """By row; ``edges_of[i]`` holds the edges of step i, by row."""
    by_row: dict[int, dict[float, int]] = {}
    for at, of_step in enumerate(edges_of):
        for row, edges in of_step.items():
            of_row = by_row.setdefault(row, {})
            for edge in edges:
                of_row[edge] = of_row.get(edge, 0) | 1 << at
    return {
        row: Crossing(edges := sorted(of_row), [of_row[edge] for edge in edges], reduce(or_, of_row.values()))
        for row, of_row in by_row.items()
    }
