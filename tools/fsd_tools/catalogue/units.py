"""Units of measurement: what may be converted into what, and how DBC files spell them.

A unit converts only into another of the same quantity, by ``value * factor + shift``, both exact fractions, so
that a conversion folded into a DBC signal's scale and offset is rounded once. What isn't in the table is compared
by its name and converted into nothing.

Names and quantities are those of the COVESA Vehicle Signal Specification, release 6.0. Factors are the definitions
of the SI Brochure (BIPM, 9th edition, tables 2, 4, 8) and, for mile, pound, inch and psi, of the international
yard and pound agreement of 1959.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

_RADIAN: Final = str(Fraction(180 / math.pi))
"""Degrees a radian, to the precision of a double: the ratio is irrational."""

_FACTORS: Final = {
    "length": {"mm": "1/1000", "cm": "1/100", "m": "1", "km": "1000", "inch": "127/5000", "mile": "1609.344"},
    "velocity": {"km/h": "5/18", "m/s": "1", "mph": "0.44704"},
    "acceleration": {"m/s^2": "1", "cm/s^2": "1/100", "standard gravity": "9.80665"},
    "volume": {"ml": "1/1000", "l": "1", "cm^3": "1/1000"},
    "temperature": {"Celsius": "1", "fahrenheit": "5/9", "kelvin": "1"},
    "angle": {"degrees": "1", "rad": _RADIAN},
    "angular-speed": {"degrees/s": "1", "rad/s": _RADIAN},
    "power": {"W": "1", "kW": "1000", "PS": "735.49875"},
    "work": {"kWh": "1", "Wh": "1/1000"},
    "mass": {"g": "1/1000", "kg": "1", "lbs": "0.45359237"},
    "voltage": {"V": "1", "mV": "1/1000"},
    "electric-current": {"A": "1", "mA": "1/1000"},
    "electric-charge": {"Ah": "1"},
    "duration": {"ms": "1/1000", "s": "1", "min": "60", "h": "3600", "day": "86400", "weeks": "604800"},
    "pressure": {"Pa": "1", "mbar": "100", "kPa": "1000", "bar": "100000", "psi": "6894.757293168361"},
    "mass-per-time": {"g/s": "1"},
    "mass-per-distance": {"g/km": "1"},
    "energy-consumption-per-distance": {"kWh/100km": "10", "Wh/km": "1"},
    "volume-per-distance": {"ml/100km": "1/1000", "l/100km": "1"},
    "volume-flow-rate": {"l/h": "1"},
    "distance-per-volume": {"km/l": "1"},
    "force": {"N": "1", "kN": "1000"},
    "torque": {"Nm": "1"},
    "rotational-speed": {"rpm": "1"},
    "frequency": {"Hz": "1", "cpm": "1/60", "bpm": "1/60"},
    "relation": {"ratio": "100", "percent": "1"},
    "resistance": {"Ohm": "1"},
    "illuminance": {"lx": "1"},
}
"""Factor to the quantity's own unit, the one with factor 1."""

_SHIFTS: Final = {"fahrenheit": "-160/9", "kelvin": "-273.15"}

_ALONE: Final = {
    "months": "duration", "years": "duration", "unix-time": "datetime", "iso8601": "datetime", "stars": "rating",
    "mpg-us": "distance-per-volume", "mpg-uk": "distance-per-volume", "mpge": "distance-per-volume",
    "mpg": "distance-per-volume", "nm/km": "relation", "dBm": "relation", "dB": "relation",
}  # fmt: skip
"""Units of the standard that convert into nothing."""

_SPELLED: Final = {
    "kph": "km/h", "km/hr": "km/h", "kmh": "km/h", "mi/h": "mph", "m/s2": "m/s^2", "m/s²": "m/s^2", "m/s/s": "m/s^2",
    "g0": "standard gravity", "deg": "degrees", "degree": "degrees", "°": "degrees", "deg/s": "degrees/s",
    "degree/s": "degrees/s", "°/s": "degrees/s", "radians": "rad", "%": "percent", "pct": "percent",
    "c": "Celsius", "degc": "Celsius", "deg c": "Celsius", "°c": "Celsius", "f": "fahrenheit", "degf": "fahrenheit",
    "°f": "fahrenheit", "k": "kelvin", "n*m": "Nm", "n.m": "Nm", "1/min": "rpm", "u/min": "rpm", "sec": "s",
    "seconds": "s", "second": "s", "minutes": "min", "minute": "min", "hours": "h", "hour": "h", "days": "day",
    "meter": "m", "meters": "m", "metre": "m", "metres": "m", "volt": "V", "volts": "V", "ampere": "A",
    "amps": "A", "lux": "lx", "litre": "l", "liter": "l", "ohms": "Ohm", "in": "inch", "miles": "mile",
}  # fmt: skip
"""How DBC files spell them, in small letters."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """``value * factor + shift`` in another unit."""

    factor: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)

    def apply(self, value: float) -> float:
        """The converted value, rounded once."""
        return float(Fraction(value) * self.factor + self.shift)


AS_IS: Final = Conversion()

QUANTITIES: Final = {
    **{unit: quantity for quantity, units in _FACTORS.items() for unit in units},
    **_ALONE,
}
"""Quantity by unit."""

_BY_SMALL: Final = {unit.lower(): unit for unit in QUANTITIES}


def known(text: str) -> str | None:
    """The unit that ``text`` spells, in the standard's spelling; None for none that is known."""
    small = " ".join(text.lower().split())
    for spelled in (small, _SPELLED.get(small, "").lower()):
        if spelled in _BY_SMALL:
            # Millivolt and megavolt differ in nothing but the letter's size.
            exact = text.strip()
            return exact if exact in QUANTITIES else _BY_SMALL[spelled]
    return None


def conversion(source: str, target: str) -> Conversion | None:
    """From ``source`` into ``target``; None when the two don't convert. Equal names need no table."""
    if source.strip().lower() == target.strip().lower():
        return AS_IS
    a, b = known(source), known(target)
    if a is None or b is None or QUANTITIES[a] != QUANTITIES[b]:
        return None
    if a == b:
        return AS_IS
    factors = _FACTORS.get(QUANTITIES[a], {})
    if a not in factors or b not in factors:
        return None
    into, back = Fraction(factors[a]), Fraction(factors[b])
    shift = Fraction(_SHIFTS.get(a, 0)) - Fraction(_SHIFTS.get(b, 0))
    return Conversion(into / back, shift / back)
