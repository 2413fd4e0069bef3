"""Wall 5: what the service's user may send, as an nftables ruleset made from the route in force and nothing else.

    the vehicle has a route    TCP to every address of every endpoint of that region, at its port, and nothing else,
                               until the registration ends
    the vehicle holds          nothing at all

Decisions, all of them on the closed side:

- **Addresses, never names.** A name would be looked up by whoever loads the list, so that who forges an answer writes
  the list. The signed policy has the addresses of every endpoint, also where its host is a name.
- **The own region alone.** A region that was left is not on the list, whatever its policy wants done with its clips:
  with two regions on it, only routing would keep the data of one from the other.
- **It closes by itself**, in the kernel, when the registration ends: nobody has to run anything, or be alive. Two
  clocks must both say that there is time left. What is listed lies in sets whose elements last as long as the
  registration had left when the list was loaded, on a clock that nobody sets; it stands still while the computer sleeps.
  And every packet is compared with the wall clock, which goes on then. Whichever comes first closes the list: a clock
  that is set back opens nothing again, one that is set ahead closes it, as the agent holds then.
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
from fsd_agent.wire.moments import NS_PER_S

TABLE = "fsd_egress"
"""Name of the nftables table; its family is ``inet``: one list for IPv4 and IPv6."""
SETS = (("region4", "ip"), ("region6", "ip6"))
"""Names of the sets of destinations, and whose addresses are in each."""
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


@dataclass(frozen=True, slots=True)
class Opening:
    """What a list lets through, from when to when."""

    allowed: tuple[Destination, ...]
    now_ns: int
    """The latest time that is known when the list is made, Unix time: what is left is counted from here."""
    until_ns: int
    """The first moment at which nothing is let through any more, Unix time."""


def opening(where: Route | Hold, now_ns: int) -> Opening | None:
    """What the list for ``where`` lets through; None on hold, and where the registration is over. Raises :class:`EgressError`.

    ``now_ns`` is the latest time that is known, Unix time, as for registrations (``rules.trust.registration``).
    """
    if isinstance(where, Hold) or where.registration.not_after_wall_ns <= now_ns:
        return None
    return Opening(destinations(where), now_ns, where.registration.not_after_wall_ns)


def destinations(where: Route) -> tuple[Destination, ...]:
    """Every address of every endpoint of the route's region, sorted. Raises :class:`EgressError`.

    The one place that knows how a policy names its endpoints.
    """
    try:
        found = {
            Destination(str(_address(address)), endpoint.port)
            for endpoint in where.policy.endpoints
            for address in endpoint.addresses
        }
    except EgressError as error:
        raise EgressError(f"region {where.policy.region_id}: endpoint {error}") from None
    return tuple(sorted(found))


def egress_ruleset(uid: int, opens: Opening | None, *, why: str = "") -> str:
    """The ruleset as text for ``nft -f``: a function of its arguments, whatever the order of what is allowed.

    ``opens`` is what is let through, None for nothing. ``uid`` is the service's user, as a number: a name would mean what the loading machine says. ``why`` is a comment
    for people. Raises :class:`EgressError` for a user id that the kernel can't match.
    """
    if not 0 <= uid <= UID_MAX:
        raise EgressError(f"user id {uid} is not 0 to {UID_MAX}")
    rules = [
        *([] if opens is None else _accepts(opens)),
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
        *([] if opens is None else _sets(opens)),
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


def _accepts(opens: Opening) -> Iterable[str]:
    """The time is a number, in seconds: a date would mean what the loading machine's time zone says."""
    before = opens.until_ns // NS_PER_S
    for name, family in SETS:
        yield (
            f'\t\tmeta time < {before} {family} daddr . tcp dport @{name} counter name "{TO_REGION}" accept'
        )


def _sets(opens: Opening) -> Iterable[str]:
    lasts = _duration(max(1, (opens.until_ns - opens.now_ns) // 1_000_000))  # 0 would mean for ever
    for name, family in SETS:
        inside = [one for one in sorted(set(opens.allowed)) if _family(one) == family]
        elements = ", ".join(f"{one.address} . {one.port} timeout {lasts}" for one in inside)
        yield f"\tset {name} {{"
        yield f"\t\ttype {'ipv4_addr' if family == 'ip' else 'ipv6_addr'} . inet_service"
        yield "\t\tflags timeout"
        if elements:
            yield f"\t\telements = {{ {elements} }}"
        yield "\t}"


def _duration(total_ms: int) -> str:
    """As nft reads it, which takes no number of more than eight digits."""
    total_s, ms = divmod(total_ms, 1000)
    minutes, s = divmod(total_s, 60)
    hours, m = divmod(minutes, 60)
    d, h = divmod(hours, 24)
    return f"{d}d{h}h{m}m{s}s{ms}ms"


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
