"""When in the week a campaign runs, in local time, so that the vehicle needs no time zone database.

The compiler writes down every offset from UTC that the zone has while the campaign is valid.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalOffset:
    """The zone's distance from UTC from one moment on."""

    from_wall_ns: int
    """Unix time. The first of a schedule is not later than the campaign's validity."""
    offset_s: int
    """Local time minus UTC."""


@dataclass(frozen=True, slots=True)
class WeekSpan:
    """A stretch of the local week; never wraps (a night over Sunday is two)."""

    from_ns: int
    """Since Monday 00:00 local time."""
    until_ns: int
    """Not included; at most a week."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A firing counts only in one of the spans."""

    spans: tuple[WeekSpan, ...]
    offsets: tuple[LocalOffset, ...]
    """In order of time, at least one."""
