"""Records as columns of the journal and back. Lists are msgpack; what reads back wrong is damage, said by row."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from fsd_agent.ports.journal import JournalError
from fsd_agent.records.clip import ClipPlace, ClipRow, ClipState
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.link_rule import LinkRule, Links
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.worth import NOT_VALUED, Valued, Worth

CLIP_COLUMNS = (
    "clip_id, region_id, purpose, state, start_ns, end_ns, wall_minus_mono_ns, cameras, signals, priority, cut, "
    "size_bytes, sha256, drop_reason, drop_detail, links, roaming, urgent, deadline_ns, value, valued, value_parts, "
    "best_ns"
)
PLACE_COLUMNS = "clip_id, region_id, purpose, state, deadline_ns"
FIRING_COLUMNS = "firing_id, campaign_id, campaign_version, t_ns, wall_ns, evidence, clip_id, drop_reason"

Row = tuple[Any, ...]
_pack = msgspec.msgpack.encode
_decode_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_names = lru_cache(maxsize=256)(_decode_names)
"""Clips of one campaign have the same: read once, and held once."""
_PURPOSES: Mapping[str, Purpose] = {str(one): one for one in Purpose}
_STATES: Mapping[str, ClipState] = {str(one): one for one in ClipState}
_VALUED: Mapping[str, Valued] = {str(one): one for one in Valued}
"""An enumeration's own look-up takes longer than the rest of a row."""
_parts = msgspec.msgpack.Decoder(tuple[tuple[str, float], ...]).decode
_evidence = msgspec.msgpack.Decoder(tuple[tuple[str, float | str], ...])


def clip_values(row: ClipRow) -> Row:
    """In the order of ``CLIP_COLUMNS``."""
    return (
        row.clip_id, row.region_id, row.purpose, row.state, row.start_ns, row.end_ns, row.wall_minus_mono_ns,
        _pack(row.cameras), _pack(row.signals), row.priority, int(row.cut),
        row.size_bytes, row.sha256, row.drop, row.drop_detail,
        row.link.links, int(row.link.roaming), int(row.link.urgent), row.link.deadline_ns,
        *worth_values(row.worth),
    )  # fmt: skip


def clip_of(row: Row) -> ClipRow:
    """From the order of ``CLIP_COLUMNS``. Raises :class:`JournalError` for values that we never wrote."""
    clip_id, region_id, purpose, state, start_ns, end_ns, offset_ns, cameras, signals, priority = row[:10]
    cut, size_bytes, sha256, drop, detail, *link = row[10:19]
    try:
        return ClipRow(
            clip_id=clip_id,
            region_id=region_id,
            purpose=_PURPOSES[purpose],
            state=_STATES[state],
            start_ns=start_ns,
            end_ns=end_ns,
            wall_minus_mono_ns=offset_ns,
            cameras=_names(cameras),
            signals=_names(signals),
            priority=priority,
            cut=bool(cut),
            size_bytes=size_bytes,
            sha256=sha256,
            drop=None if drop is None else DropReason(drop),
            drop_detail=detail,
            link=rule_of(*link),
            worth=worth_of(*row[19:]),
        )
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise JournalError(f"journal: the row of clip {clip_id} is damaged: {_fault(error)}") from error


def place_of(row: Row) -> ClipPlace:
    """From the order of ``PLACE_COLUMNS``. Raises :class:`JournalError` for values that we never wrote."""
    clip_id, region_id, purpose, state, deadline_ns = row
    try:
        return ClipPlace(clip_id, region_id, _PURPOSES[purpose], _STATES[state], deadline_ns)
    except KeyError as error:
        raise JournalError(f"journal: the row of clip {clip_id} is damaged: {_fault(error)}") from error


def compartment_of(row: Row) -> Compartment:
    """Of (region id, purpose). Raises :class:`JournalError` for a purpose that we never wrote."""
    region_id, purpose = row
    try:
        return Compartment(region_id, _PURPOSES[purpose])
    except KeyError as error:
        raise JournalError(f"journal: clips of region {region_id} are damaged: {_fault(error)}") from error


def _fault(error: Exception) -> str:
    return (
        f"{error} is no purpose, no state and no reason of a value"
        if isinstance(error, KeyError)
        else str(error)
    )


def rule_of(links: str, roaming: int, urgent: int, deadline_ns: int | None) -> LinkRule:
    """From its columns; raises ``ValueError`` for a word that we never wrote."""
    return LinkRule(Links(links), bool(roaming), bool(urgent), deadline_ns)


def worth_values(worth: Worth) -> Row:
    """``value, valued, value_parts, best_ns``."""
    return worth.value, worth.why, _pack(worth.parts) if worth.parts else b"", worth.best_ns


def worth_of(value: float, valued: str, parts: bytes, best_ns: int | None) -> Worth:
    """From its columns; raises ``KeyError`` or ``MsgspecError`` for what we never wrote."""
    why = _VALUED[valued]
    if why is Valued.NOT_YET:
        return NOT_VALUED
    return Worth(value, why, _parts(parts) if parts else (), best_ns)


def firing_values(judged: JudgedFiring) -> Row:
    """In the order of ``FIRING_COLUMNS``."""
    firing = judged.firing
    # Evidence comes out of arrays: NumPy's floats are floats, but not to an encoder.
    evidence = [(name, seen if isinstance(seen, str) else float(seen)) for name, seen in firing.evidence]
    return (
        judged.firing_id, firing.campaign_id, firing.campaign_version, firing.t_ns, judged.wall_ns,
        _pack(evidence), judged.clip_id, judged.drop,
    )  # fmt: skip


def firing_of(row: Row) -> JudgedFiring:
    """From the order of ``FIRING_COLUMNS``. Raises :class:`JournalError` for values that we never wrote."""
    firing_id, campaign_id, version, t_ns, wall_ns, evidence, clip_id, drop = row
    try:
        return JudgedFiring(
            firing_id=firing_id,
            firing=Firing(campaign_id, version, t_ns, _evidence.decode(evidence)),
            wall_ns=wall_ns,
            clip_id=clip_id,
            drop=None if drop is None else DropReason(drop),
        )
    except (ValueError, msgspec.MsgspecError) as error:
        raise JournalError(f"journal: the row of firing {firing_id} is damaged: {error}") from error
