"""How long a vehicle's certificate for a region's broker still serves, by the clock.

More than :data:`WARN_NS` left: nothing to say. Less: a warning, once a day. None: it is not shown to anybody, because
every broker would refuse it; clips wait on board until a renewed one is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fsd_agent.wire.moments import show_moment

DAY_NS: Final = 86_400_000_000_000
WARN_NS: Final = 30 * DAY_NS
"""A vehicle that is driven once a month is still reached in time."""


class CertificateState(StrEnum):
    """Of one certificate at one moment."""

    SERVES = "serves"
    EXPIRING = "expiring"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CertificateLife:
    """See the module."""

    state: CertificateState
    days_left: int
    """Whole days; 0 on the last day and from then on."""
    detail: str
    """In words, for people; empty while it serves."""


def certificate_life(region_id: str, *, until_wall_ns: int, now_wall_ns: int) -> CertificateLife:
    """Judge a certificate that is valid until ``until_wall_ns``; both are Unix time."""
    left_ns = until_wall_ns - now_wall_ns
    days = max(0, left_ns // DAY_NS)
    if left_ns > WARN_NS:
        return CertificateLife(CertificateState.SERVES, days, "")
    until, renew = show_moment(until_wall_ns), "renew it: fsdctl vehicle enrol --renew"
    if left_ns > 0:
        detail = f"this vehicle's certificate for region {region_id!r} expires at {until}; {renew}"
        return CertificateLife(CertificateState.EXPIRING, days, detail)
    detail = f"this vehicle's certificate for region {region_id!r} has expired at {until}; {renew}"
    return CertificateLife(CertificateState.EXPIRED, days, detail)
