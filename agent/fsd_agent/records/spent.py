"""What was given away over metered links: kept across restarts."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month."""

    used_bytes: int
    until_wall_ns: int
    """Unix time of its end."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Of the present day and month."""

    day: Period
    month: Period

    def plus(self, size: int) -> Spent:
        """With so many bytes more, or fewer."""
        day, month = self.day, self.month
        return Spent(
            replace(day, used_bytes=day.used_bytes + size), replace(month, used_bytes=month.used_bytes + size)
        )

    def moved(self, by_ns: int) -> Spent:
        """With its ends so much later, or earlier."""
        day, month = self.day, self.month
        return Spent(
            replace(day, until_wall_ns=day.until_wall_ns + by_ns),
            replace(month, until_wall_ns=month.until_wall_ns + by_ns),
        )
