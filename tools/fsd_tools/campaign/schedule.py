"""A campaign file's schedule to the vehicle's: spans of the local week, and every offset while it is valid.

The offsets come from the time zone database of the computer that compiles, or of the ``tzdata`` package where it
has none.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from fsd_agent.records.campaign import LIMITS, SECOND_NS
from fsd_agent.records.schedule import LocalOffset, Schedule, WeekSpan
from fsd_tools.campaign.cel import did_you_mean
from fsd_tools.campaign.schedule_form import DAYS, ScheduleFile, StretchFile
from fsd_tools.campaign.schema import FieldError

_DAY_S: Final = 86_400
_WEEK_S: Final = 7 * _DAY_S
_STEP_S: Final = _DAY_S
"""Changes closer together than this may be missed; since 1970 no zone has had two within six days."""
_TIME: Final = re.compile(r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)\Z")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def compile_schedule(parsed: ScheduleFile, valid_from_wall_ns: int, valid_until_wall_ns: int) -> Schedule:
    """The vehicle's form, good for firings in ``[valid_from, valid_until)`` (Unix time).

    Raises :class:`~.schema.FieldError`.
    """
    stretches = parsed if isinstance(parsed, tuple) else (parsed,)
    names = [f"schedule[{at}]" if isinstance(parsed, tuple) else "schedule" for at in range(len(stretches))]
    zone = _zone(stretches, names)
    found = [span for one, name in zip(stretches, names, strict=True) for span in _spans(one, name)]
    spans = _joined(found)
    if len(spans) > LIMITS.spans:
        raise FieldError("schedule", f"{len(spans)} stretches of the week; at most {LIMITS.spans}")
    offsets = tuple(_offsets(zone, valid_from_wall_ns // SECOND_NS, -(-valid_until_wall_ns // SECOND_NS)))
    if len(offsets) > LIMITS.offsets:
        reason = (
            f"{zone.key} changes its clocks {len(offsets) - 1} times while the campaign is valid; "
            f"at most {LIMITS.offsets - 1}: end it earlier, with valid.until"
        )
        raise FieldError("schedule", reason)
    return Schedule(spans, offsets)


def _zone(stretches: Sequence[StretchFile], names: Sequence[str]) -> ZoneInfo:
    first = stretches[0].zone
    for stretch, name in zip(stretches, names, strict=True):
        if stretch.zone != first:
            reason = f"{stretch.zone!r}: the stretches of a schedule are in one zone, and the first is in {first!r}"
            raise FieldError(f"{name}.zone", reason)
    if first not in _known_zones():
        hint = did_you_mean(first, tuple(_known_zones()))
        raise FieldError(f"{names[0]}.zone", f"no time zone {first!r}{hint}")
    return ZoneInfo(first)


@lru_cache(maxsize=1)
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _spans(stretch: StretchFile, name: str) -> Iterable[tuple[int, int]]:
    """The stretch's spans in seconds of the week; what goes past Sunday's end is two."""
    start = _second_of_day(stretch.from_, f"{name}.from")
    end = _DAY_S if stretch.until == "24:00" else _second_of_day(stretch.until, f"{name}.until")
    if start == end:
        reason = f'{stretch.until!r} is also its beginning; a whole day is from: "00:00", until: "24:00"'
        raise FieldError(f"{name}.until", reason)
    if not stretch.days:
        raise FieldError(f"{name}.days", "is empty; leave it out for every day")
    if len(set(stretch.days)) != len(stretch.days):
        raise FieldError(f"{name}.days", "a day is there twice")
    length = (end - start) % _DAY_S or _DAY_S
    for day in stretch.days:
        begin = DAYS.index(day) * _DAY_S + start
        yield begin, min(begin + length, _WEEK_S)
        if begin + length > _WEEK_S:
            yield 0, begin + length - _WEEK_S


def _second_of_day(text: Any, field: str) -> int:
    found = _TIME.match(text) if isinstance(text, str) else None
    if found is None:
        hint = "" if isinstance(text, str) else " in quotes"
        raise FieldError(field, f'{text!r} is not a time of day such as "07:30"{hint}')
    return int(found["hour"]) * 3600 + int(found["minute"]) * 60


def _joined(spans: Iterable[tuple[int, int]]) -> tuple[WeekSpan, ...]:
    """In order, those that touch or overlap made one."""
    joined: list[list[int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return tuple(WeekSpan(start * SECOND_NS, end * SECOND_NS) for start, end in joined)


def _offsets(zone: ZoneInfo, from_s: int, until_s: int) -> Iterable[LocalOffset]:
    """The offset at ``from_s``, then every change before ``until_s``. Unix time in seconds."""
    last_s = until_s - 1
    present = _offset(zone, from_s)
    yield LocalOffset(from_s * SECOND_NS, present)
    for left_s, right_s in pairwise([*range(from_s, last_s, _STEP_S), last_s]):
        at_s = left_s
        while _offset(zone, right_s) != present:
            at_s = _first_change(zone, at_s, right_s)
            present = _offset(zone, at_s)
            yield LocalOffset(at_s * SECOND_NS, present)


def _first_change(zone: ZoneInfo, left_s: int, right_s: int) -> int:
    """The first second with another offset than at ``left_s``, which is not that of ``right_s``."""
    before = _offset(zone, left_s)
    while right_s - left_s > 1:
        middle_s = (left_s + right_s) // 2
        if _offset(zone, middle_s) == before:
            left_s = middle_s
        else:
            right_s = middle_s
    return right_s


def _offset(zone: ZoneInfo, unix_s: int) -> int:
    offset = (_EPOCH + dt.timedelta(seconds=unix_s)).astimezone(zone).utcoffset()
    assert offset is not None, "an instant in a zone has an offset"
    return int(offset.total_seconds())
