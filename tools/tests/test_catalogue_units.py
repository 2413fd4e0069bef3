"""Conversions are exact, and only within a quantity."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_tools.catalogue.units import AS_IS, QUANTITIES, conversion, known

UNIT = st.sampled_from(sorted(QUANTITIES))


@pytest.mark.parametrize(
    ("source", "target", "value", "wanted"),
    [
        ("m/s", "km/h", 10.0, 36.0),
        ("km/h", "m/s", 36.0, 10.0),
        ("mph", "km/h", 60.0, 96.56064),
        ("kph", "km/h", 88.0, 88.0),
        ("km", "m", 1.5, 1500.0),
        ("%", "percent", 12.0, 12.0),
        ("ratio", "percent", 0.25, 25.0),
        ("deg/s", "degrees/s", -3.0, -3.0),
        ("bar", "kPa", 2.5, 250.0),
        ("fahrenheit", "Celsius", 212.0, 100.0),
        ("degF", "celsius", 32.0, 0.0),
        ("kelvin", "Celsius", 273.15, 0.0),
        ("Celsius", "fahrenheit", 100.0, 212.0),
        ("ms", "s", 20.0, 0.02),
        ("unheard-of", "Unheard-Of", 7.0, 7.0),
    ],
)
def test_by_example(source: str, target: str, value: float, wanted: float) -> None:
    found = conversion(source, target)
    assert found is not None
    assert found.apply(value) == pytest.approx(wanted, rel=1e-15, abs=1e-13)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("km/h", "m"),
        ("furlong", "m"),
        ("m", "furlong"),
        ("months", "s"),
        ("mpg", "km/l"),
        ("dBm", "percent"),
        ("Nm", "N"),
    ],
)
def test_what_does_not_convert(source: str, target: str) -> None:
    assert conversion(source, target) is None


@given(UNIT, UNIT)
def test_there_and_back_is_where_one_was(a: str, b: str) -> None:
    """Exactly, not nearly: conversions are fractions. And there is a way back wherever there is a way."""
    there, back = conversion(a, b), conversion(b, a)
    assert (there is None) == (back is None)
    if there is None or back is None:
        return
    assert QUANTITIES[a] == QUANTITIES[b]
    assert there.factor * back.factor == 1
    assert back.factor * there.shift + back.shift == 0


@given(UNIT)
def test_a_unit_is_itself(unit: str) -> None:
    assert known(unit) == unit
    assert conversion(unit, unit) == AS_IS


@given(UNIT, UNIT, UNIT)
def test_two_steps_are_one(a: str, b: str, c: str) -> None:
    first, second, whole = conversion(a, b), conversion(b, c), conversion(a, c)
    if first is None or second is None:
        return
    assert whole is not None
    value = Fraction(1234, 7)
    in_two = (value * first.factor + first.shift) * second.factor + second.shift
    assert in_two == value * whole.factor + whole.shift
