"""The bank: hundreds of conditions that only compare rows with numbers, at next to no cost.

Most samples that the guard leaves move one row over one literal. So each is a step of the cascade that is asked where a
row crosses one of its *edges*: one by one (``bank_scalar``). Where that turns out to be many, because values jump over
many literals at a time, the rest of the batch is computed for all conditions and instants at once (``bank_stack``).
Both give the same: which is used is a matter of cost only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

import numpy as np

from fsd_agent.records.program import Node
from fsd_agent.rules.triggers.conditions.bank_scalar import check_of
from fsd_agent.rules.triggers.conditions.bank_stack import Course, Index, Stacks, course_of
from fsd_agent.rules.triggers.conditions.bank_tree import Leaf, RowOf, Tree, leaves, tree_of
from fsd_agent.rules.triggers.firing.phases import Transitions
from fsd_agent.rules.triggers.past.temporal import Scalar
from fsd_agent.rules.triggers.signals.columns import ActiveSamples, Plane, Times
from fsd_agent.rules.triggers.step import Step, Truth

_BLOCK: Final = 2**17
"""Values of one array of a stack: what fits into the cache."""
_Found = tuple[Index, Times, Plane]
"""Conditions that change, when, and to what; in order of time."""
_NO_CHANGE: Final[_Found] = (np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.bool_))


def takes(nodes: Sequence[Node], row_of: RowOf) -> bool:
    """Whether the bank can evaluate a program."""
    return tree_of(nodes, row_of) is not None


class Bank:
    """Conditions: for each its truth and its program, which :func:`takes` has taken."""

    def __init__(self, conditions: Sequence[tuple[Truth, Sequence[Node]]], row_of: RowOf) -> None:
        self._truths = [truth for truth, _ in conditions]
        self._trees: list[Tree] = []
        for truth, nodes in conditions:
            tree = tree_of(nodes, row_of)
            if tree is None:
                raise ValueError(f"the condition of campaign {truth.position} is more than tests of rows")
            self._trees.append(tree)
        self._positions = np.array([truth.position for truth in self._truths], np.intp)
        self._leaves = [leaves(tree) for tree in self._trees]
        self._rows = np.array(sorted({leaf.row for of_one in self._leaves for leaf in of_one}), np.int64)
        places = {row: place for place, row in enumerate(self._rows.tolist())}
        self._stacks = Stacks(self._trees, places)
        self._places = [[places[leaf.row] for leaf in of_one] for of_one in self._leaves]

    def steps(
        self, newest: Sequence[Scalar], failed: Callable[[Collection[int], Exception], None]
    ) -> list[Step]:
        """The conditions as steps that read ``newest``."""
        return [
            Step(
                check_of(tree, newest),
                frozenset(),
                frozenset(),
                _edges(of_one),
                partial(failed, (truth.position,)),
                truth=truth,
                many=True,
            )
            for truth, tree, of_one in zip(self._truths, self._trees, self._leaves, strict=True)
        ]

    def thresholds(self) -> dict[int, set[float]]:
        """Literals that each row is compared with; none is used in any other way."""
        found: dict[int, set[float]] = {}
        for of_one in self._leaves:
            for leaf in of_one:
                found.setdefault(leaf.row, set()).add(leaf.literal)
        return found

    def fresh(self) -> frozenset[int]:
        """Rows whose next sample counts, because a condition waits for it."""
        return frozenset(
            leaf.row
            for truth, of_one in zip(self._truths, self._leaves, strict=True)
            if not truth.evaluated
            for leaf in of_one
        )

    def at_once(self, active: ActiveSamples, newest: Sequence[Scalar]) -> Transitions:
        """Compute all conditions that something arrives for; ``newest`` is what each row was before, by row."""
        place = np.minimum(np.searchsorted(self._rows, active.signal), self._rows.shape[0] - 1)
        mine = np.flatnonzero(self._rows[place] == active.signal)
        place = place[mine]
        t_ns, value, known = active.t_ns[mine], active.value[mine], active.known[mine]
        is_new = np.ones(t_ns.shape, np.bool_)
        is_new[1:] = t_ns[1:] != t_ns[:-1]
        moment = np.cumsum(is_new) - 1
        instants = t_ns[is_new]
        before = [newest[row] for row in self._rows.tolist()]
        now = (
            np.array([math.nan if one is None else one for one in before], np.float64),
            np.array([one is not None for one in before], np.bool_),
        )
        size = max(1, _BLOCK // max(len(self._trees), len(self._rows)))
        parts: list[_Found] = []
        for begin in range(0, instants.shape[0], size):
            low, high = np.searchsorted(moment, [begin, begin + size])
            some = instants[begin : begin + size]
            course = course_of(
                now, place[low:high], moment[low:high] - begin, value[low:high], known[low:high], len(some)
            )
            parts.append(self._changes(course, some))
            now = course.value[:, -1], course.known[:, -1]
        members, times, true = map(np.concatenate, zip(_NO_CHANGE, *parts, strict=True))
        return Transitions(self._positions[members], times, true)

    def _changes(self, course: Course, instants: Times) -> _Found:
        was_true = np.array([truth.is_true for truth in self._truths], np.bool_)
        parts: list[tuple[Index, Index, Plane]] = []
        for members, true in self._stacks.true(course):
            self._begin(course, members, true)
            before = np.empty_like(true)
            before[:, 0], before[:, 1:] = was_true[members], true[:, :-1]
            member, moment = np.nonzero(before != true)
            for at, is_true in zip(members.tolist(), true[:, -1].tolist(), strict=True):
                self._truths[at].is_true = is_true
            parts.append((members[member], moment, true[member, moment]))
        if not parts:
            return _NO_CHANGE
        member, moment, now = map(np.concatenate, zip(*parts, strict=True))
        order = np.argsort(moment, kind="stable")
        return member[order], instants[moment[order]], now[order]

    def _begin(self, course: Course, members: Index, true: Plane) -> None:
        """Conditions that wait are not true before the first arrival of a row that they refer to."""
        for at, member in enumerate(members.tolist()):
            if not self._truths[member].evaluated:
                true[at, : int(course.arrives[self._places[member]].any(axis=0).argmax())] = False
                self._truths[member].evaluated = True


def _edges(of_one: Sequence[Leaf]) -> dict[int, set[float]]:
    found: dict[int, set[float]] = {}
    for leaf in of_one:
        found.setdefault(leaf.row, set()).update(leaf.edges())
    return found
