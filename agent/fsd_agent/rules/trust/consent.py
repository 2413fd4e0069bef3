"""Which consent counts: firmware's document against the newest that was ever accepted.

A newer revision counts as it is. An older one, or the same with other purposes, is refused, and then only what both give
counts: a backup that is restored, or a file that somebody laid down, takes consent away but never brings it back.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.records.consent import ConsentFault, ConsentSetting
from fsd_agent.records.purpose import Purpose


@dataclass(frozen=True, slots=True)
class HeardConsent:
    """What to go by."""

    given: frozenset[Purpose]
    floor: ConsentSetting
    """To be kept before ``given`` counts."""
    fault: ConsentFault | None = None
    detail: str = ""


def accept_consent(setting: ConsentSetting, floor: ConsentSetting | None) -> HeardConsent:
    """Decide on firmware's document; ``floor`` is None where none was ever accepted."""
    if floor is None or setting.revision > floor.revision:
        return HeardConsent(setting.given, setting)
    if setting == floor:
        return HeardConsent(setting.given, floor)
    both = setting.given & floor.given
    if setting.revision < floor.revision:
        detail = f"revision: {setting.revision}, but {floor.revision} was accepted before"
        return HeardConsent(both, floor, ConsentFault.OLDER, detail)
    detail = f"revision: {setting.revision} was accepted before with other purposes"
    return HeardConsent(both, floor, ConsentFault.CONTRADICTS, detail)


def not_kept(heard: HeardConsent, floor: ConsentSetting | None, why: str) -> HeardConsent:
    """What to go by where the new floor can't be kept: no more than both, so that a restart brings nothing back."""
    before = floor.given if floor is not None else frozenset[Purpose]()
    kept = floor if floor is not None else ConsentSetting(0, frozenset())
    return HeardConsent(heard.given & before, kept, ConsentFault.NOT_KEPT, why)
