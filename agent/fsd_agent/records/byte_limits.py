"""How many bytes may go over metered links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ByteLimits:
    """In a day and in a month of UTC; None is no limit."""

    day_bytes: int | None = None
    month_bytes: int | None = None


NO_LIMITS: Final = ByteLimits()


def smaller(one: ByteLimits, other: ByteLimits) -> ByteLimits:
    """What both allow."""
    return ByteLimits(_smaller(one.day_bytes, other.day_bytes), _smaller(one.month_bytes, other.month_bytes))


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)
