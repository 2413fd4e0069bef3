"""Which laid-down region policy a vehicle takes up.

The rules, in this order; the first that fails is the reason, and the policy in force goes on:

1. It is not larger than it may be, and signed, as a policy, by the root key that the vehicle pins for the region.
2. Its payload is a policy of a format that this software knows, right in every field.
3. It is the policy of that region.
4. Its version is not below the newest ever accepted under this root key; the same version has the same content.

Whether it may serve its jurisdictions is decided by ``rules.residency``.
"""

from __future__ import annotations

from dataclasses import dataclass

from fsd_agent.records.region import RegionPolicy
from fsd_agent.wire.floors import PolicyFloor, digest_of
from fsd_agent.wire.policy import PolicyError, decode_policy, open_policy


@dataclass(frozen=True, slots=True)
class AcceptedPolicy:
    """In force, once ``floor`` is kept."""

    policy: RegionPolicy
    floor: PolicyFloor


def accept_policy(
    signed: bytes, *, name: str, region_id: str, root: bytes, floor: PolicyFloor | None
) -> AcceptedPolicy:
    """Decide on a policy; raises :class:`PolicyError`, which begins with ``name``.

    ``root`` is the region's raw Ed25519 root key; ``floor`` is None where none was ever accepted under it.
    """
    text = open_policy(signed, root, name)
    policy, digest = decode_policy(text, name), digest_of(text)
    if policy.region_id != region_id:
        raise PolicyError(f"{name}: region: is {policy.region_id!r}, expected {region_id!r}")
    if floor is not None and policy.version < floor.version:
        raise PolicyError(f"{name}: version: {policy.version}, but {floor.version} was accepted before")
    if floor is not None and policy.version == floor.version and digest != floor.digest:
        raise PolicyError(f"{name}: version: {policy.version} was accepted before with other content")
    return AcceptedPolicy(policy, PolicyFloor(policy.version, digest, signed))
