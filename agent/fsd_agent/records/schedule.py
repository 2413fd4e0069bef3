"""When in the week a campaign runs, in local time, so that the vehicle needs no time zone database.

The compiler writes down every offset from UTC that the zone has while the campaign is valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WEEK_NS: Final = 7 * 86_400 * 1_000_000_000
MAX_OFFSET_S: Final = 86_400
"""Magnitude; no zone has ever been a day from UTC."""


class ScheduleError(ValueError):
    """The spans and offsets are not a schedule; the message names the one and the reason."""


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
    """A firing counts only in one of the spans. Raises :class:`ScheduleError`."""

    spans: tuple[WeekSpan, ...]
    """In order of time, at least one, none overlapping another."""
    offsets: tuple[LocalOffset, ...]
    """In order of time, at least one."""

    def __post_init__(self) -> None:
        if not self.spans or not self.offsets:
            raise ScheduleError("needs at least one span and one offset")
        end_ns = 0
        for number, span in enumerate(self.spans):
            if not end_ns <= span.from_ns < span.until_ns <= WEEK_NS:
                reason = (
                    f"{span.from_ns} to {span.until_ns} ns is not a stretch of the week after {end_ns} ns"
                )
                raise ScheduleError(f"span {number}: {reason}")
            end_ns = span.until_ns
        before_ns: int | None = None
        for number, offset in enumerate(self.offsets):
            if before_ns is not None and offset.from_wall_ns <= before_ns:
                raise ScheduleError(f"offset {number}: is not later than the one before")
            if abs(offset.offset_s) > MAX_OFFSET_S:
                raise ScheduleError(f"offset {number}: {offset.offset_s} s from UTC")
            before_ns = offset.from_wall_ns
