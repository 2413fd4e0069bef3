"""Wall 5: what the service's user may send, as an nftables ruleset made from the route in force and nothing else.

    the vehicle has a route    TCP to every address of every endpoint of that region, at its port, and nothing else
    the vehicle holds          nothing at all

Decisions, all of them on the closed side:

- **Addresses, never names.** A name would be looked up by whoever loads the list, so that who forges an answer writes
  the list. The signed policy has the addresses of every endpoint, also where its host is a name.
- **The own region alone.** A region that was left is not on the list, whatever its policy wants done with its clips.
- **No DNS**, for the same reason and because a question carries data to whoever answers it.
- **Loopback is not exempt.** A proxy or resolver on the same machine would carry out what the list forbids, under
  another user. The agent needs nothing there; a region on loopback (a bench) is listed like any other.
- **No "established" shortcut.** Every packet is judged, so a list that is replaced also ends what is open.
- **After every other table.** The chain is at priority 300: a rule of another table that rewrites a destination has
  done so by then, and what is judged is where the packet really goes.
- **Refused, not only dropped.** The packet goes nowhere and the sending socket is told, by a reset (TCP) or an ICMP
  error that does not leave the machine; without it every attempt would last until its time-out.

What is allowed and what is refused is counted in two named counters: ``to_region`` and ``refused``.

The ruleset is one nft transaction that replaces the whole table: there is no moment without a list.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from fsd_agent.records.region import Hold, Route

TABLE = "fsd_egress"
"""Name of the nftables table; its family is ``inet``: one list for IPv4 and IPv6."""
TO_REGION = "to_region"
REFUSED = "refused"
PRIORITY = 300
UID_MAX = 2**32 - 2
"""2**32 - 1 means "no user" to the kernel."""


class EgressError(Exception):
    """No list can be made; the message names the endpoint and what is wrong with it."""


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """One address and TCP port that packets may go to."""

    address: str
    """IPv4 or IPv6, in its canonical text."""
    port: int

    def __post_init__(self) -> None:
        """Refuse what is no single machine's address: raises :class:`EgressError`."""
        address = _address(self.address)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            raise EgressError(f"{address}: write it as the IPv4 address {address.ipv4_mapped}")
        if str(address) != self.address:
            raise EgressError(f"{self.address}: write it as {address}")
        if address.is_unspecified or address.is_multicast or address == IPv4Address(2**32 - 1):
            raise EgressError(f"{address}: is not the address of one machine")
        if not 1 <= self.port <= 65535:
            raise EgressError(f"{address}: port {self.port} is not 1 to 65535")


def destinations(where: Route | Hold) -> tuple[Destination, ...]:
    """Where packets may go, sorted; nothing on hold. Raises :class:`EgressError`.

    The one place that knows how a policy names its endpoints.
    """
    if isinstance(where, Hold):
        return ()
    try:
        found = {
            Destination(str(_address(address)), endpoint.port)
            for endpoint in where.policy.endpoints
            for address in endpoint.addresses
        }
    except EgressError as error:
        raise EgressError(f"region {where.policy.region_id}: endpoint {error}") from None
    return tuple(sorted(found))


def egress_ruleset(uid: int, allowed: Iterable[Destination], *, why: str = "") -> str:
    """The ruleset as text for ``nft -f``: a function of its arguments, whatever the order of ``allowed``.

    ``uid`` is the service's user, as a number: a name would mean what the loading machine says. ``why`` is a comment
    for people. Raises :class:`EgressError` for a user id that the kernel can't match.
    """
    if not 0 <= uid <= UID_MAX:
        raise EgressError(f"user id {uid} is not 0 to {UID_MAX}")
    rules = [
        f'\t\t{_family(one)} daddr {one.address} tcp dport {one.port} counter name "{TO_REGION}" accept'
        for one in sorted(set(allowed))
    ]
    rules += [
        f'\t\tmeta l4proto tcp counter name "{REFUSED}" reject with tcp reset',
        f'\t\tcounter name "{REFUSED}" reject with icmpx type admin-prohibited',
    ]
    lines = [
        "# Egress list of the vehicle data agent; see docs/residency.md. Replaces the list in force as a whole.",
        *(f"# {line}" for line in why.encode("ascii", "replace").decode().splitlines()),
        f"table inet {TABLE}",
        f"delete table inet {TABLE}",
        f"table inet {TABLE} {{",
        f"\tcounter {TO_REGION} {{ }}",
        f"\tcounter {REFUSED} {{ }}",
        "\tchain service {",
        *rules,
        "\t}",
        "\tchain output {",
        f"\t\ttype filter hook output priority {PRIORITY}; policy accept;",
        # Not "everybody else is accepted": what has no socket (the kernel's own resets) has no user to compare.
        f"\t\tmeta skuid {uid} goto service",
        "\t}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _family(one: Destination) -> str:
    return "ip" if isinstance(_address(one.address), IPv4Address) else "ip6"


def _address(text: str) -> IPv4Address | IPv6Address:
    """Without a zone (``fe80::1%eth0``): the list is the same on every interface."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise EgressError(
            f"{text[:80]!r} is not an address; a name is whatever the answer to a question says"
        ) from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise EgressError(f"{text[:80]}: is an address of one link only")
    return address
