"""What the user consents to, as firmware says it, and why its word is not taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsd_agent.records.purpose import Purpose


class ConsentFault(StrEnum):
    """Why there is less consent than firmware's document gives, or none."""

    MISSING = "no_consent_document"
    UNREADABLE = "consent_unreadable"
    TOO_LARGE = "consent_too_large"
    BAD = "bad_consent"
    """No document of the format, or a purpose in it that this software does not know."""
    OLDER = "consent_older"
    """Its revision is below one that was accepted before."""
    CONTRADICTS = "consent_contradicts"
    """Its revision was accepted before with other purposes."""
    NOT_KEPT = "consent_not_kept"
    """What was accepted before can't be read, or this can't be kept."""


@dataclass(frozen=True, slots=True)
class ConsentSetting:
    """One state of the user's setting."""

    revision: int
    """Grows with every change."""
    given: frozenset[Purpose]


@dataclass(frozen=True, slots=True)
class Consented:
    """What is consented to at one moment."""

    given: frozenset[Purpose]
    """Data may be collected, made ready and sent for these."""
    in_force: frozenset[Purpose]
    """As recorded. Those of it that are not given are on hold: nothing is done for them, and nothing is erased."""
    withdrawals: int
    """Grows with every withdrawal: what was looked up before one may be gone."""
