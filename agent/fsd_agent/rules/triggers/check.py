"""Can this vehicle run this campaign? Asked of every campaign of a set before the set is swapped in.

What the format already guarantees (``wire.campaigns``) is not asked again: a program that exists is well-typed.
Asked here is whether it keeps out of the cabin (``rules.cabin``), as at publishing, and what depends on the vehicle: its
region, its signals and their types, its cameras, and how far back its ring reaches. A zone needs nothing: without a
position fix it is unknown. Which models run on the vehicle changes without a push, so a source that is not there is no
reason to refuse: what it would say is unknown.
"""

from __future__ import annotations

from collections.abc import Collection

from fsd_agent.records.campaign import SECOND_NS, Campaign
from fsd_agent.records.program import Op, ProgramError, is_source, names, signal_types, texts
from fsd_agent.rules.cabin import why_not
from fsd_firmware.catalogue import Catalogue


class CampaignRefusedError(Exception):
    """This vehicle can't run the campaign; says which campaign, which field and why."""

    def __init__(self, campaign: str, field: str, reason: str) -> None:
        super().__init__(f"{campaign}: {field}: {reason}")
        self.campaign = campaign
        self.field = field
        self.reason = reason


def check_campaign(
    campaign: Campaign,
    catalogue: Catalogue,
    cameras: Collection[str],
    region_id: str,
    horizon_ns: int,
) -> None:
    """Return when the vehicle can run it. ``horizon_ns`` is how far back the ring reaches.

    Raises :class:`CampaignRefusedError`.
    """
    if campaign.region_id != region_id:
        reason = f"is for {campaign.region_id!r}, this vehicle belongs to {region_id!r}"
        raise CampaignRefusedError(campaign.id, "region", reason)
    refused = why_not(campaign)
    if refused is not None:
        raise CampaignRefusedError(campaign.id, *refused)
    _check_condition(campaign, catalogue, cameras)
    capture = campaign.capture
    if capture.before_ns > horizon_ns:
        asked, have = capture.before_ns / SECOND_NS, horizon_ns / SECOND_NS
        reason = f"{asked:g} s is more than the {have:g} s that this vehicle's ring holds"
        raise CampaignRefusedError(campaign.id, "capture.before", reason)
    for camera in capture.cameras:
        if camera not in cameras:
            reason = f"no camera {camera!r} on this vehicle"
            raise CampaignRefusedError(campaign.id, "capture.cameras", reason)
    for path in capture.signals:
        if path not in catalogue.rows:
            raise CampaignRefusedError(campaign.id, "capture.signals", f"unknown signal {path!r}")


def _check_condition(campaign: Campaign, catalogue: Catalogue, cameras: Collection[str]) -> None:
    try:
        wanted = signal_types(campaign.program)
    except ProgramError as error:
        raise CampaignRefusedError(campaign.id, "condition", str(error)) from None
    for path, kind in wanted.items():
        row = catalogue.rows.get(path)
        if row is None:
            raise CampaignRefusedError(campaign.id, "condition", f"unknown signal {path!r}")
        have = catalogue.entries[row].type
        if have != kind:
            reason = f"takes {path} for {kind}, on this vehicle it is {have}"
            raise CampaignRefusedError(campaign.id, "condition", reason)
    seen = {name for name in names(campaign.program, Op.SEEN) if not is_source(name)}
    for camera in sorted(seen.union(texts(campaign.program, "camera"))):
        if camera not in cameras:
            raise CampaignRefusedError(campaign.id, "condition", f"no camera {camera!r} on this vehicle")
    for head in campaign.heads:
        if head.camera not in cameras:
            reason = f"no camera {head.camera!r} on this vehicle"
            raise CampaignRefusedError(campaign.id, f"heads.{head.name}", reason)
