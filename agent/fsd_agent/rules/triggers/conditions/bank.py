"""The bank: hundreds of conditions that only compare rows with numbers, at next to no cost.

Most samples that the guard leaves move one row over one literal. So each row knows which conditions have a test that
may change at which of its *edges*, and a sample asks those alone, one by one (``bank_scalar``). Where that turns out
to be many, because values jump over many literals at a time, the rest of the batch is computed for all conditions
and instants at once (``bank_stack``). Both give the same: which is used is a matter of cost only.

A condition is first evaluated where a row that it refers to arrives; until then it is not true.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fsd_agent.records.program import Node
from fsd_agent.rules.triggers.conditions.bank_scalar import Check, Newest, check_of
from fsd_agent.rules.triggers.conditions.bank_stack import Course, Index, Stacks, course_of
from fsd_agent.rules.triggers.conditions.bank_tree import Leaf, RowOf, Tree, leaves, tree_of
from fsd_agent.rules.triggers.firing.phases import Change, Transitions, columns_of, join_transitions
from fsd_agent.rules.triggers.signals.columns import ActiveSamples, Event, Plane, Times
from fsd_agent.rules.triggers.signals.state import SignalState

_NAN: Final = -1
_UNKNOWN: Final = -2
_MANY: Final = 4
"""Conditions that a sample may ask on average before it is cheaper to compute all at once."""
_PATIENCE: Final = 64
"""Conditions asked in a batch before an average says something: about as dear as a small stack."""
_BLOCK: Final = 2**17
"""Values of one array of a stack: what fits into the cache."""
_NOBODY: Final[frozenset[int]] = frozenset()
_Found = tuple[Index, Times, Plane]
"""Conditions that change, when, and to what; in order of time."""
_NO_CHANGE: Final[_Found] = (np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0, np.bool_))


def takes(nodes: Sequence[Node], row_of: RowOf) -> bool:
    """Whether the bank can evaluate a program."""
    return tree_of(nodes, row_of) is not None


@dataclass(slots=True, eq=False)
class _Reader:
    """One row, as the conditions see it."""

    place: int
    """Where its value is kept."""
    edges: list[float]
    """Increasing."""
    at_edge: list[frozenset[int]]
    """Conditions that may change where the row moves over an edge."""
    everyone: frozenset[int]
    """Conditions that refer to the row."""
    newest: Newest
    gap: int = _UNKNOWN
    """How many edges are at most its value."""

    def take(self, value: float, *, known: bool) -> frozenset[int]:
        """Take up a new value; which conditions it may change."""
        before, self.gap = self.gap, self.gap_of(value, known=known)
        self.newest.value[self.place] = value if known else math.nan
        self.newest.known[self.place] = known
        if self.gap == before:
            return _NOBODY
        if before < 0 or self.gap < 0:
            return self.everyone
        low, high = (before, self.gap) if before < self.gap else (self.gap, before)
        return self.at_edge[low] if high == low + 1 else _NOBODY.union(*self.at_edge[low:high])

    def gap_of(self, value: float, *, known: bool) -> int:
        """In which gap a value lies."""
        if not known:
            return _UNKNOWN
        return bisect_right(self.edges, value) if value == value else _NAN  # noqa: PLR0124 - NaN alone differs from itself


class Bank:
    """Conditions: for each the position of its campaign and its program, which :func:`takes` has taken.

    ``patience`` is how many conditions a batch asks one by one before it is considered to compute all at once.
    """

    def __init__(
        self, conditions: Sequence[tuple[int, Sequence[Node]]], row_of: RowOf, *, patience: int = _PATIENCE
    ) -> None:
        trees: list[Tree] = []
        for campaign, nodes in conditions:
            tree = tree_of(nodes, row_of)
            if tree is None:
                raise ValueError(f"the condition of campaign {campaign} is more than tests of rows")
            trees.append(tree)
        self._campaigns = np.array([campaign for campaign, _ in conditions], np.intp)
        self._patience = patience
        self._leaves: dict[int, list[tuple[int, Leaf]]] = {}
        for member, tree in enumerate(trees):
            for leaf in leaves(tree):
                self._leaves.setdefault(leaf.row, []).append((member, leaf))
        places = {row: place for place, row in enumerate(sorted(self._leaves))}
        self._newest = Newest([math.nan] * len(places), [False] * len(places))
        self._readers = {
            row: _reader(place, self._leaves[row], self._newest) for row, place in places.items()
        }
        self._checks: list[Check] = [check_of(tree, places, self._newest) for tree in trees]
        self._stacks = Stacks(trees, places)
        self._positions = [campaign for campaign, _ in conditions]
        self._is_true = bytearray(len(trees))
        self._hit = _NOBODY
        """Conditions to ask about the instant that is being taken up."""
        self._waiting = set(range(len(trees)))
        """Those that have not been evaluated yet."""
        self._rows = np.array(sorted(self._leaves), np.int64)
        self._places = [[places[leaf.row] for leaf in leaves(tree)] for tree in trees]
        self._loaded = False

    def carry(self, before: Bank, pairs: Sequence[tuple[int, int]]) -> None:
        """Take over what was true: for each condition that stays, (position here, position there)."""
        for mine, theirs in pairs:
            self._is_true[mine] = before._is_true[theirs]
            if theirs not in before._waiting:
                self._waiting.discard(mine)

    def thresholds(self) -> tuple[dict[int, set[float]], set[int]]:
        """Literals that each row is compared with; none is used in any other way."""
        return {row: {leaf.literal for _, leaf in using} for row, using in self._leaves.items()}, set()

    def fresh(self) -> frozenset[int]:
        """Rows whose next sample counts, because a condition waits for it."""
        return frozenset(row for row, reader in self._readers.items() if reader.everyone & self._waiting)

    def follow(self, active: ActiveSamples, state: SignalState) -> Transitions:
        """Which conditions change, in order of time. ``state`` is asked for what was before the batch."""
        self.load(state)
        changes: list[Change] = []
        samples = active.items
        done = self._one_by_one(samples, changes)
        asked = columns_of(changes)
        if done == len(samples):
            return asked
        members, t_ns, true = self._at_once(active, done)
        return join_transitions([asked, Transitions(self._campaigns[members], t_ns, true)])

    def load(self, state: SignalState) -> None:
        """Begin with what the rows were before this batch, which is the first to be taken up."""
        if self._loaded:
            return
        self._loaded = True
        for row, reader in self._readers.items():
            value, known = state.before(row)
            reader.take(value, known=known)

    def take(self, row: int, value: float, *, known: bool) -> None:
        """Take up a sample, whoever's it is; :meth:`answer` for its instant follows."""
        reader = self._readers.get(row)
        if reader is None:
            return
        moved = reader.take(value, known=known)
        if self._waiting:
            moved |= reader.everyone & self._waiting
        if moved:
            self._hit = self._hit | moved if self._hit else moved

    def answer(self, t_ns: int, changes: list[Change]) -> None:
        """Ask the conditions that may have changed with what was taken up for this instant."""
        hit = self._hit
        if not hit:
            return
        self._hit = _NOBODY
        for member in hit:
            true = self._checks[member]()
            if true != self._is_true[member]:
                self._is_true[member] = true
                changes.append((self._positions[member], t_ns, true))
        if self._waiting:
            self._waiting -= hit

    def _one_by_one(self, samples: Sequence[Event], changes: list[Change]) -> int:
        """Ask conditions that may have changed; returns how many samples it took before they were too many."""
        count, at, asked = len(samples), 0, 0
        while at < count and asked <= self._patience + _MANY * at:
            t_ns = samples[at][0]
            while at < count and samples[at][0] == t_ns:
                _, row, value, known = samples[at]
                at += 1
                self.take(row, value, known=known)
            asked += len(self._hit)
            self.answer(t_ns, changes)
        return at

    def _at_once(self, active: ActiveSamples, done: int) -> _Found:
        """Compute all conditions that something arrives for, from sample ``done`` on."""
        place = np.minimum(np.searchsorted(self._rows, active.signal[done:]), self._rows.shape[0] - 1)
        mine = np.flatnonzero(self._rows[place] == active.signal[done:])
        place, mine = place[mine], mine + done
        t_ns, value, known = active.t_ns[mine], active.value[mine], active.known[mine]
        is_new = np.ones(t_ns.shape, np.bool_)
        is_new[1:] = t_ns[1:] != t_ns[:-1]
        moment = np.cumsum(is_new) - 1
        instants = t_ns[is_new]
        size = max(1, _BLOCK // max(len(self._checks), len(self._rows)))
        parts: list[_Found] = []
        for begin in range(0, instants.shape[0], size):
            low, high = np.searchsorted(moment, [begin, begin + size])
            newest = np.array(self._newest.value), np.array(self._newest.known, np.bool_)
            some = instants[begin : begin + size]
            course = course_of(
                newest, place[low:high], moment[low:high] - begin, value[low:high], known[low:high], len(some)
            )
            parts.append(self._changes(course, some))
            self._newest.value[:] = course.value[:, -1].tolist()
            self._newest.known[:] = course.known[:, -1].tolist()
        for reader in self._readers.values():
            value_now, known_now = self._newest.value[reader.place], self._newest.known[reader.place]
            reader.gap = reader.gap_of(value_now, known=known_now)
        members, times, true = map(np.concatenate, zip(_NO_CHANGE, *parts, strict=True))
        return members, times, true

    def _changes(self, course: Course, instants: Times) -> _Found:
        was_true = np.frombuffer(self._is_true, np.bool_)
        parts: list[tuple[Index, Index, Plane]] = []
        for members, true in self._stacks.true(course):
            if self._waiting:
                self._begin(course, members, true)
            before = np.empty_like(true)
            before[:, 0], before[:, 1:] = was_true[members], true[:, :-1]
            member, moment = np.nonzero(before != true)
            was_true[members] = true[:, -1]
            parts.append((members[member], moment, true[member, moment]))
        member, moment, now = map(np.concatenate, zip(*parts, strict=True))
        order = np.argsort(moment, kind="stable")
        return member[order], instants[moment[order]], now[order]

    def _begin(self, course: Course, members: Index, true: Plane) -> None:
        """Conditions that wait are not true before the first arrival of a row that they refer to."""
        for at, member in enumerate(members.tolist()):
            if member in self._waiting:
                true[at, : int(course.arrives[self._places[member]].any(axis=0).argmax())] = False
        self._waiting.difference_update(members.tolist())


def _reader(place: int, using: Sequence[tuple[int, Leaf]], newest: Newest) -> _Reader:
    by_edge: dict[float, set[int]] = {}
    for member, leaf in using:
        for edge in leaf.edges():
            by_edge.setdefault(edge, set()).add(member)
    edges = sorted(by_edge)
    return _Reader(
        place,
        edges,
        [frozenset(by_edge[edge]) for edge in edges],
        frozenset(member for member, _ in using),
        newest,
    )
