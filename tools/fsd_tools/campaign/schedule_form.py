"""``schedule`` in a campaign file: one stretch of the local week, or a list of them in one time zone.

``{zone: Europe/Berlin, days: [mon, tue], from: "07:00", until: "09:30"}``. ``days`` are those on which a stretch
begins, every day when left out. ``until`` at or before ``from`` lies on the next day; ``24:00`` is the day's end.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class StretchFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stretch."""

    zone: Annotated[str, Meta(min_length=1)]
    """An IANA name."""
    from_: Any = msgspec.field(name="from")
    """``HH:MM``. Any, because YAML reads 22:00 without quotes as the number 1320."""
    until: Any
    days: tuple[Day, ...] = DAYS


ScheduleFile = StretchFile | Annotated[tuple[StretchFile, ...], Meta(min_length=1)]
"""The field's type."""
