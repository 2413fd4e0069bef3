"""Conditions as trees of *every* and *some* over tests of one row each.

A condition is a boolean over rows; the bank needs to know where it is true, and nothing else. Where it is true is a
matter of where its parts are true and where they are false (``a && b`` is false where either is; ``!a`` is true where
``a`` is false), and both are trees of every and some over *tests*, in which no negation is left. Unknown needs no
third value: a test fails where its row is not known, be it the test of the truth of a comparison or of its falsehood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from fsd_agent.records.program import COMPARISONS, EQUALITIES, Node, Op
from fsd_agent.rules.triggers.expressions.operations import literal_number

MAX_TESTS: Final = 64
"""Of one tree. Equality of booleans asks for each side twice, so that trees grow faster than their programs."""


class Test(Enum):
    """What is asked of a row's value. Those after ``NONZERO`` are false of what is not known, and true of NaN."""

    GT = auto()
    GE = auto()
    LT = auto()
    LE = auto()
    EQ = auto()
    NONZERO = auto()
    """Of a boolean; a NaN is neither true nor false."""
    NOT_GT = auto()
    NOT_GE = auto()
    NOT_LT = auto()
    NOT_LE = auto()
    NOT_EQ = auto()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test of one row."""

    row: int
    test: Test
    literal: float

    def edges(self) -> tuple[float, ...]:
        """Values from which on it may give another answer than before."""
        after = math.nextafter(self.literal, math.inf)
        if self.test in _CHANGES_AT:
            return (self.literal,)
        return (after,) if self.test in _CHANGES_AFTER else (self.literal, after)


@dataclass(frozen=True, slots=True)
class Every:
    """True where all parts are; where there are none, everywhere."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """True where any part is; where there are none, nowhere."""

    parts: tuple[Tree, ...]


Tree = Leaf | Every | Some
RowOf = Callable[[Node], int | None]
"""The row of a leaf of a program; None where it has none."""

_BOOLEAN: Final = COMPARISONS | EQUALITIES | {Op.AND, Op.OR, Op.NOT, Op.SIGNAL_BOOL, Op.MODE, Op.ZONE}
_CHANGES_AT: Final = frozenset({Test.GE, Test.LT, Test.NOT_GE, Test.NOT_LT})
_CHANGES_AFTER: Final = frozenset({Test.GT, Test.LE, Test.NOT_GT, Test.NOT_LE})
_TRUE: Final = {
    Op.GT: Test.GT,
    Op.GE: Test.GE,
    Op.LT: Test.LT,
    Op.LE: Test.LE,
    Op.EQ: Test.EQ,
    Op.NE: Test.NOT_EQ,
}
_FALSE: Final = {
    Op.GT: Test.NOT_GT,
    Op.GE: Test.NOT_GE,
    Op.LT: Test.NOT_LT,
    Op.LE: Test.NOT_LE,
    Op.EQ: Test.NOT_EQ,
    Op.NE: Test.EQ,
}
_MIRRORED: Final = {Op.GT: Op.LT, Op.GE: Op.LE, Op.LT: Op.GT, Op.LE: Op.GE, Op.EQ: Op.EQ, Op.NE: Op.NE}


def tree_of(nodes: Sequence[Node], row_of: RowOf) -> Tree | None:
    """Where a program's result is true; None where that is not a tree of at most :data:`MAX_TESTS` tests of rows.

    Neither is it where the result does not depend on all rows that the program refers to: it is evaluated where
    any of them arrives, and a tree knows only those it tests.
    """
    planes = _Planes(nodes, row_of)
    try:
        tree = planes.of(len(nodes) - 1, wanted=True)
    except _NotATreeError:
        return None
    rows = {leaf.row for leaf in leaves(tree)}
    return tree if rows and rows == planes.rows else None


def leaves(tree: Tree) -> tuple[Leaf, ...]:
    """Its tests, from left to right."""
    if isinstance(tree, Leaf):
        return (tree,)
    return tuple(leaf for part in tree.parts for leaf in leaves(part))


class _NotATreeError(Exception):
    pass


class _Planes:
    """Where nodes are true and where they are false."""

    def __init__(self, nodes: Sequence[Node], row_of: RowOf) -> None:
        self._nodes = nodes
        self._row_of = row_of
        self._known: dict[tuple[int, bool], Tree] = {}
        self.rows: set[int] = set()
        """Those that were referred to on the way."""

    def of(self, at: int, *, wanted: bool) -> Tree:
        """Where node ``at`` is ``wanted``."""
        key = at, wanted
        if key not in self._known:
            tree = self._made(self._nodes[at], wanted=wanted)
            if len(leaves(tree)) > MAX_TESTS:
                raise _NotATreeError
            self._known[key] = tree
        return self._known[key]

    def _made(self, node: Node, *, wanted: bool) -> Tree:
        op = node.op
        if op in COMPARISONS | EQUALITIES:
            if self._is_bool(self._nodes[node.args[0]]):
                return self._same(node, alike=(op is Op.EQ) is wanted)
            return self._comparison(node, wanted=wanted)
        if op in {Op.NOT, Op.AND, Op.OR, Op.IF}:
            return self._logical(node, wanted=wanted)
        if op is Op.LITERAL and isinstance(node.value, bool):
            return Every(()) if node.value is wanted else Some(())
        return Leaf(self._row(node), Test.NONZERO if wanted else Test.EQ, 0.0)

    def _row(self, node: Node) -> int:
        row = self._row_of(node) if not node.args else None
        if row is None:
            raise _NotATreeError
        self.rows.add(row)
        return row

    def _logical(self, node: Node, *, wanted: bool) -> Tree:
        if node.op is Op.NOT:
            return self.of(node.args[0], wanted=not wanted)
        if node.op is Op.IF:
            test, yes, no = node.args
            return _some(
                _every(self.of(test, wanted=True), self.of(yes, wanted=wanted)),
                _every(self.of(test, wanted=False), self.of(no, wanted=wanted)),
            )
        first, second = (self.of(arg, wanted=wanted) for arg in node.args)
        return _every(first, second) if (node.op is Op.AND) is wanted else _some(first, second)

    def _is_bool(self, node: Node) -> bool:
        """Of a side of an equality that is none of numbers or text."""
        if node.op is Op.IF:
            return self._is_bool(self._nodes[node.args[1]])
        return node.op in _BOOLEAN or isinstance(node.value, bool)

    def _same(self, node: Node, *, alike: bool) -> Tree:
        a, b = node.args
        return _some(
            _every(self.of(a, wanted=True), self.of(b, wanted=alike)),
            _every(self.of(a, wanted=False), self.of(b, wanted=not alike)),
        )

    def _comparison(self, node: Node, *, wanted: bool) -> Tree:
        op = node.op
        signal, literal = (self._nodes[arg] for arg in node.args)
        if signal.op is Op.LITERAL:
            signal, literal, op = literal, signal, _MIRRORED[op]
        if signal.op is Op.LITERAL or literal.op is not Op.LITERAL:
            raise _NotATreeError
        return Leaf(self._row(signal), (_TRUE if wanted else _FALSE)[op], literal_number(literal))


def _every(*parts: Tree) -> Tree:
    if any(part == Some(()) for part in parts):
        return Some(())
    flat = tuple(one for part in parts for one in (part.parts if isinstance(part, Every) else (part,)))
    return flat[0] if len(flat) == 1 else Every(flat)


def _some(*parts: Tree) -> Tree:
    if any(part == Every(()) for part in parts):
        return Every(())
    flat = tuple(one for part in parts for one in (part.parts if isinstance(part, Some) else (part,)))
    return flat[0] if len(flat) == 1 else Some(flat)
