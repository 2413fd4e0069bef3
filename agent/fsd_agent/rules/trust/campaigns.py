"""Which pushed campaign sets a vehicle takes up.

The rules, in this order; the first that fails is the reason:

1. The envelope is sound and signed, as campaigns, by a campaign key of the region's policy.
2. Its payload is a campaign set of a format that this software knows.
3. The set names the policy's region (each of its campaigns then does: the format says so).
4. The set is newer than every set taken before. The very same envelope again is no news and no fault (a retained
   message arrives at every connection); another one of the same version contradicts it and is refused.

Whether the campaigns suit this vehicle's signals and cameras is decided elsewhere; this is only about trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.campaigns import CampaignFormatError, decode_set
from fsd_agent.wire.envelope import CAMPAIGNS, EnvelopeError, open_envelope


class CampaignRefusal(StrEnum):
    """Why a pushed set is not taken."""

    BAD_ENVELOPE = "bad_envelope"
    BAD_FORMAT = "bad_format"
    OTHER_REGION = "other_region"
    OLDER = "older"
    CONTRADICTS = "contradicts"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Trusted and new."""

    campaigns: CampaignSet


@dataclass(frozen=True, slots=True)
class AlreadyHave:
    """Byte for byte the envelope that is in force."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Not taken; what is in force goes on."""

    reason: CampaignRefusal
    detail: str


def accept_campaigns(
    envelope: bytes, policy: RegionPolicy, *, floor_version: int, in_force: bytes | None = None
) -> Accepted | AlreadyHave | Refused:
    """Decide on a pushed envelope.

    ``floor_version`` is the version of the newest set ever taken from this region, 0 if there was none; ``in_force`` is
    that set's envelope. To take up a kept envelope after a restart, give ``floor_version=0``.
    """
    if envelope == in_force:
        return AlreadyHave()
    try:
        campaigns = decode_set(open_envelope(envelope, CAMPAIGNS, *policy.campaign_public_keys))
    except EnvelopeError as error:
        return Refused(CampaignRefusal.BAD_ENVELOPE, str(error))
    except CampaignFormatError as error:
        return Refused(CampaignRefusal.BAD_FORMAT, str(error))
    return _fault(campaigns, policy.region_id, floor_version) or Accepted(campaigns)


def _fault(campaigns: CampaignSet, region_id: str, floor_version: int) -> Refused | None:
    """Rules 3 and 4."""
    if campaigns.region_id != region_id:
        detail = f"for region {campaigns.region_id}, this vehicle's is {region_id}"
        return Refused(CampaignRefusal.OTHER_REGION, detail)
    if campaigns.version < floor_version:
        detail = f"version {campaigns.version}, in force is {floor_version}"
        return Refused(CampaignRefusal.OLDER, detail)
    if campaigns.version == floor_version:
        detail = f"version {floor_version} was taken before with other content"
        return Refused(CampaignRefusal.CONTRADICTS, detail)
    return None
