"""The cascade: whom an event asks, in which order, and what one fault leaves alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.program import Op
from fsd_agent.rules.triggers.cascade import Cascade
from fsd_agent.rules.triggers.crossings import crossings_of
from fsd_agent.rules.triggers.past.memories import make_temporal
from fsd_agent.rules.triggers.past.temporal import Scalar
from fsd_agent.rules.triggers.signals.columns import Event
from fsd_agent.rules.triggers.step import Step, Truth

NOBODY: frozenset[int] = frozenset()
VALUES = [-math.inf, -1.0, -0.0, 0.0, 1.0, 1.5, 2.0, math.inf, math.nan]


def never(error: Exception) -> None:
    raise AssertionError from error


class Asked:
    """A condition that notes what it was asked over."""

    def __init__(self, newest: list[Scalar], row: int) -> None:
        self.seen: list[Scalar] = []
        self._newest, self._row = newest, row

    def __call__(self) -> bool:
        self.seen.append(self._newest[self._row])
        return False


def condition(
    ask: Callable[[], Any],
    *,
    every: Collection[int] = (),
    rows: Collection[int] = (),
    edges: dict[int, list[float]] | None = None,
    failed: Callable[[Exception], None] = never,
    truth: Truth | None = None,
) -> Step:
    return Step(ask, frozenset(every), frozenset(rows), edges or {}, failed, truth=truth or Truth(0))


def events(*values: float | None) -> list[Event]:
    """Of row 0, a nanosecond apart; None is not known."""
    return [
        (t_ns, 0, 0.0 if value is None else value, value is not None) for t_ns, value in enumerate(values)
    ]


def test_a_value_that_stays_asks_only_those_who_count_arrivals() -> None:
    newest: list[Scalar] = [None]
    changes, arrivals = Asked(newest, 0), Asked(newest, 0)
    cascade = Cascade([condition(changes, rows=[0]), condition(arrivals, every=[0])], newest, tells=False)
    cascade.follow(events(1.0, 1.0, None, None, 2.0), 9)
    assert changes.seen == [1.0, None, 2.0]
    assert arrivals.seen == [1.0, 1.0, None, None, 2.0]


def test_zeros_of_both_signs_are_two_values() -> None:
    """One divided by them is not the same."""
    newest: list[Scalar] = [None]
    asked = Asked(newest, 0)
    Cascade([condition(asked, rows=[0])], newest, tells=False).follow(events(0.0, 0.0, -0.0, -0.0, 0.0), 9)
    assert [str(value) for value in asked.seen] == ["0.0", "-0.0", "0.0"]


def test_a_fresh_condition_is_asked_once_though_nothing_changes() -> None:
    newest: list[Scalar] = [None, None]
    plain, edged = Asked(newest, 0), Asked(newest, 0)
    steps = [condition(plain, rows=[0]), condition(edged, edges={0: [5.0]})]
    cascade = Cascade(steps, newest, tells=False)
    cascade.load([1.0, None])
    cascade.follow(events(1.0, 1.0, 1.0), 9)
    assert (plain.seen, edged.seen) == ([1.0], [1.0])


def test_what_comes_later_than_was_promised_is_taken_up_all_the_same() -> None:
    newest: list[Scalar] = [None]
    asked = Asked(newest, 0)
    Cascade([condition(asked, rows=[0])], newest, tells=False).follow(events(1.0, 2.0, 3.0), 1)
    assert asked.seen == [1.0, 2.0, 3.0]


def test_a_fault_is_told_and_stops_nobody_else() -> None:
    newest: list[Scalar] = [None]
    told: list[Exception] = []
    asked, truth = Asked(newest, 0), Truth(7)
    steps = [
        condition(lambda: 1 // 0, rows=[0], failed=told.append),
        condition(asked, rows=[0], truth=truth),
    ]
    Cascade(steps, newest, tells=False).follow(events(1.0, 2.0), 9)
    assert [type(error) for error in told] == [ZeroDivisionError] * 2
    assert (asked.seen, truth.evaluated) == ([1.0, 2.0], True)


def test_a_result_is_an_event_of_its_instant_and_so_is_what_lapses() -> None:
    newest: list[Scalar] = [None, None]
    truth = Truth(3)
    memory = make_temporal(Op.MAX_OVER, 10)
    steps = [
        Step(lambda: newest[0], NOBODY, frozenset({0}), {}, never, memory=memory, row=1, reads=0),
        condition(lambda: newest[1] == 5.0, rows=[1], truth=truth),
    ]
    cascade = Cascade(steps, newest, tells=True)
    assert cascade.rests(100)
    found = cascade.follow([(1, 0, 5.0, True), (2, 0, 1.0, True)], 5)
    assert (found.results, found.changes) == ([(1, 1, 5.0, True)], [(3, 1, True)])
    assert (cascade.rests(12), cascade.rests(13)) == (True, False)
    found = cascade.follow([], 13)
    assert (found.results, found.changes) == ([(12, 1, 1.0, True)], [(3, 12, False)])
    assert cascade.newest() == [(0, 1, 1.0, True)]


def lies_in(edges: list[float], value: float | None) -> int | str:
    if value is None or math.isnan(value):
        return str(value)
    return sum(edge <= value for edge in edges)


@given(
    edges=st.lists(
        st.lists(st.integers(-40, 40).map(float), unique=True, min_size=1, max_size=70),
        min_size=1,
        max_size=4,
    ),
    values=st.lists(
        st.one_of(st.none(), st.sampled_from(VALUES), st.integers(-41, 41).map(float)), max_size=12
    ),
)
def test_whoever_has_an_edge_between_two_values_is_asked(
    edges: list[list[float]], values: list[float | None]
) -> None:
    (crossing,) = crossings_of([{0: one} for one in edges]).values()
    all_edges = sorted({edge for one in edges for edge in one})
    before: float | None = None
    for value in values:
        asked = crossing.take(0.0 if value is None else value, 0, known=value is not None)
        for at, one in enumerate(edges):
            if lies_in(one, value) != lies_in(one, before):
                assert asked >> at & 1
        if lies_in(all_edges, value) == lies_in(all_edges, before):
            assert asked == 0
        before = value


@pytest.mark.parametrize("known", [True, False])
def test_who_is_fresh_is_asked_wherever_the_value_lies(known: bool) -> None:
    (crossing,) = crossings_of([{0: [1.0]}, {0: [2.0]}]).values()
    crossing.take(0.0, 0, known=known)
    assert crossing.take(0.0, 0b10, known=known) == 0b10
