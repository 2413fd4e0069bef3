"""The catalogue's words for people. Every drop reason, state and rule has some; a word of a newer agent stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fsd_agent.records.reasons import DropReason

REASONS: Final[dict[DropReason, str]] = {
    DropReason.BUDGET_CLIPS: "the campaign had as many clips as it may have",
    DropReason.BUDGET_BYTES: "the campaign had as many bytes as it may have",
    DropReason.SAMPLED_OUT: "the campaign keeps a sample, and this was not in it",
    DropReason.IGNITION_OFF: "the car was switched off",
    DropReason.NO_CONSENT: "the user had not consented to its purpose",
    DropReason.CONSENT_WITHDRAWN: "the user withdrew consent to its purpose, and its key was destroyed",
    DropReason.SENSITIVE_ZONE: "it was in a place where nothing may be collected",
    DropReason.POSITION_UNKNOWN: "the vehicle did not know whether it was where nothing may be collected",
    DropReason.LEFT_REGION: "the vehicle left its region, which wants such clips erased",
    DropReason.NO_VIDEO: "there was no video",
    DropReason.DISK_FULL: "the disk was full",
    DropReason.DISK_SCARCE: "the disk had little room or was slow, and it was not important enough",
    DropReason.DISK_FAILED: "the disk could not be written to",
    DropReason.CAMERA_MISSING: "a camera that it was to show gave no picture",
    DropReason.PICTURE_BLACK: "nothing could be seen: the picture was black",
    DropReason.PICTURE_FROZEN: "the camera gave the same picture again and again",
    DropReason.PICTURE_DARK: "it was too dark for its campaign",
    DropReason.PICTURE_OVEREXPOSED: "the picture was too bright to see anything",
    DropReason.PICTURE_BLURRED: "the picture was too blurred to see anything",
    DropReason.LENS_DIRTY: "the camera's lens was dirty",
    DropReason.FALSE_HIT: "what it was collected for was not there at a second look",
    DropReason.ALREADY_SENT: "it showed nearly the same as one that had been sent",
    DropReason.REGION_HAS_ENOUGH: "the region had enough of what it showed",
    DropReason.QUOTA_REGION: "the clips of its region took too much room, and it was worth the least",
    DropReason.QUOTA_SPOOL: "all clips took too much room, and it was worth the least",
    DropReason.DISK_NEEDED: "something newer or more important needed its room on the disk",
    DropReason.NO_KEY: "there was no key to keep it under",
    DropReason.STAGING_LOST: "what was recorded could not be read any more",
    DropReason.LEDGER_FAILED: "the ledger could not record it",
    DropReason.NEVER_ACCEPTED: "the vehicle stopped before it was kept",
    DropReason.REDACTION_NO_CODEC: "persons could not be made unrecognisable: there is no codec",
    DropReason.REDACTION_NOT_LOOKED: "nobody looked for persons in a part of the video",
    DropReason.REDACTION_UNKNOWN_RULE: "the region asks for a redaction that the vehicle does not know",
    DropReason.REDACTION_FAILED: "persons could not be made unrecognisable",
    DropReason.REDACTION_CHECK_FAILED: "looked at again, a person or a number plate could still be recognised",
    DropReason.VIDEO_DAMAGED: "the video was damaged",
    DropReason.SEAL_FAILED: "it could not be sealed",
    DropReason.SPOOL_DAMAGED: "its file was damaged or lost",
    DropReason.REFUSED_BY_REGION: "the region refused it",
    DropReason.RETENTION_OVER: "it had waited for as long as it may be kept",
    DropReason.DEADLINE_PASSED: "it had waited for as long as its campaigns had a use for it",
}
_RULES: Final = {
    "faces=head_zone": "heads of persons painted over",
    "faces=none": "",
    "plates=plate_band": "number plates' part of vehicles painted over",
    "plates=none": "",
    "fill=solid": "",
    "fill=pixelate": "what was painted over is a few flat cells, not black",
    "strictness=standard": "",
    "strictness=strict": "more than that where there was doubt",
}
CLASSES: Final = "classes="
"""Begins the rule that names what the clip may hold at all."""

_LOCATION: Final = "location="
"""Begins the rule for positions; what was really done to them is said beside the rules."""


def reason_in_words(reason: str) -> str:
    """Of a drop."""
    known = {str(one): text for one, text in REASONS.items()}
    return known.get(reason, reason)


def removed_in_words(rules: Sequence[str], location: str) -> tuple[str, ...]:
    """What redaction took away, by the rules that it recorded and what it did to positions."""
    return tuple(_removed(rules, location))


def classes_in(rules: Sequence[str]) -> tuple[str, ...]:
    """Data classes that the clip may hold; none where the record does not say."""
    named = [rule.removeprefix(CLASSES) for rule in rules if rule.startswith(CLASSES)]
    return tuple(one for text in named for one in text.split("+") if one)


def _removed(rules: Sequence[str], location: str) -> Iterator[str]:
    for rule in rules:
        text = "" if rule.startswith((CLASSES, _LOCATION)) else _RULES.get(rule, rule)
        if text:
            yield text
    kind, _, degrees = location.partition(":")
    if kind == "dropped":
        yield "positions"
    elif kind == "coarse":
        yield f"positions, but for one to within {degrees} degrees"
    elif kind and kind != "kept":
        yield f"positions: {location}"
