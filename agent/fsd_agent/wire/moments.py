"""A moment as signed documents write it: ``2026-11-20T10:00:00Z``, UTC, whole seconds, one spelling (RFC 3339)."""

from __future__ import annotations

import datetime as dt
import re

NS_PER_S = 1_000_000_000
DAY_NS = 86_400 * NS_PER_S
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z\Z", re.ASCII)
_FIRST, _LAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
"""Before this software was, and beyond what nanoseconds in 64 bits hold."""


class MomentError(ValueError):
    """The text is not a moment; the message says why."""


def encode_moment(wall_ns: int) -> str:
    """The text of a moment; raises :class:`MomentError` where it would be refused."""
    if wall_ns % NS_PER_S:
        raise MomentError(f"{wall_ns} ns is not a whole second")
    try:
        moment = dt.datetime.fromtimestamp(wall_ns // NS_PER_S, dt.UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise MomentError(f"{wall_ns} ns is no date") from error
    return _checked(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode_moment(text: str) -> int:
    """Unix time in nanoseconds; raises :class:`MomentError`."""
    if not _MOMENT.match(text):
        raise MomentError(f"{text[:40]!r} is not of the form 2026-11-20T10:00:00Z")
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise MomentError(f"{text!r} is no date") from error
    return int(_checked(moment).timestamp()) * NS_PER_S


def show_moment(wall_ns: int) -> str:
    """For messages to people: any Unix time, to the second below."""
    try:
        return dt.datetime.fromtimestamp(wall_ns // NS_PER_S, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{wall_ns} ns"


def _checked(moment: dt.datetime) -> dt.datetime:
    if not _FIRST <= moment < _LAST:
        raise MomentError(f"{moment:%Y-%m-%d} is not between 2020 and 2200")
    return moment
