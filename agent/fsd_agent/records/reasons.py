"""Why data was not delivered. Every drop carries one of these, and they are counted per campaign; and why clips wait."""

from __future__ import annotations

from enum import StrEnum


class DropReason(StrEnum):
    """One word that operators see in tables and status messages."""

    # Selection, at the firing
    BUDGET_CLIPS = "budget_clips"
    BUDGET_BYTES = "budget_bytes"
    SAMPLED_OUT = "sampled_out"
    IGNITION_OFF = "ignition_off"
    """The car was not in use: nothing new is kept."""
    # Selection, of a captured clip
    ALREADY_SENT = "already_sent"
    """This vehicle has sent nearly the same for this campaign, or is about to."""
    REGION_HAS_ENOUGH = "region_has_enough"
    """The region has said that it has enough of nearly the same for this campaign."""
    # Consent
    NO_CONSENT = "no_consent"
    """The user has not consented to the campaign's purpose."""
    CONSENT_WITHDRAWN = "consent_withdrawn"
    """The user had consented when it fired, and does not any more."""
    # Residency: nothing is collected here
    SENSITIVE_ZONE = "sensitive_zone"
    POSITION_UNKNOWN = "position_unknown"
    """The region has sensitive zones, and the vehicle does not know where it is."""
    LEFT_REGION = "left_region"
    """The vehicle is registered elsewhere now, and the clip's region wants it erased."""
    # Capture
    NO_VIDEO = "no_video"
    DISK_FULL = "disk_full"
    DISK_SCARCE = "disk_scarce"
    """The disk has little room or is slow, and what fired is of low priority."""
    DISK_FAILED = "disk_failed"
    """The disk is read-only or fails."""
    NO_KEY = "no_key"
    """The key of its compartment can't be made or read."""
    STAGING_LOST = "staging_lost"
    LEDGER_FAILED = "ledger_failed"
    """The ledger could not record that it is kept."""
    NEVER_ACCEPTED = "never_accepted"
    """In the ledger alone: the vehicle stopped between recording that it is kept and keeping it."""
    # Selection, of the finished clip: nothing of it was encoded
    CAMERA_MISSING = "camera_missing"
    """Of a camera that it is to show there is no picture."""
    PICTURE_BLACK = "picture_black"
    PICTURE_FROZEN = "picture_frozen"
    PICTURE_DARK = "picture_dark"
    PICTURE_OVEREXPOSED = "picture_overexposed"
    PICTURE_BLURRED = "picture_blurred"
    LENS_DIRTY = "lens_dirty"
    FALSE_HIT = "false_hit"
    """What the condition saw is not there at a second look."""
    # Redaction: fail closed
    REDACTION_NO_CODEC = "redaction_no_codec"
    REDACTION_NOT_LOOKED = "redaction_not_looked"
    """A stretch of video on which no source looked for persons and vehicles."""
    REDACTION_UNKNOWN_RULE = "redaction_unknown_rule"
    REDACTION_FAILED = "redaction_failed"
    REDACTION_CHECK_FAILED = "redaction_check_failed"
    """Looked at again by other models, something was still open, also with strict rules; or it could not be looked at."""
    VIDEO_DAMAGED = "video_damaged"
    # Room: it was worth the least of what was on board
    QUOTA_REGION = "quota_region"
    """Its region's clips took more than their quota."""
    QUOTA_SPOOL = "quota_spool"
    """All clips together took more than their quota."""
    DISK_NEEDED = "disk_needed"
    """The disk had less room than an event in progress may need."""
    # Sealing and delivery
    SEAL_FAILED = "seal_failed"
    SPOOL_DAMAGED = "spool_damaged"
    REFUSED_BY_REGION = "refused_by_region"
    RETENTION_OVER = "retention_over"
    """It has waited on the vehicle for as long as its region would have kept it."""
    DEADLINE_PASSED = "deadline_passed"
    """It has waited for as long as it was worth anything to its campaigns."""


class Waits(StrEnum):
    """Why a sealed clip may not be sent now. It stays, and goes when that changes."""

    IGNITION_OFF = "ignition_off"
    """The agent sleeps."""
    NO_LINK = "no_link"
    FOR_WIFI = "waits_for_wifi"
    FOR_UNMETERED = "waits_for_unmetered"
    ROAMING = "roaming"
    """The link is in another operator's network."""
    BUDGET_DAY = "budget_day"
    BUDGET_MONTH = "budget_month"
    """The bytes that may go over metered links are used up."""
