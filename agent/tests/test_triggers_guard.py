"""The guard's ways, one sample after the other, row by row and all as arrays, keep the same and leave it the same."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.rules.triggers.signals.columns import Column, Samples
from fsd_agent.rules.triggers.signals.guard import Guard
from fsd_agent.testing.samples import CATALOGUE, INF, LITERALS, NAN, VALUES
from fsd_firmware.samples import Signals

ALL: Final = 10**9
WAYS: Final = {
    "one by one": {"few": ALL},
    "one by one, of the rows that move": {"few": 0, "some": ALL},
    "row by row": {"few": 0, "some": 0, "rows": ALL},
    "as arrays": {"few": 0, "some": 0, "rows": 0},
}
ROWS: Final = len(CATALOGUE.entries)
RANGE: Final = (
    np.array([one.minimum for one in CATALOGUE.entries]),
    np.array([one.maximum for one in CATALOGUE.entries]),
)


def samples_of(row: list[int], value: list[float], sound: list[bool] | None) -> Samples:
    known = None if sound is None else np.array(sound, np.bool_)
    return Samples(Signals.of_lists(list(range(len(row))), row, value), known, RANGE)


@st.composite
def batches(draw: st.DrawFn) -> Samples:
    count = draw(st.integers(0, 30))
    some = draw(st.sets(st.integers(0, ROWS - 1), min_size=1))
    row = draw(st.lists(st.sampled_from(sorted(some)), min_size=count, max_size=count))
    value = draw(st.lists(st.sampled_from(VALUES), min_size=count, max_size=count))
    sound = draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count))
    return samples_of(row, value, sound)


def kept(guard: Guard, samples: Samples) -> list[int]:
    """Positions, which times are here."""
    found = guard.keep(samples)
    if isinstance(found, list):
        return [t_ns for t_ns, _, _, _ in found]
    return [int(at) for at in found]


def listed(guard: Guard, samples: Samples) -> list[int]:
    """By way of a handful. What it hands on is what the samples say, which NaN equals as text."""
    found = guard.events(samples)
    assert str(found) == str([samples.item(t_ns) for t_ns, _, _, _ in found])
    return [t_ns for t_ns, _, _, _ in found]


@given(
    stream=st.lists(batches(), max_size=5),
    thresholds=st.dictionaries(
        st.integers(0, ROWS - 1), st.sets(st.sampled_from((*LITERALS, 7.0, INF, -INF)))
    ),
    exact=st.sets(st.integers(0, ROWS - 1), max_size=2),
    settled=st.dictionaries(st.integers(0, ROWS - 1), st.tuples(st.sampled_from(VALUES), st.booleans())),
    probes=st.lists(st.tuples(st.integers(0, ROWS - 1), st.sampled_from(VALUES)), max_size=20),
)
def test_all_ways_keep_the_same(
    stream: list[Samples],
    thresholds: dict[int, set[float]],
    exact: set[int],
    settled: dict[int, tuple[float, bool]],
    probes: list[tuple[int, float]],
) -> None:
    guards = {way: Guard(ROWS, **limits) for way, limits in WAYS.items()}
    handful, turns = Guard(ROWS), Guard(ROWS, few=0, some=0, rows=0)
    for guard in (*guards.values(), handful, turns):
        guard.watch(thresholds, exact, *RANGE)
        for row, (value, known) in settled.items():
            guard.settle(row, value, known=known)
    # What the batches left shows in what is dropped of single samples after them.
    for samples in (*stream, *(samples_of([row], [value], None) for row, value in probes)):
        found = {way: kept(guard, samples) for way, guard in guards.items()}
        assert found == dict.fromkeys(WAYS, found["one by one"])
        # A handful is handed on at once; a guard may get handfuls and batches in any order.
        assert listed(handful, samples) == found["one by one"]
        by_turns = kept(turns, samples) if len(samples) % 2 else listed(turns, samples)
        assert by_turns == found["one by one"]


@pytest.mark.parametrize("way", WAYS)
def test_a_row_that_is_the_last_may_lie_in_its_last_gap_after_a_nan(way: str) -> None:
    """Neither is taken for the other, though a NaN is sorted after all that the last row can be."""
    guard = Guard(2, **WAYS[way])
    guard.watch({0: {1.0}, 1: {1.0}}, (), np.full(2, -INF), np.full(2, INF))
    samples = samples_of([1, 1, 1, 0, 1, 1, 0], [INF, NAN, INF, NAN, 5.0, NAN, NAN], None)
    assert kept(guard, samples) == [0, 1, 2, 3, 5]


@pytest.mark.parametrize("way", WAYS)
def test_below_and_above_the_range_is_one_gap(way: str) -> None:
    guard = Guard(1, **WAYS[way])
    ends: tuple[Column, Column] = np.array([0.0]), np.array([2.0])
    guard.watch({0: {1.0, 9.0}}, (), *ends)
    samples = samples_of([0] * 8, [-1.0, 3.0, 10.0, 0.5, 1.0, 1.5, 2.0, 2.5], None)
    assert kept(guard, samples) == [0, 3, 4, 5, 7]
    assert kept(guard, samples) == [3, 4, 5, 7]
