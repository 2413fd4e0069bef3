"""The region policies in force: what was laid down for the vehicle, once it is verified and kept.

    pinned root key -> signature, fields, version (``rules.trust``) -> jurisdictions (``rules.residency``) -> kept in
    the journal -> in force

A region is one of the vehicle's while its root key is pinned. What is laid down is looked at on every call, so that a
new version counts without a restart. A policy that is refused changes nothing: the one in force goes on, and the
refusal is told once and stays readable while that policy lies there. The newest one ever accepted is kept with its
version, under the root key that signed it, before it is in force; so an older one never comes back, and the file may be
gone or torn at a restart.

Threads: one at a time; the caller serialises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fsd_agent.ports.events import EventSink
from fsd_agent.ports.journal import JournalError, StateStore
from fsd_agent.ports.trust_store import LaidPolicy, TrustError, TrustStore
from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.residency.jurisdictions import violations
from fsd_agent.rules.trust.policies import AcceptedPolicy, accept_policy
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.floors import FloorError, PolicyFloor, decode_policy_floor, encode_policy_floor
from fsd_agent.wire.policy import PolicyError


@dataclass(slots=True)
class _Region:
    """What is known of one region under one root key."""

    root: bytes
    floor: PolicyFloor | None
    policy: RegionPolicy | None
    lost: str | None = None
    """Why what was kept can't be gone by; None once something can."""
    looked_at: LaidPolicy | None = None
    """What lies there and was decided on: the answer would be the same again."""
    refused: str | None = None
    """Why what lies there is not in force."""


class PolicyShelf:
    """See the module."""

    def __init__(self, trust: TrustStore, journal: StateStore, events: EventSink) -> None:
        self._trust = trust
        self._journal = journal
        self._events = events
        self._regions: dict[str, _Region] = {}
        self._strangers: dict[str, str] = {}

    @property
    def refused(self) -> Mapping[str, str]:
        """Why what is laid down for a region is not in force, by region id; nothing for those where it is."""
        mine = {
            region_id: why for region_id, one in self._regions.items() if (why := one.refused or one.lost)
        }
        return self._strangers | mine

    def look(self) -> tuple[RegionPolicy | PolicyError, ...]:
        """What is in force, by region id: one policy for each region of the vehicle, or why there is none."""
        roots, laid = self._trust.roots(), self._trust.policies()
        self._forget_others(roots)
        self._look_at_strangers(set(laid) - set(roots))
        return tuple(
            self._look_at(region_id, roots[region_id], laid.get(region_id)) for region_id in sorted(roots)
        )

    def _forget_others(self, roots: Mapping[str, bytes | TrustError]) -> None:
        for region_id, known in tuple(self._regions.items()):
            if roots.get(region_id) != known.root:
                del self._regions[region_id]

    def _look_at_strangers(self, found: set[str]) -> None:
        now = {
            region_id: f"the vehicle pins no root key of region {region_id!r}" for region_id in sorted(found)
        }
        for region_id, reason in now.items():
            if region_id not in self._strangers:
                self._tell_refused(region_id, reason)
        self._strangers = now

    def _look_at(
        self, region_id: str, root: bytes | TrustError, laid: LaidPolicy | TrustError | None
    ) -> RegionPolicy | PolicyError:
        if isinstance(root, TrustError):
            return PolicyError(str(root))
        known = self._regions.get(region_id)
        if known is None:
            try:
                known = self._restore(region_id, root)
            except (
                JournalError,
                FloorError,
            ) as error:  # what was accepted before is unknown: nothing is accepted
                return PolicyError(f"region {region_id!r}: what was accepted before can't be read: {error}")
            self._regions[region_id] = known
        if laid is None:
            known.looked_at = known.refused = None
        elif laid != known.looked_at:
            self._decide(region_id, known, laid)
        if known.policy is not None:
            return known.policy
        return PolicyError(known.refused or known.lost or f"region {region_id!r}: no policy was laid down")

    def _restore(self, region_id: str, root: bytes) -> _Region:
        """What was in force before the restart, verified as if it had just arrived."""
        kept = self._journal.get_state(_state_key(region_id, root))
        if kept is None:
            return _Region(root, None, None)
        floor = decode_policy_floor(kept)
        laid = LaidPolicy(f"the kept policy of region {region_id!r}", floor.envelope)
        try:
            accepted = self._accept(region_id, root, floor, laid)
        except (
            PolicyError
        ) as error:  # e.g. a format that this software has given up: its version counts all the same
            return _Region(root, floor, None, lost=str(error))
        self._tell_in_force(accepted.policy)
        return _Region(root, floor, accepted.policy)

    def _decide(self, region_id: str, known: _Region, laid: LaidPolicy | TrustError) -> None:
        known.looked_at = None
        if isinstance(laid, TrustError):
            self._refuse(region_id, known, str(laid))
            return
        try:
            accepted = self._accept(region_id, known.root, known.floor, laid)
            if accepted.policy != known.policy:
                self._journal.set_state(
                    _state_key(region_id, known.root), encode_policy_floor(accepted.floor)
                )
        except JournalError as error:  # looked at again: the disk may have room then
            self._refuse(region_id, known, f"the policy of region {region_id!r} can't be kept: {error}")
            return
        except PolicyError as error:
            known.looked_at = laid
            self._refuse(region_id, known, str(error))
            return
        known.looked_at, known.refused, known.lost = laid, None, None
        if accepted.policy != known.policy:
            known.floor, known.policy = accepted.floor, accepted.policy
            self._tell_in_force(accepted.policy)

    def _accept(
        self, region_id: str, root: bytes, floor: PolicyFloor | None, laid: LaidPolicy
    ) -> AcceptedPolicy:
        accepted = accept_policy(laid.signed, name=laid.name, region_id=region_id, root=root, floor=floor)
        broken = violations(accepted.policy)
        if broken:
            raise PolicyError(f"{laid.name}: {'; '.join(broken)}")
        return accepted

    def _refuse(self, region_id: str, known: _Region, reason: str) -> None:
        if reason != known.refused:
            known.refused = reason
            self._tell_refused(region_id, reason)

    def _tell_refused(self, region_id: str, reason: str) -> None:
        self._events.emit("policy_refused", region=region_id, reason=reason)

    def _tell_in_force(self, policy: RegionPolicy) -> None:
        self._events.emit("policy", region=policy.region_id, version=policy.version)


def _state_key(region_id: str, root: bytes) -> str:
    """A region that was made anew, with another root key, counts its versions anew."""
    return f"policy/{region_id}/{key_id_of(root)}"
