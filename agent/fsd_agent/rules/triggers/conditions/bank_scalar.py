"""Conditions as closures over the newest values: the way to ask a few of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fsd_agent.rules.triggers.conditions.bank_tree import Every, Leaf, Test, Tree

Check = Callable[[], bool]
"""Whether a condition is true of the newest values."""


@dataclass(frozen=True, slots=True, eq=False)
class Newest:
    """The newest value of each place, which changes in place."""

    value: list[float]
    """NaN where it is not known."""
    known: list[bool]


def check_of(tree: Tree, places: Mapping[int, int], newest: Newest) -> Check:
    """The closure of a condition; ``places`` says where the value of a row is kept."""
    if isinstance(tree, Leaf):
        return _test(tree, places[tree.row], newest)
    parts = [check_of(part, places, newest) for part in tree.parts]
    if isinstance(tree, Every):
        return _every(parts)
    return _some(parts)


def _every(parts: list[Check]) -> Check:
    if len(parts) == 2:
        first, second = parts
        return lambda: first() and second()
    return lambda: all(part() for part in parts)


def _some(parts: list[Check]) -> Check:
    if len(parts) == 2:
        first, second = parts
        return lambda: first() or second()
    return lambda: any(part() for part in parts)


def _test(leaf: Leaf, at: int, newest: Newest) -> Check:
    literal, value, known = leaf.literal, newest.value, newest.known
    # What is not known is a NaN here, so that tests which fail of NaN need not ask.
    return {
        Test.GT: lambda: value[at] > literal,
        Test.GE: lambda: value[at] >= literal,
        Test.LT: lambda: value[at] < literal,
        Test.LE: lambda: value[at] <= literal,
        Test.EQ: lambda: value[at] == literal,
        Test.NONZERO: lambda: abs(value[at]) > 0.0,
        Test.NOT_GT: lambda: known[at] and not value[at] > literal,
        Test.NOT_GE: lambda: known[at] and not value[at] >= literal,
        Test.NOT_LT: lambda: known[at] and not value[at] < literal,
        Test.NOT_LE: lambda: known[at] and not value[at] <= literal,
        Test.NOT_EQ: lambda: known[at] and value[at] != literal,
    }[leaf.test]
