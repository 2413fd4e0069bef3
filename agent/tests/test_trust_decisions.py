"""Where each rule of trust turns: versions and serials to the unit, moments to the nanosecond, reasons word for word."""

from __future__ import annotations

import dataclasses
import hashlib

import msgspec
import pytest

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.records.region import HoldReason, Registration
from fsd_agent.rules.trust.campaigns import Accepted, CampaignRefusal, Refused, accept_campaigns
from fsd_agent.rules.trust.policies import AcceptedPolicy, accept_policy
from fsd_agent.rules.trust.registration import (
    BelievedClock,
    accept_registration,
    raised,
    verify_registration,
)
from fsd_agent.testing.regions import AUTHORITY_KEY, sample_region, sample_registration
from fsd_agent.wire.campaigns import encode_set
from fsd_agent.wire.envelope import public_key_of, seal_envelope
from fsd_agent.wire.floors import (
    FloorError,
    PolicyFloor,
    RegistrationFloor,
    decode_policy_floor,
    decode_registration_floor,
    digest_of,
    encode_policy_floor,
    encode_registration_floor,
)
from fsd_agent.wire.policy import PolicyError, encode_policy, sign_policy
from fsd_agent.wire.registration import RegistrationError, encode_registration, sign_registration

DAY = 86_400_000_000_000
NOW = 19_675 * DAY  # 2023-11-14
CN = sample_region("cn")
ROOT = public_key_of(CN.root_key)


# Registration.


def document(serial: int = 5) -> Registration:
    return dataclasses.replace(
        sample_registration("car-1", "CN", serial), not_before_wall_ns=NOW, not_after_wall_ns=NOW + DAY
    )


def said(
    registration: Registration, floor: RegistrationFloor | None, device_key_id: str = "", **more: int
) -> tuple[HoldReason, str]:
    with pytest.raises(RegistrationError) as caught:
        accept_registration(
            verify_registration(
                sign_registration(registration, AUTHORITY_KEY), [public_key_of(AUTHORITY_KEY)]
            ),
            device_key_ids={device_key_id or registration.device_key_id},
            **{"clock_ns": NOW, "proved_ns": 0, **more},
            floor=floor,
        )
    return caught.value.reason, str(caught.value)


def test_the_floor_is_the_serial_and_the_digest_of_what_was_signed() -> None:
    signed = sign_registration(document(), AUTHORITY_KEY)
    accepted = accept_registration(
        verify_registration(signed, [public_key_of(AUTHORITY_KEY)]),
        device_key_ids={document().device_key_id},
        floor=None,
        clock_ns=NOW,
        proved_ns=0,
    )
    payload = encode_registration(document())
    assert accepted.floor == RegistrationFloor(5, hashlib.sha256(payload).digest(), 0)


def test_each_refusal_names_the_field_what_it_says_and_what_was_expected() -> None:
    mine, floor = document().device_key_id, RegistrationFloor(5, bytes(32), 0)
    assert said(document(), None, device_key_id="f" * 16) == (
        HoldReason.REGISTRATION_OTHER_VEHICLE,
        f"device_key_id: {mine}, this vehicle's is {'f' * 16}",
    )
    assert said(document(4), floor) == (
        HoldReason.REGISTRATION_OLDER,
        "serial: 4, but 5 was accepted before",
    )
    assert said(document(5), floor) == (
        HoldReason.REGISTRATION_CONTRADICTS,
        "serial: 5 was accepted before with other content",
    )
    assert said(document(), None, clock_ns=NOW - 1) == (
        HoldReason.REGISTRATION_NOT_YET_VALID,
        "not_before: 2023-11-14T00:00:00Z, it is 2023-11-13",
    )
    assert said(document(), None, clock_ns=NOW + DAY) == (
        HoldReason.REGISTRATION_EXPIRED,
        "not_after: 2023-11-15T00:00:00Z, it is 2023-11-15",
    )


def test_the_first_rule_that_fails_is_the_reason() -> None:
    floor = RegistrationFloor(5, bytes(32), 0)
    assert (
        said(document(4), floor, device_key_id="f" * 16, clock_ns=0)[0]
        is HoldReason.REGISTRATION_OTHER_VEHICLE
    )
    assert said(document(4), floor, clock_ns=0)[0] is HoldReason.REGISTRATION_OLDER


def test_a_clock_is_believed_after_five_minutes_to_the_nanosecond() -> None:
    clock = BelievedClock()
    assert clock.look(monotonic_ns=7, wall_ns=NOW) is None
    assert clock.look(monotonic_ns=300_000_000_006, wall_ns=NOW + 9) is None
    assert clock.look(monotonic_ns=300_000_000_007, wall_ns=NOW + 9) == NOW


def test_a_clock_that_goes_back_by_the_least_begins_anew() -> None:
    clock = BelievedClock()
    assert clock.look(monotonic_ns=0, wall_ns=NOW) is None
    assert clock.look(monotonic_ns=300_000_000_000, wall_ns=NOW - 1) is None
    assert clock.look(monotonic_ns=599_999_999_999, wall_ns=NOW - 1) is None
    assert clock.look(monotonic_ns=600_000_000_000, wall_ns=NOW - 1) == NOW - 1


def test_raising_changes_nothing_else() -> None:
    floor = RegistrationFloor(5, bytes(32), 10)
    assert raised(floor, 11) == RegistrationFloor(5, bytes(32), 11)
    assert raised(floor, 9) == floor


# Policies.


