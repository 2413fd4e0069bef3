"""The catalogue for people, a line a clip, and for machines: JSON, format 1.

``{"format": 1, "vehicle", "clips": [...], "dropped_firings": [...], "totals": [...], "not_read": [...]}``. Times are Unix
nanoseconds; every word for machines has its ``says`` for people beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fsd_agent.records.purpose import MEANINGS
from fsd_agent.wire.moments import show_moment
from fsd_tools.rights.answers import FIT_WORDS, AtRegion
from fsd_tools.rights.copies import Copied
from fsd_tools.rights.entries import CopyState, Delivery, Entry, State, totals
from fsd_tools.rights.sources import Dropped
from fsd_tools.rights.words import classes_in, reason_in_words, removed_in_words

_COPIES = {
    CopyState.HERE: "can be had here",
    CopyState.NOT_REDACTED_YET: "not redacted yet: comes once it is sealed",
    CopyState.KEY_DESTROYED: "none: its key is not there any more; withdrawn consent destroys it",
    CopyState.GIVEN_UP: "none: it was given up",
    CopyState.MISSING: "none: its file is not here; if it has just left, look again",
}
_STATES = {
    State.UNKNOWN: "its account can't be read",
    State.RECORDING: "is being recorded",
    State.NOT_REDACTED: "recorded, waits to be redacted",
    State.WAITS: "redacted, waits to be sent",
    State.SENT: "sent, the receipt has not come yet",
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is shown."""

    vehicle: str
    entries: tuple[Entry, ...]
    dropped: Dropped
    fits: Mapping[str, AtRegion]
    """Of delivered clips, where their region was asked."""
    not_read: tuple[str, ...]
    """What could not be read, or does not fit."""
    copied: Mapping[str, Copied] = field(default_factory=dict)


def facts(shown: Catalogue) -> dict[str, Any]:
    """See the module."""
    return {
        "format": 1,
        "vehicle": shown.vehicle,
        "clips": [_clip(one, shown) for one in shown.entries],
        "dropped_firings": [
            {"campaign": campaign, "reason": reason, "says": reason_in_words(reason), "firings": count}
            for campaign, reason, count in shown.dropped
        ],
        "totals": [
            {"purpose": one.purpose, "purpose_means": MEANINGS[one.purpose] if one.purpose else None}
            | {
                "clips": one.clips,
                "bytes": one.size_bytes,
                "states": one.states,
                "copies_here": one.copies_here,
            }
            for one in totals(shown.entries)
        ],
        "not_read": list(shown.not_read),
    }


def lines(shown: Catalogue) -> Iterator[str]:
    """A line a clip, then firings that nothing was kept for, totals by purpose, and what could not be read."""
    for entry in shown.entries:
        yield _line(entry, shown)
    for campaign, reason, count in shown.dropped:
        yield f"{count} firings of {campaign}: nothing was kept, {reason_in_words(reason)}"
    for one in totals(shown.entries):
        states = ", ".join(f"{count} {state}" for state, count in one.states.items())
        purpose = f"{one.purpose} ({MEANINGS[one.purpose]})" if one.purpose else "a purpose that is not known"
        here = f"{one.copies_here} copies can be had here"
        yield f"{one.clips} clips for {purpose}: {one.size_bytes:,} bytes; {states}; {here}"
    if not shown.entries and not shown.dropped:
        yield "nothing is known to have been collected"
    for text in shown.not_read:
        yield f"not in order: {text}"


def state_says(entry: Entry) -> str:
    """What became of it."""
    if entry.state is State.GIVEN_UP:
        end = "is about to be erased" if entry.on_board else "erased"
        return f"given up because {reason_in_words(entry.reason) or 'the reason is not recorded any more'}; {end}"
    if entry.state is State.DELIVERED:
        return _delivered(entry.region_id, entry.delivery)
    return _STATES[entry.state]


