"""Statistics of windows: of their own samples alone, and those of the textbook."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.rules.triggers.past.statistics import Samples, deviation, mean

Over = Callable[[Samples], float]


def samples_of(values: Sequence[float], ahead: int = 0) -> Samples:
    """The values after so many others have come and left."""
    samples = Samples()
    for value in (*[7.5] * ahead, *values):
        samples.append(value)
    samples.drop(ahead)
    return samples


def over_of(over: Over, values: Sequence[float], ahead: int = 0) -> float:
    with np.errstate(all="ignore"):
        return over(samples_of(values, ahead))


@pytest.mark.parametrize("over", [mean, deviation])
@given(st.lists(st.floats(), min_size=1, max_size=700), st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_a_window_has_one_result_wherever_it_lies(over: Over, window: list[float], ahead: int) -> None:
    found, expected = over_of(over, window, ahead), over_of(over, window)
    assert found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize("count", [1, 7, 127, 128, 129, 5000, 60_000])
def test_long_windows_too(count: int) -> None:
    window = np.random.default_rng(count).normal(size=count) * 1e3
    for over in (mean, deviation):
        assert over_of(over, window.tolist(), 13) == over_of(over, window.tolist())


def test_samples_are_those_that_came_and_have_not_left() -> None:
    samples, held = Samples(), list[float]()
    random = np.random.default_rng(1)
    for step in range(5000):
        samples.append(float(step))
        held.append(float(step))
        gone = int(random.integers(0, min(4, len(held))))
        samples.drop(gone)
        held = held[gone:]
        assert samples.window.tolist() == held


def test_equal_samples_have_no_deviation_at_all() -> None:
    assert over_of(deviation, [0.1] * 500) == 0


def test_statistics_are_those_of_the_textbook() -> None:
    """Also where they are small beside the samples, as of a position in degrees."""
    window = [48.1 + 1e-7 * (at % 7) for at in range(500)]
    middle = math.fsum(window) / 500
    assert over_of(mean, window) == pytest.approx(middle, rel=1e-15)
    expected = math.sqrt(math.fsum((value - middle) ** 2 for value in window) / 500)
    assert over_of(deviation, window) == pytest.approx(expected, rel=1e-7)
