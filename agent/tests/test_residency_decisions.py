"""Where each rule of residency turns: its limits to the unit, its tables line by line, its reasons word for word."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fsd_agent.records.reasons import DropReason
from fsd_agent.records.region import Endpoint, ExportRule, Hold, HoldReason, RegionPolicy, SensitiveZone
from fsd_agent.records.zone import Zone
from fsd_agent.rules.residency.egress import (
    Destination,
    EgressError,
    Opening,
    destinations,
    egress_ruleset,
)
from fsd_agent.rules.residency.jurisdictions import RULES, violations
from fsd_agent.rules.residency.route import route
from fsd_agent.rules.residency.zones import Positions, collected_here, zone_reached
from fsd_agent.testing.regions import sample_region, sample_registration
from fsd_agent.wire.policy import PolicyError
from fsd_firmware.samples import GnssFixes

S = 1_000_000_000
CN = sample_region("cn", ("CN",)).policy
EEA = {
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT",
    "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
}  # fmt: skip
"""The EU, Iceland, Liechtenstein and Norway."""


def served(jurisdictions: str, *countries: str, region_id: str = "r") -> RegionPolicy:
    """A policy of these jurisdictions, with an endpoint in each of these countries."""
    endpoints = tuple(
        Endpoint(f"192.0.2.{n}", (f"192.0.2.{n}",), 8883, "broker.r.fsd.invalid", country)
        for n, country in enumerate(countries, 1)
    )
    return dataclasses.replace(
        sample_region(region_id, tuple(jurisdictions.split())).policy, endpoints=endpoints
    )


def fixes(*rows: tuple[int, float, float]) -> GnssFixes:
    """(nanoseconds, latitude, longitude)."""
    t_ns = np.array([row[0] for row in rows], np.int64)
    lat, lon = (np.array([row[at] for row in rows], np.float64) for at in (1, 2))
    return GnssFixes(t_ns, lat, lon, *(np.zeros(len(rows)) for _ in range(3)))


# Jurisdictions.


def test_the_table_is_china_and_the_european_economic_area() -> None:
    """Said a second time, so that a code that goes missing or is misspelt does not open a way."""
    assert set(RULES) == {"CN", *EEA}
    assert RULES["CN"].countries == {"CN"}
    assert RULES["CN"].alone
    for code in EEA:
        assert RULES[code].countries == EEA
        assert not RULES[code].alone
    for rule in RULES.values():
        assert rule.exports == {ExportRule.NEVER, ExportRule.AT_DATA_CENTRE}


def test_each_violation_says_field_value_jurisdiction_and_source() -> None:
    abroad = dataclasses.replace(served("CN HK MO", "US"), export="from_vehicle")  # type: ignore[arg-type]
    cn = RULES["CN"].source
    general = "an endpoint stands in a jurisdiction that is served"
    assert violations(abroad) == (
        f"jurisdictions: CN can't be served together with HK MO ({cn})",
        f"export: from_vehicle is not allowed for CN ({cn})",
        f"endpoints[0].country: US is not allowed for CN ({cn})",
        f"endpoints[0].country: US is not allowed for HK ({general})",
        f"endpoints[0].country: US is not allowed for MO ({general})",
    )


# Route.


def test_a_forbidden_policy_is_told_with_its_region_and_every_rule_that_it_breaks() -> None:
    decided = route(
        sample_registration(), (served("US", "CA", "US", "MX", region_id="us"), CN, served("CN", "HK"))
    )
    assert isinstance(decided, Hold)
    assert decided.reason is HoldReason.POLICY_FORBIDDEN
    general = "(an endpoint stands in a jurisdiction that is served)"
    assert decided.detail == "; ".join([
        f"r: endpoints[0].country: HK is not allowed for CN ({RULES['CN'].source})",
        f"us: endpoints[0].country: CA is not allowed for US {general}",
        f"us: endpoints[2].country: MX is not allowed for US {general}",
    ])  # fmt: skip


def test_regions_without_a_policy_are_told_in_order_and_so_is_having_none() -> None:
    damaged = (PolicyError("us: not TOML"), CN, PolicyError("eu: no policy"))
    assert route(sample_registration(), damaged) == Hold(HoldReason.NO_POLICY, "eu: no policy; us: not TOML")
    nothing = Hold(HoldReason.NO_POLICY, "the vehicle is enrolled with no region")
    assert route(sample_registration(), ()) == nothing


# Sensitive zones.

HARBOUR = SensitiveZone(
    "harbour", ((Zone("harbour", ((31.0, 121.0), (31.0, 122.0), (32.0, 122.0), (32.0, 121.0))),),)
)


def test_a_position_is_good_for_thirty_seconds_to_the_nanosecond() -> None:
    where = Positions()
    where.take(fixes((0, 31.5, 121.5)))
    assert where.at(30_000_000_000) == (31.5, 121.5)
    assert where.at(30_000_000_001) is None


def test_positions_are_kept_for_a_minute_and_then_forgotten() -> None:
    """So that memory is bounded: nobody asks for a moment more than half of that before the newest."""
    where = Positions()
    where.take(fixes((1, np.nan, 121.5)))
    assert where.at(1) is None
    where.take(fixes((1, 31.5, 121.5), (60 * S + 1, 40.0, 100.0)))
    assert where.at(1) == (31.5, 121.5)
    where.take(fixes((60 * S + 2, 40.0, 100.0)))
    assert where.at(1) is None
    assert where.at(60 * S + 1) == (40.0, 100.0)


def test_half_a_position_reaches_no_zone_whatever_the_other_half_is() -> None:
    """South of everything, a line due north would cross the outline once."""
    for bad in (-np.inf, np.inf, np.nan):
        assert zone_reached((HARBOUR,), fixes((1, bad, 121.5))) is None
        assert zone_reached((HARBOUR,), fixes((1, 31.5, bad))) is None


def test_the_zone_that_is_reached_first_in_the_policy_is_named() -> None:
    second = dataclasses.replace(HARBOUR, name="second")
    assert zone_reached((HARBOUR, second), fixes((1, 0.0, 0.0), (2, 31.5, 121.5))) == "harbour"
    assert zone_reached((second, HARBOUR), fixes((1, 31.5, 121.5), (2, 0.0, 0.0))) == "second"
    assert collected_here((HARBOUR, second), (31.5, 121.5)) is DropReason.SENSITIVE_ZONE


# Egress.

GOLDEN = """\
# Egress list of the vehicle data agent; see docs/residency.md. Replaces the list in force as a whole.
# region cn
# caf?
table inet fsd_egress
delete table inet fsd_egress
table inet fsd_egress {
\tcounter to_region { }
\tcounter refused { }
\tset region4 {
\t\ttype ipv4_addr . inet_service
\t\tflags timeout
\t\telements = { 10.0.0.2 . 8883 timeout 1d1h1m1s500ms, 10.0.0.2 . 8884 timeout 1d1h1m1s500ms }
\t}
\tset region6 {
\t\ttype ipv6_addr . inet_service
\t\tflags timeout
\t\telements = { 2001:db8::1 . 8883 timeout 1d1h1m1s500ms }
\t}
\tchain service {
\t\tmeta time < 1000090061 ip daddr . tcp dport @region4 counter name "to_region" accept
\t\tmeta time < 1000090061 ip6 daddr . tcp dport @region6 counter name "to_region" accept
\t\tmeta l4proto tcp counter name "refused" reject with tcp reset
\t\tcounter name "refused" reject with icmpx type admin-prohibited
\t}
\tchain output {
\t\ttype filter hook output priority 300; policy accept;
\t\tmeta skuid 997 goto service
\t}
}
"""


def test_the_whole_list_as_nft_reads_it() -> None:
    allowed = (
        Destination("2001:db8::1", 8883), Destination("10.0.0.2", 8884), Destination("10.0.0.2", 8883),
        Destination("10.0.0.2", 8884),
    )  # fmt: skip
    now_ns = 1_000_000_000 * 1_000_000_000
    opens = Opening(allowed, now_ns, now_ns + 90_061_500_000_000)
    assert egress_ruleset(997, opens, why="region cn\ncaf\u00e9") == GOLDEN


@pytest.mark.parametrize("uid", [0, 4_294_967_294])
def test_every_user_that_the_kernel_can_match_gets_a_list(uid: int) -> None:
    assert f"meta skuid {uid} goto service" in egress_ruleset(uid, None)


def test_one_user_id_beyond_is_the_kernels_word_for_nobody() -> None:
    with pytest.raises(EgressError):
        egress_ruleset(4_294_967_295, None)


@pytest.mark.parametrize(
    ("address", "port"), [("10.0.0.1", 1), ("10.0.0.1", 65535), ("255.255.255.254", 8883)]
)
def test_the_last_that_may_be_listed(address: str, port: int) -> None:
    assert Destination(address, port) == Destination(address, port)


def test_destinations_are_sorted_and_each_once() -> None:
    (first,) = CN.endpoints
    twice = tuple(
        dataclasses.replace(first, addresses=(address,), port=port)
        for address, port in (("10.0.0.3", 1), ("10.0.0.2", 9), ("10.0.0.2", 8), ("10.0.0.3", 1))
    )
    where = sample_region("cn").route()
    where = dataclasses.replace(where, policy=dataclasses.replace(CN, endpoints=twice))
    assert destinations(where) == (
        Destination("10.0.0.2", 8),
        Destination("10.0.0.2", 9),
        Destination("10.0.0.3", 1),
    )


def test_an_address_is_listed_in_its_one_spelling_however_the_policy_has_it() -> None:
    (first,) = CN.endpoints
    loud = dataclasses.replace(CN, endpoints=(dataclasses.replace(first, addresses=("2001:DB8:0::1",)),))
    where = dataclasses.replace(sample_region("cn").route(), policy=loud)
    assert destinations(where) == (Destination("2001:db8::1", 8883),)