def accept(
    version: int, floor: PolicyFloor | None = None, *, region_id: str = "cn", root: bytes = ROOT
) -> AcceptedPolicy:
    policy = dataclasses.replace(CN.policy, version=version)
    signed = sign_policy(encode_policy(policy), CN.root_key, "cn")
    return accept_policy(signed, name="cn.signed", region_id=region_id, root=root, floor=floor)


def test_a_policy_that_is_newer_or_the_same_is_accepted_and_makes_the_floor() -> None:
    policy = dataclasses.replace(CN.policy, version=3)
    text = encode_policy(policy)
    expected = AcceptedPolicy(
        policy, PolicyFloor(3, hashlib.sha256(text).digest(), sign_policy(text, CN.root_key, "cn"))
    )
    assert accept(3) == expected
    assert accept(3, accept(2).floor) == expected
    assert accept(3, expected.floor) == expected


@pytest.mark.parametrize(
    ("version", "floor", "region_id", "message"),
    [
        (2, PolicyFloor(3, bytes(32), b""), "cn", "cn.signed: version: 2, but 3 was accepted before"),
        (
            3,
            PolicyFloor(3, bytes(32), b""),
            "cn",
            "cn.signed: version: 3 was accepted before with other content",
        ),
        (3, None, "eu", "cn.signed: region: is 'cn', expected 'eu'"),
        (2, PolicyFloor(3, bytes(32), b""), "eu", "cn.signed: region: is 'cn', expected 'eu'"),
    ],
)
def test_an_older_another_or_a_contradicting_policy_is_refused(
    version: int, floor: PolicyFloor | None, region_id: str, message: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        accept(version, floor, region_id=region_id)
    assert str(caught.value) == message


def test_a_policy_that_another_root_signed_is_refused_whatever_its_version() -> None:
    with pytest.raises(PolicyError, match=r"^cn\.signed: bad_signature: "):
        accept(9, accept(1).floor, root=public_key_of(sample_region("eu").root_key))


# Campaigns.


def push(version: int, region_id: str = "cn") -> bytes:
    return seal_envelope("campaigns", encode_set(CampaignSet(region_id, version, ())), "k", CN.campaign_key)


def test_each_refused_push_says_what_it_has_and_what_was_expected() -> None:
    decided = [
        accept_campaigns(push(9, "eu"), CN.policy, floor_version=9),
        accept_campaigns(push(8), CN.policy, floor_version=9),
        accept_campaigns(push(9), CN.policy, floor_version=9),
        accept_campaigns(push(9), CN.policy, floor_version=9, in_force=push(8)),
    ]
    assert decided == [
        Refused(CampaignRefusal.OTHER_REGION, "for region eu, this vehicle's is cn"),
        Refused(CampaignRefusal.OLDER, "version 8, in force is 9"),
        Refused(CampaignRefusal.CONTRADICTS, "version 9 was taken before with other content"),
        Refused(CampaignRefusal.CONTRADICTS, "version 9 was taken before with other content"),
    ]


def test_reasons_are_spelled_as_fleet_operations_read_them() -> None:
    assert [str(one) for one in CampaignRefusal] == [
        "bad_envelope", "bad_format", "other_region", "older", "contradicts",
    ]  # fmt: skip


def test_any_campaign_key_of_the_policy_is_enough_and_a_receipt_key_is_none() -> None:
    two = dataclasses.replace(
        CN.policy, campaign_keys=(*sample_region("eu").policy.campaign_keys, *CN.policy.campaign_keys)
    )
    assert accept_campaigns(push(1), two, floor_version=0) == Accepted(CampaignSet("cn", 1, ()))
    none = dataclasses.replace(CN.policy, campaign_keys=CN.policy.receipt_keys)
    decided = accept_campaigns(push(1), none, floor_version=0)
    assert isinstance(decided, Refused)
    assert decided.reason is CampaignRefusal.BAD_ENVELOPE


# Floors.


def test_floors_as_bytes() -> None:
    digest = hashlib.sha256(b"payload").digest()
    assert digest_of(b"payload") == digest
    assert (
        encode_registration_floor(RegistrationFloor(5, digest, 7))
        == b"\x94\x01\x05\xc4\x20" + digest + b"\x07"
    )
    assert (
        encode_policy_floor(PolicyFloor(5, digest, b"e")) == b"\x94\x01\x05\xc4\x20" + digest + b"\xc4\x01e"
    )


@pytest.mark.parametrize(
    "row",
    [
        (2, 1, bytes(32)),
        (1, -1, bytes(32)),
        (1, 1, bytes(31)),
        (1, 1, bytes(33)),
        (1, "1", bytes(32)),
        (1, 1, "1" * 32),
    ],
)
def test_what_is_no_floor_is_refused_field_by_field(row: tuple[object, ...]) -> None:
    with pytest.raises(FloorError):
        decode_registration_floor(msgspec.msgpack.encode((*row, 1)))
    with pytest.raises(FloorError):
        decode_policy_floor(msgspec.msgpack.encode((*row, b"e")))


@pytest.mark.parametrize("last", [(), (-1,), (1, 1), (b"e", b"e"), ("e",)])
def test_a_floor_with_another_end_is_none(last: tuple[object, ...]) -> None:
    with pytest.raises(FloorError):
        decode_registration_floor(msgspec.msgpack.encode((1, 1, bytes(32), *last)))
    with pytest.raises(FloorError):
        decode_policy_floor(msgspec.msgpack.encode((1, 1, bytes(32), *last)))


def test_the_least_floor_is_one() -> None:
    least = RegistrationFloor(0, bytes(32), 0)
    assert decode_registration_floor(encode_registration_floor(least)) == least
    first = PolicyFloor(0, bytes(32), b"")
    assert decode_policy_floor(encode_policy_floor(first)) == first
