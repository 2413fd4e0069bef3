"""``fsdctl vehicle egress``: the list of where the service's user may send, printed, checked or put in force.

Run by the integrator as root, outside the agent: an agent that could change the list would not be bound by it. What
it may say is the agent's own decision (:mod:`.belonging`), with the latest time that is known.
"""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from pathlib import Path

from fsd_agent.ports.clock import Clock
from fsd_agent.records.region import Hold, Route
from fsd_agent.rules.residency.egress import EgressError, Opening, egress_ruleset, opening
from fsd_agent.wire.moments import show_moment
from fsd_tools.errors import ToolError, UsageError
from fsd_tools.vehicle.belonging import belonging_of, read_kept


@dataclass(frozen=True, slots=True)
class EgressList:
    """One list: as nft reads it, and in words."""

    ruleset: str
    said: str
    """What it lets through, or why nothing."""


def egress_list(vehicle_dir: Path, data_dir: Path, uid: int, clock: Clock) -> EgressList:
    """The list for the vehicle as it stands now. Raises :class:`ToolError`."""
    now = belonging_of(vehicle_dir, read_kept(data_dir), clock)
    try:
        opens = opening(now.where, max(clock.wall_ns(), now.proved_ns))
        return EgressList(egress_ruleset(uid, opens, why=_why(now.where)), _said(now.where, opens))
    except EgressError as error:
        raise ToolError(str(error)) from error


def user_id(user: str) -> int:
    """Number of a user given by name or number. Raises :class:`UsageError`."""
    if user.isascii() and user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise UsageError(f"--user {user}: there is no such user on this machine.") from None


def _said(where: Route | Hold, opens: Opening | None) -> str:
    if isinstance(where, Hold):
        return f"nothing: the vehicle holds ({where.reason}: {where.detail})"
    if opens is None:
        return "nothing: the registration is over"
    allowed = ", ".join(f"{one.address} port {one.port}" for one in opens.allowed)
    return f"{allowed}, until {show_moment(opens.until_ns)}"


def _why(where: Route | Hold) -> str:
    if isinstance(where, Hold):
        return f"The vehicle holds ({where.reason}): nothing may leave."
    registration, policy = where.registration, where.policy
    return (
        f"Vehicle {registration.vehicle}, jurisdiction {registration.jurisdiction}, serial {registration.serial}"
        f" until {show_moment(registration.not_after_wall_ns)}:"
        f" region {policy.region_id}, policy version {policy.version}."
    )
