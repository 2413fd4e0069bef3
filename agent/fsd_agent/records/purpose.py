"""What data is collected for, and the compartment that a clip lies in.

A purpose is what a person consents to; a campaign has exactly one, and a clip has that of its campaigns. The vocabulary
is this enum: a word that is not in it can't be consented to, so nothing is collected for it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Purpose(StrEnum):
    """Ids match ``^[a-z][a-z0-9_]{0,31}$``: they name folders, keys and members of documents."""

    AUTOMATED_DRIVING = "automated_driving"
    SAFETY = "safety"
    DIAGNOSTICS = "diagnostics"
    OCCUPANT_MONITORING = "occupant_monitoring"
    """Alone has pictures and sound of the cabin (``rules.cabin``)."""


MEANINGS: Final[dict[Purpose, str]] = {
    Purpose.AUTOMATED_DRIVING: "to develop and check automated driving: perception, prediction, planning",
    Purpose.SAFETY: "to understand dangerous situations and to prevent accidents",
    Purpose.DIAGNOSTICS: "to find faults of the vehicle and of its sensors",
    Purpose.OCCUPANT_MONITORING: "to understand what people in the vehicle do: pictures and sound of the cabin",
}
"""What the person is asked, in a line each."""

ALL_PURPOSES: Final = frozenset(Purpose)


class Compartment(NamedTuple):
    """Everything on disk of one region and one purpose: it has a key of its own, and ends with it."""

    region_id: str
    purpose: Purpose

    def __str__(self) -> str:
        """For people and logs."""
        return f"{self.region_id}/{self.purpose}"
