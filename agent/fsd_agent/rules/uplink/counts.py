"""What became of answers, as the status tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class UplinkCounts:
    """What happened since the schedule was made."""

    bad_receipts: int = 0
    """Receipts and refusals that were not for the clip they came for, or not signed by its region."""
    bad_answers: int = 0
    """Answers that are malformed or impossible for their clip."""
    stale_answers: int = 0
    unknown_clips: int = 0
    """Answers about clips that are not (or no longer) waiting here; normal after a repeated receipt."""
    timeouts: int = 0

    def __add__(self, other: UplinkCounts) -> UplinkCounts:
        """Both together."""
        return UplinkCounts(  # At each step of the loop: no list of fields is made for it
            self.bad_receipts + other.bad_receipts,
            self.bad_answers + other.bad_answers,
            self.stale_answers + other.stale_answers,
            self.unknown_clips + other.unknown_clips,
            self.timeouts + other.timeouts,
        )
