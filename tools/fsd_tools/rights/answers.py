"""A region's answer: what it stores of one vehicle; and how that fits what the vehicle's receipts say.

JSON, format 1, the members of :class:`RegionAnswer`: what ``fsdctl region data --json`` prints and what it puts beside the
copies as ``catalogue.json``. Times are Unix nanoseconds.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.expired import verify_expired
from fsd_agent.wire.verdict import VerdictError
from fsd_tools.errors import ToolError
from fsd_tools.files import read_input
from fsd_tools.rights.entries import Entry, State

MAX_ANSWER_BYTES = 256 << 20
"""A kilobyte a clip: a quarter of a million clips."""


class RegionFiring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A firing that the clip was kept for."""

    campaign: str
    version: int
    wall_ns: int


class RegionClip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One clip that the region holds, or held."""

    clip: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    state: Literal["stored", "over"]
    """``over``: removed because its retention was over; ``signed`` says so."""
    sealed_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    """Of the file as the vehicle sent it: what the receipt names."""
    stored_wall_ns: int
    bytes: int = 0
    """Of the clip as it is stored."""
    purpose: str = ""
    fired: tuple[RegionFiring, ...] = ()
    cameras: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """What was removed in the vehicle, in words."""
    expired_wall_ns: int = 0
    signed: str = ""
    """Base64 of the region's word that it removed the clip."""
    file: str = ""
    """The copy beside the catalogue."""
    why_no_copy: str = ""
    """Why there can be, or is, none; empty where nothing is in the way."""


class RegionTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the vehicle told of a firing by itself."""

    firing: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    campaign: str
    version: int
    purpose: str
    wall_ns: int
    stored_wall_ns: int
    clip: str = ""
    """The clip that was made of it; empty where there was none."""
    reason: str = ""
    """Why there was none."""
    evidence: tuple[tuple[str, float], ...] = ()
    """What the condition saw, as far as it left the vehicle."""


class RegionAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    format: Literal[1]
    region: str
    vehicle: str
    clips: tuple[RegionClip, ...]
    firings: tuple[RegionTold, ...] = ()
    """The oldest first."""


class AtRegion(StrEnum):
    """How a region's answer fits a clip that the vehicle has its receipt for."""

    HELD = "held"
    """The same file."""
    OVER = "over"
    """Removed because its retention was over, by the region's signed word."""
    NOT_PROVEN_OVER = "not_proven_over"
    """It says so, and its word does not hold or can't be checked here."""
    ANOTHER_FILE = "another_file"
    MISSING = "missing"


SOUND = frozenset({AtRegion.HELD, AtRegion.OVER})


def read_answer(path: Path) -> RegionAnswer:
    """A region's answer; raises :class:`ToolError`."""
    data = read_input(path, MAX_ANSWER_BYTES)
    if len(data) > MAX_ANSWER_BYTES:
        raise ToolError(f"{path}: larger than {MAX_ANSWER_BYTES} bytes")
    try:
        return msgspec.json.decode(data, type=RegionAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ToolError(
            f"{path}: is no answer of a region: {error}; `fsdctl region data REGION --vehicle NAME --json` makes one"
        ) from error


def join(
    vehicle: str,
    entries: Iterable[Entry],
    answers: Iterable[RegionAnswer],
    policies: Mapping[str, RegionPolicy],
) -> tuple[dict[str, AtRegion], tuple[str, ...]]:
    """(by clip id, how the answers fit each delivered clip of their regions; what does not fit, in words).

    Raises :class:`ToolError` for an answer about another vehicle, or two of one region.
    """
    by_region: dict[str, RegionAnswer] = {}
    for answer in answers:
        if answer.vehicle != vehicle:
            raise ToolError(f"the answer of region {answer.region} is about {answer.vehicle}, not {vehicle}")
        if answer.region in by_region:
            raise ToolError(f"two answers of region {answer.region}")
        by_region[answer.region] = answer
    known = {one.clip_id: one for one in entries}
    found: dict[str, AtRegion] = {}
    wrong: list[str] = []
    for region_id, answer in by_region.items():
        held = {one.clip: one for one in answer.clips}
        policy = policies.get(region_id)
        mine = {clip_id: one for clip_id, one in known.items() if one.region_id == region_id}
        delivered = [one for one in mine.values() if one.state is State.DELIVERED]
        fits = {one.clip_id: _fit(vehicle, one, held.get(one.clip_id), policy) for one in delivered}
        bad = {clip_id: FIT_WORDS[fit] for clip_id, fit in fits.items() if fit not in SOUND}
        bad |= dict.fromkeys(held.keys() - mine.keys(), "the vehicle knows nothing of it there")
        found |= fits
        wrong += [f"region {region_id}: clip {clip_id}: {why}" for clip_id, why in sorted(bad.items())]
    return found, tuple(wrong)


FIT_WORDS = {
    AtRegion.HELD: "the region holds this file",
    AtRegion.OVER: "the region removed it, its retention was over",
    AtRegion.NOT_PROVEN_OVER: "the region says that its retention was over, and its signature does not show it",
    AtRegion.ANOTHER_FILE: "the region holds another file than it receipted",
    AtRegion.MISSING: "the region receipted it, and its answer does not have it",
}


def _fit(vehicle: str, entry: Entry, held: RegionClip | None, policy: RegionPolicy | None) -> AtRegion:
    if held is None:
        return AtRegion.MISSING
    if held.sealed_sha256 != entry.sha256:
        return AtRegion.ANOTHER_FILE
    if held.state == "stored":
        return AtRegion.HELD
    try:
        verify_expired(
            base64.b64decode(held.signed, validate=True),
            policy.receipt_public_keys if policy is not None else (),
            clip_id=entry.clip_id,
            region_id=entry.region_id,
            vehicle=vehicle,
            sha256=bytes.fromhex(entry.sha256),
        )
    except (VerdictError, binascii.Error):
        return AtRegion.NOT_PROVEN_OVER
    return AtRegion.OVER
