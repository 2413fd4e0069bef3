"""What an audit can find. Every kind means that the ledger, or what the vehicle did, is not as it must be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """One word for machines; the finding's detail is for people."""

    # The ledger is not as the device wrote it
    NO_LEDGER = "no_ledger"
    BAD_FILE = "bad_file"
    TORN = "torn"
    """The newest file ends in something that is no whole record: a power cut that the agent has not yet repaired."""
    UNREADABLE = "unreadable"
    MISSING = "missing"
    CHANGED = "changed"
    REORDERED = "reordered"
    REPEATED = "repeated"
    BAD_SIGNATURE = "bad_signature"
    NOT_AS_SIGNED = "not_as_signed"
    UNSIGNED = "unsigned"
    NOT_AS_TOLD = "not_as_told"
    """A region was told another root, or more records."""
    CLOCK = "clock"
    # What the vehicle did is not as it must be
    UNKNOWN_CLIP = "unknown_clip"
    WRONG_REGION = "wrong_region"
    WRONG_ORDER = "wrong_order"
    NO_CONSENT = "no_consent"
    """Something was collected, sealed or sent for a purpose that was not consented to at that moment."""
    WRONG_FILE = "wrong_file"
    BAD_RECEIPT = "bad_receipt"
    ERASED_WITHOUT_CAUSE = "erased_without_cause"
    NOT_AT_REGION = "not_at_region"
    NOT_IN_LEDGER = "not_in_ledger"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: FindingKind
    file: str
    """Ledger file that the record lies in, or the region's file."""
    number: int | None
    """Record that is concerned; the first, where there are several; None where it can't be told."""
    detail: str
    clip_id: str = ""

    def __str__(self) -> str:
        """One line: file, record, kind, reason."""
        at = "" if self.number is None else f" record {self.number}:"
        about = f" (clip {self.clip_id})" if self.clip_id else ""
        return f"{self.file}:{at} {self.kind}: {self.detail}{about}"
