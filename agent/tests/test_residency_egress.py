"""Wall 5 as text: what the list allows is the route's endpoints, whatever else the policies say."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.region import Hold, HoldReason
from fsd_agent.rules.residency.egress import (
    UID_MAX,
    Destination,
    EgressError,
    Opening,
    destinations,
    egress_ruleset,
    opening,
)
from fsd_agent.testing.regions import END_WALL_NS, sample_region

MS, S = 1_000_000, 1_000_000_000

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


def _usable(address: str, port: int) -> Destination | None:
    try:
        return Destination(address, port)
    except EgressError:
        return None


DESTINATIONS = st.builds(_usable, ADDRESSES, st.integers(1, 65535)).filter(lambda one: one is not None)


@given(
    st.lists(DESTINATIONS, max_size=6),
    st.integers(0, UID_MAX),
    st.integers(0, 2**62),
    st.integers(1, 2**62),
    st.randoms(),
)
def test_it_lets_exactly_the_given_destinations_through_and_no_longer(
    allowed: list[Destination], uid: int, now_ns: int, left_ns: int, random: Random
) -> None:
    opens = Opening(tuple(allowed), now_ns, now_ns + left_ns)
    text = egress_ruleset(uid, opens)
    shuffled = [*allowed, *allowed]
    random.shuffle(shuffled)
    again = egress_ruleset(uid, replace(opens, allowed=tuple(shuffled)))
    assert again == text, "neither order nor repetition may matter"
    elements = re.findall(r"([0-9a-f.:]+) \. (\d+) timeout (\S+?),? ", text.replace("\n", " \n"))
    assert {Destination(address, int(port)) for address, port, _ in elements} == set(allowed)
    assert len(elements) == len(set(allowed))
    for _, _, lasts in elements:
        parts = re.fullmatch(r"(\d{1,8})d(\d+)h(\d+)m(\d+)s(\d+)ms", lasts)
        assert parts is not None
        d, h, m, s, ms = map(int, parts.groups())
        assert (((d * 24 + h) * 60 + m) * 60 + s) * 1000 + ms == max(1, left_ns // MS)
    service = [line.strip() for line in text.split("chain service {")[1].split("}")[0].strip().splitlines()]
    before = (now_ns + left_ns) // S
    assert service == [
        f'meta time < {before} ip daddr . tcp dport @region4 counter name "to_region" accept',
        f'meta time < {before} ip6 daddr . tcp dport @region6 counter name "to_region" accept',
        'meta l4proto tcp counter name "refused" reject with tcp reset',
        'counter name "refused" reject with icmpx type admin-prohibited',
    ]
    assert re.findall(r"skuid (\d+) goto service", text) == [str(uid)]
    assert text.count("accept") == 3, "the base chain's policy is for other users"


def test_a_family_without_an_address_has_a_set_without_the_word() -> None:
    """nft refuses braces with nothing in them, and then the whole list."""
    v4, v6 = Destination("10.0.0.2", 8883), Destination("2001:db8::1", 8883)
    for allowed, lines in (((v4, v6), 2), ((v4,), 1), ((v6,), 1), ((), 0)):
        assert egress_ruleset(7, Opening(allowed, 0, S)).count("elements") == lines


@pytest.mark.parametrize(
    ("address", "port", "reason"),
    [
        ("broker.example", 8883, "is not an address"),
        ("10.0.0.1; }", 8883, "is not an address"),
        ("0.0.0.0", 8883, "one machine"),
        ("::", 8883, "one machine"),
        ("224.0.0.1", 8883, "one machine"),
        ("255.255.255.255", 8883, "one machine"),
        ("::ffff:10.0.0.1", 8883, "IPv4"),
        ("fe80::1%eth0", 8883, "one link"),
        ("2001:DB8::1", 8883, "2001:db8::1"),
        ("10.0.0.1", 0, "port"),
        ("10.0.0.1", 65536, "port"),
    ],
)
def test_what_is_no_single_machine_is_refused(address: str, port: int, reason: str) -> None:
    with pytest.raises(EgressError, match=reason):
        Destination(address, port)


def test_a_route_gives_its_own_endpoint_until_its_registration_ends_and_a_hold_gives_nothing() -> None:
    cn, eu = sample_region("cn", ("CN",), 8883), sample_region("eu", ("DE",), 8884)
    for region, port in ((cn, 8883), (eu, 8884)):
        opens = opening(region.route(), 5)
        assert opens == Opening((Destination("127.0.0.1", port),), 5, END_WALL_NS)
    assert opening(cn.route(), END_WALL_NS - 1) is not None
    assert opening(cn.route(), END_WALL_NS) is None
    for reason in HoldReason:
        assert opening(Hold(reason, "because"), 5) is None
    assert egress_ruleset(7, None).count("accept") == 1
    assert "region4" not in egress_ruleset(7, None)


def test_every_address_of_every_endpoint_is_listed_and_no_name() -> None:
    route = sample_region("cn").route()
    (first,) = route.policy.endpoints
    named = replace(first, host="broker.cn", addresses=("10.0.0.2", "2001:db8::1"))
    several = replace(
        route, policy=replace(route.policy, endpoints=(first, replace(named, port=8884), named))
    )
    assert set(destinations(several)) == {
        Destination("127.0.0.1", 8883),
        *(Destination(address, port) for address in named.addresses for port in (8883, 8884)),
    }
    unusable = replace(route.policy, endpoints=(replace(first, addresses=("broker.cn",)),))
    with pytest.raises(EgressError, match=r"region cn: endpoint 'broker\.cn' is not an address"):
        destinations(replace(route, policy=unusable))


def test_the_comment_can_say_anything_without_becoming_a_rule() -> None:
    said = "a\ntable inet x\r\x0baccept\u2028accept \u00e9"
    text = egress_ruleset(7, None, why=said)
    assert [line for line in text.splitlines() if "accept" in line and not line.startswith("#")] == [
        "\t\ttype filter hook output priority 300; policy accept;"
    ]


@pytest.mark.parametrize("uid", [-1, 2**32 - 1])
def test_a_user_that_the_kernel_can_not_match_is_refused(uid: int) -> None:
    with pytest.raises(EgressError, match="user id"):
        egress_ruleset(uid, None)


def test_destinations_are_sorted_whatever_order_the_policy_has() -> None:
    route = sample_region("cn").route()
    (first,) = route.policy.endpoints
    addresses = tuple(f"10.0.0.{last}" for last in (7, 3, 9, 1, 8, 2, 6, 4, 5))
    policy = replace(route.policy, endpoints=(replace(first, addresses=addresses),))
    assert [one.address for one in destinations(replace(route, policy=policy))] == sorted(addresses)


def test_without_a_reason_there_is_one_line_of_comment() -> None:
    assert [line for line in egress_ruleset(7, None).splitlines() if line.startswith("#")] == [
        "# Egress list of the vehicle data agent; see docs/residency.md. Replaces the list in force as a whole."
    ]
