"""``fsdctl vehicle egress``: the list of where the service's user may send, printed, checked or put in force.

Run by the integrator as root, outside the agent: an agent that could change the list would not be bound by it.

The documents are judged as the agent judges them, but for what the agent keeps in its journal: an older document than
one that it accepted gives the list of then, while the agent holds and sends nothing.

What is in force is compared as the kernel shows it: the wanted list is loaded into a network namespace made for the
purpose, and both are listed by the same nft. So neither spelling nor version matters, and a rule that somebody added
to the table shows.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from fsd_agent.adapters.key_files import KeyFileError, VehicleDir, own_key_ids
from fsd_agent.adapters.trust_files import TrustFiles
from fsd_agent.ports.trust_store import LaidPolicy, TrustError
from fsd_agent.records.region import Hold, HoldReason, RegionPolicy, Registration, Route
from fsd_agent.rules.residency.egress import TABLE, Destination, EgressError, destinations, egress_ruleset
from fsd_agent.rules.residency.jurisdictions import violations
from fsd_agent.rules.residency.route import route
from fsd_agent.rules.trust.policies import accept_policy
from fsd_agent.rules.trust.registration import accept_registration
from fsd_agent.wire.policy import PolicyError
from fsd_agent.wire.registration import MAX_REGISTRATION_BYTES, RegistrationError
from fsd_tools.errors import ToolError, UsageError

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where Debian installs nft; not on a user's PATH."""
NFT_TIMEOUT_S = 20.0


def route_of(vehicle_dir: Path) -> Route | Hold:
    """Where the vehicle belongs by its files, decided as the agent decides it. Raises :class:`ToolError`."""
    if not vehicle_dir.is_dir():
        raise ToolError(f"{vehicle_dir}: is not a vehicle's directory")
    trust = TrustFiles(vehicle_dir)
    laid = trust.policies()
    policies = [
        _policy(region_id, root, laid.get(region_id)) for region_id, root in sorted(trust.roots().items())
    ]
    proved_ns = max((one.issued_wall_ns for one in policies if isinstance(one, RegionPolicy)), default=0)
    return route(_registration(vehicle_dir, trust, proved_ns), policies)


def _policy(
    region_id: str, root: bytes | TrustError, laid: LaidPolicy | TrustError | None
) -> RegionPolicy | PolicyError:
    if isinstance(root, TrustError) or isinstance(laid, TrustError):
        return PolicyError(str(root if isinstance(root, TrustError) else laid))
    if laid is None:
        return PolicyError(f"region {region_id!r}: no policy was laid down")
    try:
        policy = accept_policy(laid.signed, name=laid.name, region_id=region_id, root=root, floor=None).policy
    except PolicyError as error:
        return error
    broken = violations(policy)
    return PolicyError(f"{laid.name}: {'; '.join(broken)}") if broken else policy


def _registration(
    vehicle_dir: Path, trust: TrustFiles, proved_ns: int
) -> Registration | RegistrationError | None:
    try:
        with VehicleDir(vehicle_dir).registration.open("rb") as file:
            document = file.read(MAX_REGISTRATION_BYTES + 1)
        return accept_registration(
            document,
            authorities=trust.authorities(),
            device_key_ids=own_key_ids(vehicle_dir),
            floor=None,
            clock_ns=time.time_ns(),
            proved_ns=proved_ns,
        ).registration
    except FileNotFoundError:
        return None
    except (OSError, KeyFileError) as error:
        raise ToolError(str(error)) from error
    except TrustError as error:
        return RegistrationError(str(error), HoldReason.NO_AUTHORITY)
    except RegistrationError as error:
        return error


def ruleset_for(where: Route | Hold, uid: int) -> tuple[str, tuple[Destination, ...]]:
    """The list as nft reads it, and where it lets packets go. Raises :class:`ToolError`."""
    try:
        allowed = destinations(where)
        return egress_ruleset(uid, allowed, why=_why(where)), allowed
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


def apply(ruleset: str) -> None:
    """Put the list in force, as a whole. Raises :class:`ToolError`."""
    _run([find_nft(), "-f", "-"], ruleset, "put the list in force")


def difference(ruleset: str) -> str | None:
    """How the list in force differs from the wanted one; None where it doesn't. Raises :class:`ToolError`."""
    nft = find_nft()
    shown = [nft, "--stateless", "list", "table", "inet", TABLE]
    script = '"$0" -f - && exec "$@"'
    wanted = _run(["unshare", "--net", "sh", "-c", script, nft, *shown], ruleset, "try the list")
    present = subprocess.run(  # noqa: S603 - argv is ours, no shell
        shown, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=NFT_TIMEOUT_S, check=False
    )
    if present.returncode != 0:
        if "No such file" in present.stderr:
            return "no egress list is in force"
        raise ToolError(_explain("read the list in force", present.stderr))
    if present.stdout == wanted:
        return None
    return f"in force is another list:\n{present.stdout.rstrip()}"


def find_nft() -> str:
    """Path of nft. Raises :class:`ToolError` saying how to get it."""
    found = shutil.which("nft") or shutil.which("nft", path=_SBIN)
    if found is None:
        raise ToolError("nft is not installed: `make setup`, or `apt-get install nftables`, gets it")
    return found


def _run(argv: Sequence[str], text: str, what: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - argv is ours, no shell
            argv, input=text, capture_output=True, text=True, timeout=NFT_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise ToolError(f"{error.filename} is not installed: `apt-get install util-linux` gets it") from error
    if done.returncode != 0:
        raise ToolError(_explain(what, done.stderr))
    return done.stdout


def _explain(what: str, said: str) -> str:
    if os.geteuid() != 0:
        return f"can't {what}: this needs root (CAP_NET_ADMIN); nft said: {said.strip()}"
    return f"can't {what}: {said.strip()}"


def _why(where: Route | Hold) -> str:
    if isinstance(where, Hold):
        return f"The vehicle holds ({where.reason}): nothing may leave."
    registration, policy = where.registration, where.policy
    return (
        f"Vehicle {registration.vehicle}, jurisdiction {registration.jurisdiction}, serial {registration.serial}:"
        f" region {policy.region_id}, policy version {policy.version}."
    )
