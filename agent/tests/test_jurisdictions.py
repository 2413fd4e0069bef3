"""What a jurisdiction forbids, nobody's signature allows."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.region import Endpoint, ExportRule, Hold, HoldReason, RegionPolicy, Route
from fsd_agent.rules.residency.jurisdictions import RULES, violations
from fsd_agent.rules.residency.route import route
from fsd_agent.rules.trust.campaigns import Accepted, accept_campaigns
from fsd_agent.testing.regions import sample_region, sample_registration
from fsd_agent.wire.campaigns import encode_set
from fsd_agent.wire.envelope import CAMPAIGNS, seal_envelope


def policy(jurisdictions: str, countries: str, export: ExportRule = ExportRule.NEVER) -> RegionPolicy:
    """A policy of these jurisdictions, with an endpoint in each of these countries."""
    made = sample_region("r", tuple(jurisdictions.split())).policy
    endpoints = tuple(
        Endpoint(f"192.0.2.{n}", (f"192.0.2.{n}",), 8883, "broker.r.fsd.invalid", country)
        for n, country in enumerate(countries.split(), 1)
    )
    return dataclasses.replace(made, endpoints=endpoints, export=export)


@pytest.mark.parametrize(
    ("jurisdictions", "countries", "fields"),
    [
        ("CN", "CN", ()),
        ("CN", "CN CN", ()),
        ("CN", "HK", ("endpoints[0].country: HK",)),
        ("CN", "CN SG", ("endpoints[1].country: SG",)),
        ("CN", "US DE", ("endpoints[0].country: US", "endpoints[1].country: DE")),
        ("CN HK", "CN", ("jurisdictions: CN can't be served together with HK",)),
        ("DE CN", "CN", ("endpoints[0].country: CN", "jurisdictions: CN can't be served together with DE")),
        ("DE", "DE", ()),
        ("DE FR", "IE NL", ()),
        ("DE", "NO IS LI", ()),
        ("DE", "CH", ("endpoints[0].country: CH",)),
        ("DE", "GB", ("endpoints[0].country: GB",)),
        ("DE US", "US", ("endpoints[0].country: US",)),
        ("DE US", "DE", ()),
        ("US", "US", ()),
        ("US", "CA", ("endpoints[0].country: CA",)),
        ("US CA", "CA", ()),
        ("XX", "YY", ("endpoints[0].country: YY",)),
    ],
)
def test_table(jurisdictions: str, countries: str, fields: tuple[str, ...]) -> None:
    made = policy(jurisdictions, countries)
    found = violations(made)
    assert len(found) == len(fields), found
    assert all(any(one.startswith(field) for one in found) for field in fields), found
    first = made.jurisdictions[0]
    decided = route(sample_registration("car-1", first), (made,))
    if fields:
        assert isinstance(decided, Hold)
        assert decided.reason is HoldReason.POLICY_FORBIDDEN
        assert fields[0] in decided.detail
    else:
        assert isinstance(decided, Route)


def test_the_reason_names_its_source() -> None:
    assert "GB 44495-2024" in violations(policy("CN", "US"))[0]
    assert "GDPR" in violations(policy("DE", "US"))[0]
    assert all(rule.source for rule in RULES.values())


def test_a_forbidden_policy_holds_also_a_vehicle_that_it_does_not_serve() -> None:
    """It is not known what else its signer got wrong, or which jurisdiction it should have named."""
    sound = sample_region("eu", ("DE",)).policy
    decided = route(sample_registration("car-1", "DE"), (sound, policy("CN", "US")))
    assert isinstance(decided, Hold)
    assert decided.reason is HoldReason.POLICY_FORBIDDEN


@pytest.mark.parametrize("export", ExportRule)
def test_both_export_rules_keep_the_vehicle_out_of_it_and_may_be_used_everywhere(export: ExportRule) -> None:
    for code in ("CN", "DE", "US"):
        assert violations(policy(code, code, export)) == ()


def test_an_export_rule_of_another_time_is_not_allowed_by_being_unknown() -> None:
    """No file can spell one; a rule that software learns later must be allowed where it is to hold."""
    made = dataclasses.replace(policy("CN", "CN"), export="from_vehicle")  # type: ignore[arg-type]
    assert violations(made)[0].startswith("export: from_vehicle is not allowed for CN")
    made = dataclasses.replace(policy("DE", "DE"), export="from_vehicle")  # type: ignore[arg-type]
    assert violations(made)[0].startswith("export: from_vehicle is not allowed for DE")


CODES = st.sampled_from(["CN", "HK", "DE", "FR", "IE", "NO", "CH", "US", "CA", "AA"])
EEA_HERE = frozenset({"DE", "FR", "IE", "NO"})
POLICIES = st.lists(
    st.builds(
        policy,
        st.lists(CODES, min_size=1, max_size=3, unique=True).map(" ".join),
        st.lists(CODES, min_size=1, max_size=3).map(" ".join),
        st.sampled_from(ExportRule),
    ),
    max_size=3,
)


@settings(max_examples=300, deadline=None)
@given(code=CODES, policies=POLICIES, serial=st.integers(1, 5), set_version=st.integers(1, 9))
def test_no_policy_registration_or_campaign_gives_an_endpoint_abroad(
    code: str, policies: list[RegionPolicy], serial: int, set_version: int
) -> None:
    """Said a second time, independently of the table: CN in CN alone, EEA inside the EEA, others where they are served."""
    registration = sample_registration("car-1", code, serial)
    decided = route(registration, policies)
    if not isinstance(decided, Route):
        return
    served = decided.policy.jurisdictions
    assert code in served
    for endpoint in decided.policy.endpoints:
        if "CN" in served:
            assert (served, endpoint.country) == (("CN",), "CN")
        elif EEA_HERE & set(served):
            assert endpoint.country in EEA_HERE
        else:
            assert endpoint.country in served
    for region_id in ("r", "elsewhere"):
        pushed = seal_envelope(
            CAMPAIGNS,
            encode_set(CampaignSet(region_id, set_version, ())),
            "k",
            sample_region("r").campaign_key,
        )
        outcome = accept_campaigns(pushed, decided.policy, floor_version=0)
        assert isinstance(outcome, Accepted) == (region_id == "r"), "a set for another region is none"
        assert route(registration, policies) == decided
