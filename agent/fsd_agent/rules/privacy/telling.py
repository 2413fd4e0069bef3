"""What a region may be told of a firing by itself, ahead of any clip.

Less than a clip may hold, because it is told of every firing, also of those that nothing is kept for:

- never without consent to the campaign's purpose at that moment;
- never of a firing in a sensitive zone, or where the vehicle does not know whether it is in one: that it fired there would
  be a place; and never of a campaign whose condition asks for an area, a position or a name, for the same reason;
- of the evidence numbers alone, and only of signals that the campaign's clips may hold and of counts of detections, each only
  where the policy lists its data class. No signal that tells a position, whatever the location rule is, and none that
  names the vehicle or a person. What is not known to be allowed stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from fsd_agent.records.campaign import Campaign
from fsd_agent.records.firing import Telling, ToldFiring, UntoldFiring
from fsd_agent.records.program import signal_types
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import DataClass, Route
from fsd_agent.rules.privacy.identity import names_somebody
from fsd_agent.rules.privacy.location import tells_position

MAX_EVIDENCE: Final = 16
"""Pairs in one message, in the order of the condition: it stays below a kilobyte."""
DETECTIONS: Final = "detections."
PLACES: Final = frozenset({DropReason.SENSITIVE_ZONE, DropReason.POSITION_UNKNOWN})
"""Reasons that tell where the vehicle is, or that it is where nothing may be collected."""


def telling_of(campaign: Campaign, drop: DropReason | None, given: frozenset[Purpose]) -> Telling | None:
    """What its region may be told of a firing of this campaign; None where it is not told.

    ``drop``: why nothing is kept for it. ``given``: purposes that are consented to.
    """
    if campaign.purpose not in given or drop in PLACES or campaign.zones:
        return None
    if not all(map(_is_harmless, signal_types(campaign.program))):
        return None
    return Telling(campaign.purpose, campaign.capture.signals)


def told_firing(untold: UntoldFiring, where: Route) -> ToldFiring:
    """All that leaves of it, by the policy of ``where``, which must be the route to its own region."""
    judged, policy = untold.judged, where.policy
    if untold.region_id != policy.region_id:
        raise AssertionError(f"a firing of region {untold.region_id} is not for {policy.region_id}")
    leaving = tuple(_leaving(untold, where))
    firing = judged.firing
    return ToldFiring(
        campaign_id=firing.campaign_id,
        campaign_version=firing.campaign_version,
        purpose=untold.telling.purpose,
        t_ns=firing.t_ns,
        wall_ns=judged.wall_ns,
        clip_id=judged.clip_id,
        drop=judged.drop,
        evidence=leaving[:MAX_EVIDENCE],
        left_out=len(firing.evidence) - len(leaving[:MAX_EVIDENCE]),
        registration_serial=where.registration.serial,
        policy_version=policy.version,
    )


def _leaving(untold: UntoldFiring, where: Route) -> Iterator[tuple[str, float]]:
    classes = where.policy.data_classes
    for name, seen in untold.judged.firing.evidence:
        if isinstance(seen, str) or not math.isfinite(seen):
            continue
        if name.startswith(DETECTIONS):
            may = DataClass.DETECTIONS in classes
        else:
            may = DataClass.SIGNALS in classes and name in untold.telling.signals and _is_harmless(name)
        if may:
            yield name, float(seen)


def _is_harmless(path: str) -> bool:
    return not (names_somebody(path) or tells_position(path))
