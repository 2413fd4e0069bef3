"""Statistics of windows: of their own samples alone, and rounded once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.rules.triggers.past.statistics import Samples

FINITE = st.floats(allow_nan=False, allow_infinity=False)
LIKE_SIGNALS = st.integers(-30_000, 30_000).map(lambda raw: raw * 0.01 - 5.0)


def samples_of(values: Sequence[float], before: Sequence[float] = ()) -> Samples:
    """The values after others have come and left."""
    samples = Samples(squares=True)
    for value in (*before, *values):
        samples.append(value)
    for _ in before:
        samples.drop()
    return samples


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@given(st.lists(st.floats(), min_size=1, max_size=60), st.lists(st.floats(), max_size=60))
@settings(max_examples=300)
def test_what_came_before_and_has_left_makes_no_difference(window: list[float], before: list[float]) -> None:
    found, expected = samples_of(window, before), samples_of(window)
    assert same(found.mean(), expected.mean())
    assert same(found.deviation(), expected.deviation())


@given(st.lists(st.one_of(FINITE, LIKE_SIGNALS), min_size=1, max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_the_mean_is_the_exact_one_rounded_once_in_any_order(window: list[float], random: object) -> None:
    exact = sum((Fraction(value) for value in window), Fraction(0)) / len(window)
    assert samples_of(window).mean() == float(exact)
    assert samples_of(sorted(window)).mean() == float(exact)


@given(st.lists(st.one_of(FINITE, LIKE_SIGNALS), min_size=1, max_size=60))
@settings(max_examples=300)
def test_the_square_of_the_deviation_is_the_exact_variance(window: list[float]) -> None:
    middle = sum((Fraction(value) for value in window), Fraction(0)) / len(window)
    exact = sum(((Fraction(value) - middle) ** 2 for value in window), Fraction(0)) / len(window)
    found = samples_of(window).deviation()
    # Doubles next to the exact root lie on both sides of it.
    below, above = math.nextafter(found, 0.0), math.nextafter(found, math.inf)
    assert Fraction(below) ** 2 <= exact
    assert math.isinf(above) or exact <= Fraction(above) ** 2


@pytest.mark.parametrize(
    ("window", "mean"),
    [
        ([math.nan, 1.0], math.nan),
        ([math.inf, 1.0], math.inf),
        ([-math.inf, 1.0], -math.inf),
        ([math.inf, -math.inf], math.nan),
    ],
)
def test_what_is_not_finite_counts_while_it_is_there(window: list[float], mean: float) -> None:
    assert same(samples_of(window).mean(), mean)
    assert math.isnan(samples_of(window).deviation())
    after = samples_of([2.0, 4.0], window)
    assert (after.mean(), after.deviation()) == (3.0, 1.0)


def test_samples_are_those_that_came_and_have_not_left() -> None:
    samples, held = Samples(squares=True), deque[float]()
    random = np.random.default_rng(1)
    for step in range(2000):
        samples.append(step * 0.1)
        held.append(step * 0.1)
        for _ in range(int(random.integers(0, min(4, len(held))))):
            samples.drop()
            held.popleft()
        assert len(samples) == len(held)
        assert samples.mean() == float(sum(map(Fraction, held)) / len(held))


def test_equal_samples_have_no_deviation_at_all() -> None:
    assert samples_of([0.1] * 500).deviation() == 0


def test_statistics_are_those_of_the_textbook() -> None:
    """Also where they are small beside the samples, as of a position in degrees."""
    window = [48.1 + 1e-7 * (at % 7) for at in range(500)]
    middle = math.fsum(window) / 500
    assert samples_of(window).mean() == pytest.approx(middle, rel=1e-15)
    expected = math.sqrt(math.fsum((value - middle) ** 2 for value in window) / 500)
    assert samples_of(window).deviation() == pytest.approx(expected, rel=1e-7)
