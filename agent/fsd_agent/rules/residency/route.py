"""Where a vehicle's data may go: exactly one region, or nowhere.

The rule. A vehicle has one registration; its jurisdiction is served by exactly one region whose policy the vehicle
holds; that region is the route. Everything else is a hold: no registration, one that can't be used, a jurisdiction
that no region serves, one that two regions claim, a region without a usable policy, a policy that a jurisdiction
forbids. There is no default, no order of preference and no fallback: what is unknown stays in the vehicle.

A region without a usable policy holds even where another serves the jurisdiction: the missing one may claim it too,
and then which region is right is for people to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from fsd_agent.records.region import Hold, HoldReason, RegionPolicy, Registration, Route
from fsd_agent.rules.residency.jurisdictions import violations
from fsd_agent.wire.policy import PolicyError
from fsd_agent.wire.registration import RegistrationError


def route(
    registration: Registration | RegistrationError | None, policies: Sequence[RegionPolicy | PolicyError]
) -> Route | Hold:
    """The route of a vehicle, or why there is none. A function of its arguments, whatever their order.

    ``registration`` is None where firmware has no document and the error where the document is unusable; likewise
    an error stands among ``policies`` for each region of the vehicle that has no usable policy.
    """
    if registration is None:
        return Hold(HoldReason.NO_REGISTRATION, "firmware holds no registration document")
    if isinstance(registration, RegistrationError):
        return Hold(registration.reason, str(registration))
    usable = [policy for policy in policies if isinstance(policy, RegionPolicy)]
    return _unfit(policies, usable) or _only_one(registration, usable)


def _unfit(policies: Sequence[RegionPolicy | PolicyError], usable: Sequence[RegionPolicy]) -> Hold | None:
    """A hold where one of the policies can't be gone by."""
    if not policies or len(usable) < len(policies):
        damaged = sorted(str(policy) for policy in policies if isinstance(policy, PolicyError))
        return Hold(HoldReason.NO_POLICY, "; ".join(damaged) or "the vehicle is enrolled with no region")
    forbidden = sorted(f"{policy.region_id}: {broken}" for policy in usable for broken in violations(policy))
    return Hold(HoldReason.POLICY_FORBIDDEN, "; ".join(forbidden)) if forbidden else None


def _only_one(registration: Registration, usable: Sequence[RegionPolicy]) -> Route | Hold:
    """The one region that serves the registration's jurisdiction."""
    serving = [policy for policy in usable if registration.jurisdiction in policy.jurisdictions]
    if not serving:
        return Hold(
            HoldReason.NO_REGION, f"jurisdiction {registration.jurisdiction}; known: {_names(usable)}"
        )
    if len(serving) > 1:
        return Hold(HoldReason.TWO_REGIONS, f"jurisdiction {registration.jurisdiction}: {_names(serving)}")
    (only,) = serving
    return Route(registration, only)


def _names(policies: Sequence[RegionPolicy]) -> str:
    return ", ".join(sorted(f"{policy.region_id} ({' '.join(policy.jurisdictions)})" for policy in policies))
