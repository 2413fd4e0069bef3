"""One jurisdiction, one region; everything else holds."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.region import Hold, HoldReason, RegionPolicy, Registration, Route
from fsd_agent.rules.residency.route import route
from fsd_agent.testing.regions import sample_region, sample_registration
from fsd_agent.wire.policy import PolicyError
from fsd_agent.wire.registration import RegistrationError

CN = sample_region("cn", ("CN",)).policy
EU = sample_region("eu", ("DE", "FR")).policy
GREEDY = sample_region("greedy", ("FR", "US")).policy
DAMAGED = PolicyError("policies/us.toml: not TOML")
CN_CAR, FR_CAR = sample_registration(), sample_registration("car-1", "FR")


@pytest.mark.parametrize(
    ("registration", "policies", "expected"),
    [
        (CN_CAR, (CN,), "cn"),
        (CN_CAR, (CN, EU), "cn"),
        (FR_CAR, (CN, EU), "eu"),
        (None, (CN,), HoldReason.NO_REGISTRATION),
        (RegistrationError("serial: missing"), (CN,), HoldReason.BAD_REGISTRATION),
        (CN_CAR, (), HoldReason.NO_POLICY),
        (CN_CAR, (DAMAGED,), HoldReason.NO_POLICY),
        (CN_CAR, (CN, DAMAGED), HoldReason.NO_POLICY),
        (CN_CAR, (EU,), HoldReason.NO_REGION),
        (sample_registration("car-1", "US"), (CN, EU), HoldReason.NO_REGION),
        (FR_CAR, (EU, GREEDY), HoldReason.TWO_REGIONS),
        (CN_CAR, (CN, CN), HoldReason.TWO_REGIONS),
        (sample_registration("car-1", "DE"), (CN, EU, GREEDY), "eu"),
    ],
)
def test_table(
    registration: Registration | RegistrationError | None,
    policies: Sequence[RegionPolicy | PolicyError],
    expected: str,
) -> None:
    decided = route(registration, policies)
    if isinstance(expected, HoldReason):
        assert isinstance(decided, Hold)
        assert decided.reason is expected
        assert decided.detail
    else:
        assert isinstance(decided, Route)
        assert decided.policy.region_id == expected
        assert decided.registration == registration


def test_details_name_what_a_person_must_look_at() -> None:
    decided = [
        route(RegistrationError("serial: missing"), (CN,)),
        route(CN_CAR, (CN, DAMAGED)),
        route(sample_registration("car-1", "US"), (CN, EU)),
        route(FR_CAR, (GREEDY, EU)),
    ]
    assert [hold.detail for hold in decided if isinstance(hold, Hold)] == [
        "serial: missing",
        "policies/us.toml: not TOML",
        "jurisdiction US; known: cn (CN), eu (DE FR)",
        "jurisdiction FR: eu (DE FR), greedy (FR US)",
    ]


CODES = st.sampled_from(["AA", "BB", "CC"])
POLICIES = st.lists(
    st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.lists(CODES, min_size=1, max_size=3, unique=True)),
    max_size=4,
).map(lambda drawn: [sample_region(name, tuple(codes)).policy for name, codes in drawn])


@settings(max_examples=60)
@given(code=CODES, policies=POLICIES, seed=st.integers(0, 99))
def test_a_route_exists_exactly_where_one_policy_serves_and_order_never_matters(
    code: str, policies: list[RegionPolicy], seed: int
) -> None:
    registration = sample_registration("car-1", code)
    decided = route(registration, policies)
    serving = [policy for policy in policies if code in policy.jurisdictions]
    assert isinstance(decided, Route) == (len(serving) == 1)
    if isinstance(decided, Route):
        assert decided == Route(registration, serving[0])
    shuffled = random.Random(seed).sample(policies, len(policies))
    assert route(registration, shuffled) == decided
    assert isinstance(route(registration, [*policies, DAMAGED]), Hold)
    assert isinstance(route(None, policies), Hold)
