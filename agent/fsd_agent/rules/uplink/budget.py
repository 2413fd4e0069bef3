"""Bytes over metered links: how many were given away today and this month, and whether more may be.

Charged before they are given. A chunk is added to what counts as used, that is kept on disk, and only then is a byte of it
given to the connection: a power cut may cost the rest of a chunk, and never gives bytes for nothing.

Which day it is. The clock may be set at any moment, and neither that nor a restart may give a budget twice, or end one for
good:

- Within one run time is what has gone by since the computer's start, suspended or not. It is laid on the calendar once,
  by a wall clock that has gone evenly for ten minutes (:data:`STEADY_NS`); what the wall clock does after that changes
  nothing in this run.
- Until then the periods of the run before go on, whatever the clock says.
- A period that was kept is over when its end has passed. One that would last beyond the present day or month was begun
  under a clock that was ahead: it ends with the present one, and what was used of it stays used.

So a clock that is wrong at a start, for ten minutes, can end a period early, once for each such start: between two starts
only the wall clock knows the time. It can't do so within a run, and a period never lasts longer than a day or a month
from when it was laid down.

No input or output. Bytes are those that :func:`charged` makes of a message.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from fsd_agent.records.byte_limits import ByteLimits
from fsd_agent.records.reasons import Waits
from fsd_agent.records.spent import Period, Spent

STEADY_NS: Final = 600_000_000_000
"""Longer than a time service takes to set a clock that was wrong at the start, once there is a link."""
STEP_NS: Final = 2_000_000_000
"""A difference that is no correction in small steps."""
CHUNK_BYTES: Final = 1 << 20
"""About sixteen segments for one write of the journal; a power cut costs half of it on average."""
MESSAGE_BYTES: Final = 256 << 10
"""With less than this left a budget is used up: no message is charged with more."""
URGENT_PART: Final = 5
"""Clips that are not urgent leave the last fifth of a limit."""
_DAY_NS: Final = 86_400_000_000_000
_LOST_BYTES: Final = 1 << 62
"""More than any limit."""


def charged(payload_bytes: int) -> int:
    """What a message of so many bytes, topic and payload, is charged with.

    An estimate of what the network carries: headers of TCP, IP and TLS are under a sixteenth of packets of 1,400 bytes, and
    256 bytes are for MQTT and for what comes back. What TCP sends again is not seen here.
    """
    return payload_bytes + payload_bytes // 16 + 256


class Meter:
    """See the module. Bytes are reserved (kept by the caller), then taken."""

    def __init__(self, kept: Spent | None, *, lost: bool = False) -> None:
        """``kept`` is None at the very first start; ``lost`` says that there was something and nobody can read it.

        Then all counts as used until the day and the month are over.
        """
        self._spent = kept
        self._lost = lost
        self._unspent = 0
        """Reserved and not taken yet."""
        self._even: tuple[int, int] | None = None
        """Wall clock less boot clock at the newest look, and the boot time since when that has gone evenly."""
        self._frame_ns: int | None = None
        """The difference that this run's calendar goes by; None before the wall clock was believed first."""
        self._moved_ns = 0
        """By how much the wall clock that was believed last is ahead of that calendar."""

    def look(self, *, boot_ns: int, wall_ns: int) -> None:
        """Time has gone by: to be called before every question, and at least once a minute."""
        if self._spent is None:
            used = _LOST_BYTES if self._lost else 0
            self._spent = Spent(Period(used, next_day(wall_ns)), Period(used, next_month(wall_ns)))
        self._believe(boot_ns, wall_ns)
        if self._frame_ns is None:
            return
        now_ns, spent = self._frame_ns + boot_ns, self._spent.plus(-self._unspent)
        day, month = _at(spent.day, now_ns, next_day), _at(spent.month, now_ns, next_month)
        if (day, month) == (spent.day, spent.month):
            return
        self._spent, self._unspent = Spent(day, month), 0

    def _believe(self, boot_ns: int, wall_ns: int) -> None:
        offset_ns, since_ns = wall_ns - boot_ns, boot_ns
        if self._even is not None and abs(offset_ns - self._even[0]) <= STEP_NS:
            since_ns = self._even[1]
        self._even = (offset_ns, since_ns)
        if boot_ns - since_ns >= STEADY_NS:
            self._frame_ns = offset_ns if self._frame_ns is None else self._frame_ns
            self._moved_ns = offset_ns - self._frame_ns

    def used_up(self, limits: ByteLimits, *, urgent: bool) -> Waits | None:
        """Whether there is no room for another message, and of which period."""
        day, month = self._rooms(limits, urgent=urgent)
        if month is not None and month + self._unspent < MESSAGE_BYTES:
            return Waits.BUDGET_MONTH
        return Waits.BUDGET_DAY if day is not None and day + self._unspent < MESSAGE_BYTES else None

    def take(self, size: int) -> bool:
        """Use bytes that are reserved; False, and nothing is used, where there are too few."""
        if self._unspent < size:
            return False
        self._unspent -= size
        return True

    def more(self, size: int, limits: ByteLimits, *, urgent: bool) -> Spent | None:
        """What is to be kept so that ``size`` bytes can be taken; None where no limit allows them. Changes nothing."""
        room = min(
            (one for one in self._rooms(limits, urgent=urgent) if one is not None), default=CHUNK_BYTES
        )
        chunk = min(CHUNK_BYTES, max(0, room))
        return self._now().plus(chunk) if self._unspent + chunk >= size else None

    def keep(self, spent: Spent) -> None:
        """``spent``, of :meth:`more` or :meth:`rest`, is on disk."""
        self._unspent += spent.day.used_bytes - self._now().day.used_bytes
        self._spent = spent

    def rest(self) -> Spent | None:
        """What is to be kept so that reserved bytes are given back; None where there are none. Changes nothing."""
        return self._now().plus(-self._unspent) if self._unspent else None

    def on_disk(self, spent: Spent) -> Spent:
        """``spent`` as a later run can use it: its ends by the wall clock that is believed now."""
        return spent.moved(self._moved_ns)

    def _rooms(self, limits: ByteLimits, *, urgent: bool) -> tuple[int | None, int | None]:
        """What may still be reserved of day and month; None is without end."""
        spent = self._now()
        return (
            _room(limits.day_bytes, spent.day, urgent=urgent),
            _room(limits.month_bytes, spent.month, urgent=urgent),
        )

    def _now(self) -> Spent:
        if self._spent is None:
            raise AssertionError("nobody has looked at the time")
        return self._spent


def _room(limit: int | None, period: Period, *, urgent: bool) -> int | None:
    if limit is None:
        return None
    return (limit if urgent else limit - limit // URGENT_PART) - period.used_bytes


def _at(period: Period, now_ns: int, next_of: Callable[[int], int]) -> Period:
    """The period at a moment: the same, or a new one."""
    if now_ns >= period.until_wall_ns:
        return Period(0, next_of(now_ns))
    return replace(period, until_wall_ns=min(period.until_wall_ns, next_of(now_ns)))


def next_day(wall_ns: int) -> int:
    """When the next day of UTC begins."""
    return (wall_ns // _DAY_NS + 1) * _DAY_NS


def next_month(wall_ns: int) -> int:
    """When the next month of UTC begins."""
    day = dt.date(1970, 1, 1) + dt.timedelta(days=wall_ns // _DAY_NS)
    following = dt.date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return (following - dt.date(1970, 1, 1)).days * _DAY_NS
