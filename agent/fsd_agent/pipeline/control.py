"""The control path: pushed campaign sets, verified, checked against this vehicle, and swapped in whole.

broker -> signature, region and version (``rules.trust``) -> program format (``wire.campaigns``) -> signals, types
and windows of this vehicle (``rules.triggers.check``) -> kept in the journal -> in force at the next batch.

A push that fails any of these is refused with a reason that operators read in the status; the set in force goes on.

No older set comes back: the newest one ever taken from a region is kept in the journal, and counts also while this
vehicle can't run it or belongs elsewhere.

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
        self._sets: dict[str, CampaignSet] = {}
        """By region: the set in force."""
        self._newest: dict[str, tuple[int, bytes]] = {}
        """By region: version and envelope of the newest set ever taken, also where it can't be in force now."""
        self._restored: set[str] = set()
        self._known: dict[str, frozenset[str]] = {}
        """By region: every campaign that was ever in force for it."""
        self._refused: dict[str, str] = {}

    def known(self, region_id: str) -> frozenset[str]:
        """Ids of every campaign that this region ever had in force here: what may be told to it."""
        with self._lock:
            return self._known.get(region_id, frozenset())

    def refused(self, region_id: str) -> str:
        """Why this region's newest push was refused; empty when it was taken."""
        with self._lock:
            return self._refused.get(region_id, "")

    def in_force(self, region_id: str | None) -> CampaignSet | None:
        """The set in force for this region; None where there is none, or no region."""
        with self._lock:
            return self._sets.get(region_id) if region_id is not None else None

    def restore(self, policy: RegionPolicy) -> None:
        """Take up the set that was in force before the restart, verified as if it had just arrived.

        Done at start for every region that the vehicle has a policy of: it may come to belong to any of them; and before
        the first push of a region whose policy came later. A set that is refused now, because the policy has given up the key
        that signed it, still counts as the newest.
        """
        version = self._journal.get_state(_version_key(policy))
        if version is not None:
            with self._lock:
                self._newest[policy.region_id] = (int(version), b"")
        known = self._journal.get_state(_known_key(policy))
        if known is not None:
            with self._lock:
                self._known[policy.region_id] = frozenset(known.decode().split())
        kept = self._journal.get_state(_state_key(policy))
        self._restored.add(policy.region_id)
        if kept is not None:
            self._take(kept, policy, is_push=False)

    def on_message(self, route: Route, message: Message) -> None:
        """Something that is not about a clip arrived over ``route``'s connection."""
        if message.topic == campaigns_topic(route.policy.region_id):
            try:
                if route.policy.region_id not in self._restored:
                    self.restore(route.policy)
            except JournalError as error:  # what was taken before is unknown: nothing is taken
                self._refuse(route.policy, str(error))
                return
            self._take(message.payload, route.policy, is_push=True)

    def _take(self, envelope: bytes, policy: RegionPolicy, *, is_push: bool) -> None:
        with self._lock:
            floor_version, in_force = self._newest.get(policy.region_id, (0, None))
        if not is_push:
            floor_version, in_force = 0, None
        outcome = accept_campaigns(envelope, policy, floor_version=floor_version, in_force=in_force)
        if isinstance(outcome, Refused):
            self._refuse(policy, f"{outcome.reason}: {outcome.detail}")
        elif isinstance(outcome, Accepted):
            if not is_push:
                with self._lock:
                    self._newest[policy.region_id] = (outcome.campaigns.version, envelope)
            self._swap(outcome.campaigns, envelope, policy, is_push=is_push)

    def _swap(self, campaigns: CampaignSet, envelope: bytes, policy: RegionPolicy, *, is_push: bool) -> None:
        try:
            for campaign in campaigns.campaigns:
                check_campaign(
                    campaign, self._catalogue, self._cameras, policy.region_id, horizon_ns=self._horizon_ns
                )
            known = self.known(policy.region_id).union(one.id for one in campaigns.campaigns)
            if is_push:
                self._journal.set_state(_known_key(policy), " ".join(sorted(known)).encode())
                # On disk before it is in force: after a restart an older set must not come back. The envelope comes
                # first: a number without it would refuse the very set that it is of.
                self._journal.set_state(_state_key(policy), envelope)
                self._journal.set_state(_version_key(policy), str(campaigns.version).encode())
        except (CampaignRefusedError, JournalError) as error:
            self._refuse(policy, str(error))
            return
        with self._lock:
            self._sets[policy.region_id] = campaigns
            self._known[policy.region_id] = known
            self._newest[policy.region_id] = (campaigns.version, envelope)
            self._refused.pop(policy.region_id, None)
        self._events.emit(
            "campaigns",
            region=policy.region_id,
            version=campaigns.version,
            count=len(campaigns.campaigns),
        )

    def _refuse(self, policy: RegionPolicy, reason: str) -> None:
        with self._lock:
            self._refused[policy.region_id] = reason
        self._events.emit("campaigns_refused", region=policy.region_id, reason=reason)


def _state_key(policy: RegionPolicy) -> str:
    return f"campaigns/{policy.region_id}"


def _version_key(policy: RegionPolicy) -> str:
    return f"campaigns-version/{policy.region_id}"


def _known_key(policy: RegionPolicy) -> str:
    return f"campaigns-known/{policy.region_id}"
