"""How far back a function looks: ``"300ms"``, ``"5s"``, ``"1.5min"``, or CEL's ``duration("1m30s")``; to nanoseconds.

Both forms take the units of both. A window is more than nothing and at most
:data:`~fsd_agent.records.program.MAX_WINDOW_NS`.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from fsd_agent.records.program import MAX_WINDOW_NS

_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60 * 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|min|m|h)")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")
_LONGEST: Final = f"at most {MAX_WINDOW_NS // 1_000_000_000} s are possible"


class WindowError(ValueError):
    """The text is not a window; the message says why."""


def window_ns(text: str) -> int:
    """Nanoseconds. Raises :class:`WindowError`."""
    if len(text) > 40 or not _WHOLE.fullmatch(text):
        raise WindowError(f"{text!r} is not a duration such as 300ms, 5s or 1.5min")
    found = sum((Decimal(number) * _UNITS_NS[unit] for number, unit in _PART.findall(text)), Decimal(0))
    return _checked(found, text)


def seconds_ns(seconds: float, *, extra_ns: int = 0) -> int:
    """A literal number of seconds, with ``extra_ns`` more. Raises :class:`WindowError`."""
    try:
        found = Decimal(repr(seconds)) * _UNITS_NS["s"]
    except InvalidOperation:
        raise WindowError(f"{seconds!r} is not a number of seconds") from None
    return _checked(found + extra_ns, f"{seconds:g} s")


def _checked(found: Decimal, text: str) -> int:
    if not found.is_finite() or found > MAX_WINDOW_NS:
        raise WindowError(f"{text!r} looks back too far: {_LONGEST}")
    if found < 1 or found != int(found):
        raise WindowError(f"{text!r} is not a positive whole number of nanoseconds")
    return int(found)
