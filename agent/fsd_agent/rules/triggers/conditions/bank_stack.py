"""Conditions of one shape as a stack of arrays: the way to ask all of them at many instants.

Trees that differ only in rows and literals are one *stack*: each test is a comparison of an array (conditions,
instants) with a column of literals; where all conditions of a stack test the same row there, of one row of values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.rules.triggers.conditions.bank_tree import Every, Leaf, Test, Tree, leaves

Plane = NDArray[np.bool_]
Column = NDArray[np.float64]
Index = NDArray[np.intp]

_COMPARE: Final[dict[Test, Callable[[Column, Column], Plane]]] = {
    Test.GT: np.greater,
    Test.GE: np.greater_equal,
    Test.LT: np.less,
    Test.LE: np.less_equal,
    Test.EQ: np.equal,
    Test.NONZERO: lambda value, zero: np.greater(np.abs(value), zero),
}
_REFUTED: Final = {
    Test.NOT_GT: Test.GT,
    Test.NOT_GE: Test.GE,
    Test.NOT_LT: Test.LT,
    Test.NOT_LE: Test.LE,
    Test.NOT_EQ: Test.EQ,
}


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """How the values of all places go over n instants."""

    value: Column
    """Shape (places, n), NaN where not known."""
    known: Plane
    """Shape (places, n)."""
    arrives: Plane
    """Shape (places, n): a sample came at that very instant."""


def course_of(
    before: tuple[Column, Plane], place: Index, moment: Index, value: Column, known: Plane, count: int
) -> Course:
    """From samples in order of time to values at ``count`` instants; ``moment`` says at which each sample comes.

    ``before`` holds value and whether it is known of every place before the first instant.
    """
    newest = np.zeros((before[0].shape[0], count), np.intp)
    # Where a place has more than one sample at an instant, numpy keeps the last.
    newest[place, moment] = np.arange(1, place.shape[0] + 1)
    arrives = newest > 0
    np.maximum.accumulate(newest, axis=1, out=newest)
    none, newest = newest == 0, newest - 1
    seen = np.where(known, value, np.nan)
    return Course(
        np.where(none, before[0][:, np.newaxis], seen[newest]),
        np.where(none, before[1][:, np.newaxis], known[newest]),
        arrives,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    shape: Tree
    """With places of tests for rows."""
    members: Index
    place: Index
    """Shape (tests, members)."""
    literal: Column
    """Shape (tests, members)."""
    same_place: tuple[int | None, ...]
    """The place of each test where it is that of all members."""


class Stacks:
    """All conditions, by shape; ``places`` says which row of a course is a row."""

    def __init__(self, trees: Sequence[Tree], places: Mapping[int, int]) -> None:
        groups: dict[Tree, list[int]] = {}
        for member, tree in enumerate(trees):
            groups.setdefault(_shape(tree, iter(range(len(leaves(tree))))), []).append(member)
        self._stacks = tuple(
            _stack(shape, members, [leaves(trees[one]) for one in members], places)
            for shape, members in groups.items()
        )

    def true(self, course: Course) -> Iterator[tuple[Index, Plane]]:
        """Conditions of which something arrives, and where each is true: shape (conditions, n)."""
        arrives = np.logical_or.reduce(course.arrives, axis=1)
        for stack in self._stacks:
            touched = np.logical_or.reduce(arrives[stack.place], axis=0)
            if touched.all():
                yield stack.members, _evaluate(stack.shape, stack, slice(None), course)
            elif touched.any():
                at = np.flatnonzero(touched)
                yield stack.members[at], _evaluate(stack.shape, stack, at, course)


def _shape(tree: Tree, number: Iterator[int]) -> Tree:
    """The tree with the numbers of its tests for rows."""
    if isinstance(tree, Leaf):
        return Leaf(next(number), tree.test, 0.0)
    return type(tree)(tuple(_shape(part, number) for part in tree.parts))


def _stack(
    shape: Tree, members: Sequence[int], tests: Sequence[Sequence[Leaf]], places: Mapping[int, int]
) -> _Stack:
    place = np.array([[places[leaf.row] for leaf in of_one] for of_one in tests], np.intp).T
    literal = np.array([[leaf.literal for leaf in of_one] for of_one in tests], np.float64).T
    same = tuple(int(row[0]) if (row == row[0]).all() else None for row in place)
    return _Stack(shape, np.array(members, np.intp), place, np.ascontiguousarray(literal), same)


def _evaluate(tree: Tree, stack: _Stack, members: Index | slice, course: Course) -> Plane:
    if isinstance(tree, Leaf):
        return _test(tree, stack, members, course)
    first, *rest = (_evaluate(part, stack, members, course) for part in tree.parts)
    combine = np.logical_and if isinstance(tree, Every) else np.logical_or
    for part in rest:
        combine(first, part, out=first)
    return first


def _test(leaf: Leaf, stack: _Stack, members: Index | slice, course: Course) -> Plane:
    number, place = leaf.row, stack.same_place[leaf.row]
    at = stack.place[number][members] if place is None else slice(place, place + 1)
    literal = stack.literal[number][members][:, np.newaxis]
    refuted = _REFUTED.get(leaf.test)
    if refuted is None:
        return _COMPARE[leaf.test](course.value[at], literal)
    return np.greater(course.known[at], _COMPARE[refuted](course.value[at], literal))
