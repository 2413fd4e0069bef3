"""The control path: pushed campaign sets, verified, checked against this vehicle, and swapped in whole.

broker -> signature, region and version (``rules.trust``) -> program format (``wire.campaigns``) -> signals, types
and windows of this vehicle (``rules.triggers.check``) -> kept in the journal -> in force at the next batch.

A push that fails any of these is refused with a reason that operators read in the status; the set in force goes on.

Threads: ``handle`` from the delivering thread; ``in_force`` from the sensing thread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from fsd_agent.ports.broker import Message
from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import Journal, JournalError
from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.region import RegionPolicy, Route
from fsd_agent.rules.triggers.check import CampaignRefusedError, check_campaign
from fsd_agent.rules.trust.campaigns import Accepted, Refused, accept_campaigns
from fsd_agent.wire.transfer import campaigns_topic
from fsd_firmware.catalogue import Catalogue


class Control:
    """See the module."""

    def __init__(
        self,
        *,
        journal: Journal,
        events: EventSink,
        catalogue: Catalogue,
        cameras: Sequence[str],
        horizon_ns: int,
    ) -> None:
        self._journal = journal
        self._events = events
        self._catalogue = catalogue
        self._cameras = tuple(cameras)
        self._horizon_ns = horizon_ns
        self._lock = threading.Lock()
        self._sets: dict[str, tuple[CampaignSet, bytes]] = {}
        """By region: the set in force and the envelope it came in."""
        self._refused = ""

    @property
    def refused(self) -> str:
        """Why the newest push was refused; empty when it was taken."""
        with self._lock:
            return self._refused

    def in_force(self, region_id: str | None) -> CampaignSet | None:
        """The set in force for this region; None where there is none, or no region."""
        with self._lock:
            held = self._sets.get(region_id) if region_id is not None else None
        return held[0] if held is not None else None

    def restore(self, policy: RegionPolicy) -> None:
        """Take up the set that was in force before the restart, verified as if it had just arrived."""
        kept = self._journal.get_state(_state_key(policy))
        if kept is not None:
            self._take(kept, policy)

    def on_message(self, route: Route, message: Message) -> None:
        """Something that is not about a clip arrived over ``route``'s connection."""
        if message.topic == campaigns_topic(route.policy.region_id):
            self._take(message.payload, route.policy, keep=True)

    def _take(self, envelope: bytes, policy: RegionPolicy, *, keep: bool = False) -> None:
        with self._lock:
            held = self._sets.get(policy.region_id)
        floor_version, in_force = (held[0].version, held[1]) if held is not None else (0, None)
        outcome = accept_campaigns(envelope, policy, floor_version=floor_version, in_force=in_force)
        if isinstance(outcome, Refused):
            self._refuse(policy, f"{outcome.reason}: {outcome.detail}")
        elif isinstance(outcome, Accepted):
            self._swap(outcome.campaigns, envelope, policy, keep=keep)

    def _swap(self, campaigns: CampaignSet, envelope: bytes, policy: RegionPolicy, *, keep: bool) -> None:
        try:
            for campaign in campaigns.campaigns:
                check_campaign(
                    campaign, self._catalogue, self._cameras, policy.region_id, horizon_ns=self._horizon_ns
                )
            if keep:
                # On disk before it is in force: after a restart an older set must not come back.
                self._journal.set_state(_state_key(policy), envelope)
        except (CampaignRefusedError, JournalError) as error:
            self._refuse(policy, str(error))
            return
        with self._lock:
            self._sets[policy.region_id] = (campaigns, envelope)
            self._refused = ""
        self._events.emit(
            "campaigns",
            region=policy.region_id,
            version=campaigns.version,
            count=len(campaigns.campaigns),
        )

    def _refuse(self, policy: RegionPolicy, reason: str) -> None:
        with self._lock:
            self._refused = reason
        self._events.emit("campaigns_refused", region=policy.region_id, reason=reason)


def _state_key(policy: RegionPolicy) -> str:
    return f"campaigns/{policy.region_id}"
