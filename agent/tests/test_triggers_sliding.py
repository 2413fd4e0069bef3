"""Statistics of windows: of their own samples alone, and those of the textbook."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fsd_agent.rules.triggers.sliding import deviations, means

Over = Callable[[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]


def alone(over: Over, window: list[float]) -> float:
    with np.errstate(all="ignore"):
        return float(over(np.array([*window, 0.0]), np.array([0]), np.array([len(window)]))[0])


@pytest.mark.parametrize("over", [means, deviations])
@given(
    st.lists(st.floats(), min_size=1, max_size=700), st.lists(st.floats(), max_size=40), st.integers(1, 20)
)
@settings(max_examples=200, deadline=None)
def test_a_window_has_one_result_wherever_it_lies(
    over: Over, window: list[float], ahead: list[float], count: int
) -> None:
    """Whatever is before it and after it, and whichever other windows are asked for."""
    among = np.array([*ahead, *window, math.nan])
    lo = np.maximum(0, len(ahead) - np.arange(count)[::-1])
    with np.errstate(all="ignore"):
        found = float(over(among, lo, lo + len(window))[-1])
    expected = alone(over, window)
    assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize("count", [1, 7, 127, 128, 129, 5000, 60_000])
@pytest.mark.parametrize("windows", [1, 30])
def test_long_windows_too(count: int, windows: int) -> None:
    samples = np.random.default_rng(count).normal(size=count + 40) * 1e3
    lo = np.arange(windows) + 5
    for over in (means, deviations):
        found = over(samples, lo, lo + count)
        assert found.tolist() == [alone(over, samples[at : at + count].tolist()) for at in lo.tolist()]


@pytest.mark.parametrize("windows", [1, 30])
def test_equal_samples_have_no_deviation_at_all(windows: int) -> None:
    lo = np.arange(windows)
    assert not deviations(np.full(600, 0.1), lo, lo + 500).any()


def test_statistics_are_those_of_the_textbook() -> None:
    """Also where they are small beside the samples, as of a position in degrees."""
    window = [48.1 + 1e-7 * (at % 7) for at in range(500)]
    middle = math.fsum(window) / 500
    assert alone(means, window) == pytest.approx(middle, rel=1e-15)
    expected = math.sqrt(math.fsum((value - middle) ** 2 for value in window) / 500)
    assert alone(deviations, window) == pytest.approx(expected, rel=1e-7)