def copy_says(entry: Entry, vehicle: str) -> str:
    """Whether a copy can be had, and where."""
    if entry.copy is CopyState.AT_REGION:
        ask = f"fsdctl region data REGION --vehicle {vehicle or 'NAME'} --clip {entry.clip_id} --copy OUT"
        return f"ask the operator of region {entry.region_id}, who runs: {ask}"
    return _COPIES[entry.copy]


def _delivered(region_id: str, delivery: Delivery | None) -> str:
    if delivery is None:
        return f"delivered to region {region_id}; the receipt is not kept any more"
    if delivery.stored_wall_ns is None:
        return f"delivered to region {region_id}; receipt not verified: {delivery.why_not_verified}"
    return f"delivered on {show_moment(delivery.stored_wall_ns)} to region {region_id}, receipt verified"


def _line(entry: Entry, shown: Catalogue) -> str:
    fired = entry.firings[0].wall_ns if entry.firings else None
    when = show_moment(fired) if fired is not None else "time not known"
    campaigns = ", ".join(
        dict.fromkeys(f"{one.campaign_id} v{one.campaign_version}" for one in entry.firings)
    )
    holds = ", ".join(_holds(entry)) or "content not known"
    removed = _removed(entry)
    fit = shown.fits.get(entry.clip_id)
    parts = [
        f"{entry.clip_id} {when} {campaigns or 'campaign not known'} for {entry.purpose or '?'}, region {entry.region_id}",
        holds,
        "" if removed is None else f"removed: {', '.join(removed) or 'nothing had to be'}",
        state_says(entry) + (f" ({FIT_WORDS[fit]})" if fit is not None else ""),
        f"copy: {_copied(entry, shown)}",
    ]
    return "; ".join(part for part in parts if part)


def _removed(entry: Entry) -> tuple[str, ...] | None:
    """None before redaction, and where its record is in the ledger no longer: the region's answer has it then."""
    return removed_in_words(entry.rules, entry.location) if entry.rules or entry.location else None


def _holds(entry: Entry) -> Iterator[str]:
    if entry.cameras:
        yield f"cameras {', '.join(entry.cameras)}"
    if entry.signals:
        yield f"{len(entry.signals)} signals"
    if entry.size_bytes:
        yield f"{entry.size_bytes:,} bytes"


def _copied(entry: Entry, shown: Catalogue) -> str:
    made = shown.copied.get(entry.clip_id)
    if made is None:
        return copy_says(entry, shown.vehicle)
    return made.file or f"none: {made.why_not}"


def _clip(entry: Entry, shown: Catalogue) -> dict[str, Any]:
    made = shown.copied.get(entry.clip_id)
    fit = shown.fits.get(entry.clip_id)
    return {
        "clip": entry.clip_id,
        "region": entry.region_id,
        "purpose": entry.purpose,
        "purpose_means": MEANINGS[entry.purpose] if entry.purpose else None,
        "fired": [
            {"campaign": one.campaign_id, "version": one.campaign_version, "wall_ns": one.wall_ns}
            | {"saw": dict(one.saw)}
            for one in entry.firings
        ],
        "holds": {"cameras": entry.cameras, "signals": entry.signals, "classes": classes_in(entry.rules)}
        | {"bytes": entry.size_bytes},
        "removed": _removed(entry),
        "rules": entry.rules,
        "location": entry.location,
        "state": entry.state,
        "says": state_says(entry),
        "on_board": entry.on_board,
        "reason": entry.reason,
        "sha256": entry.sha256,
        "delivery": _delivery(entry.delivery),
        "at_region": None if fit is None else {"fits": fit, "says": FIT_WORDS[fit]},
        "copy": {"state": entry.copy, "says": _copied(entry, shown), "file": made.file if made else ""},
    }


def _delivery(delivery: Delivery | None) -> dict[str, Any] | None:
    if delivery is None:
        return None
    return {
        "region": delivery.region_id,
        "receipt_sha256": delivery.receipt_sha256,
        "stored_wall_ns": delivery.stored_wall_ns,
        "verified": delivery.stored_wall_ns is not None,
        "why_not_verified": delivery.why_not_verified,
    }
