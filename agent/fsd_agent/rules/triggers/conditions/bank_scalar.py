"""Conditions as closures over the newest value of each row: the way to ask a few of them. None is unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fsd_agent.rules.triggers.conditions.bank_tree import Every, Leaf, Test, Tree
from fsd_agent.rules.triggers.past.temporal import Scalar

Check = Callable[[], bool]
"""Whether a condition is true of the newest values."""


def check_of(tree: Tree, newest: Sequence[Scalar]) -> Check:
    """The closure of a condition; ``newest`` is by row, and changes in place."""
    if isinstance(tree, Leaf):
        return _test(tree, newest)
    parts = [check_of(part, newest) for part in tree.parts]
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


def _test(leaf: Leaf, newest: Sequence[Scalar]) -> Check:
    literal, at = leaf.literal, leaf.row
    return {
        Test.GT: lambda: (x := newest[at]) is not None and x > literal,
        Test.GE: lambda: (x := newest[at]) is not None and x >= literal,
        Test.LT: lambda: (x := newest[at]) is not None and x < literal,
        Test.LE: lambda: (x := newest[at]) is not None and x <= literal,
        Test.EQ: lambda: (x := newest[at]) is not None and x == literal,
        Test.NONZERO: lambda: (x := newest[at]) is not None and abs(x) > 0.0,
        Test.NOT_GT: lambda: (x := newest[at]) is not None and not x > literal,
        Test.NOT_GE: lambda: (x := newest[at]) is not None and not x >= literal,
        Test.NOT_LT: lambda: (x := newest[at]) is not None and not x < literal,
        Test.NOT_LE: lambda: (x := newest[at]) is not None and not x <= literal,
        Test.NOT_EQ: lambda: (x := newest[at]) is not None and x != literal,
    }[leaf.test]
