"""A push counts if its own region signed it, for itself, and it is newer than all before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.campaign import CampaignSet
from fsd_agent.rules.trust.campaigns import (
    Accepted,
    AlreadyHave,
    CampaignRefusal,
    Refused,
    accept_campaigns,
)
from fsd_agent.testing.regions import SampleRegion, sample_region
from fsd_agent.wire.campaigns import encode_set
from fsd_agent.wire.envelope import seal_envelope

CN = sample_region("cn")
EU = sample_region("eu", ("DE",))


def push(version: int, region_id: str = "cn", signer: SampleRegion = CN, context: str = "campaigns") -> bytes:
    payload = encode_set(CampaignSet(region_id, version, ()))
    return seal_envelope(context, payload, "operator", signer.campaign_key)


def decide(
    envelope: bytes, floor: int = 0, in_force: bytes | None = None
) -> Accepted | AlreadyHave | Refused:
    return accept_campaigns(envelope, CN.policy, floor_version=floor, in_force=in_force)


def reason(envelope: bytes, floor: int = 0, in_force: bytes | None = None) -> CampaignRefusal:
    decided = decide(envelope, floor, in_force)
    assert isinstance(decided, Refused)
    assert decided.detail
    return decided.reason


def test_a_newer_set_is_accepted() -> None:
    assert decide(push(1)) == Accepted(CampaignSet("cn", 1, ()))
    assert decide(push(9), floor=8, in_force=push(8)) == Accepted(CampaignSet("cn", 9, ()))


def test_an_older_set_is_refused_though_its_region_signed_it() -> None:
    assert reason(push(7), floor=8, in_force=push(8)) is CampaignRefusal.OLDER
    assert reason(push(7), floor=8) is CampaignRefusal.OLDER


def test_the_same_envelope_again_is_no_news_and_another_of_its_version_contradicts() -> None:
    assert decide(push(8), floor=8, in_force=push(8)) == AlreadyHave()
    other = seal_envelope("campaigns", encode_set(CampaignSet("cn", 8, ())), "other-name", CN.campaign_key)
    assert reason(other, floor=8, in_force=push(8)) is CampaignRefusal.CONTRADICTS


def test_other_signers_and_other_purposes_are_refused() -> None:
    assert reason(push(1, signer=EU)) is CampaignRefusal.BAD_ENVELOPE
    assert reason(push(1, context="receipt")) is CampaignRefusal.BAD_ENVELOPE
    payload = encode_set(CampaignSet("cn", 1, ()))
    by_receiver = seal_envelope("campaigns", payload, "operator", CN.receipt_key)
    assert reason(by_receiver) is CampaignRefusal.BAD_ENVELOPE


def test_a_set_for_another_region_is_refused_whoever_signed_it() -> None:
    assert reason(push(1, region_id="eu")) is CampaignRefusal.OTHER_REGION
    assert reason(push(1, region_id="eu", signer=EU)) is CampaignRefusal.BAD_ENVELOPE


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", encode_set(CampaignSet("cn", 1, ()))[:-1]])
def test_a_signed_payload_that_is_no_set_is_refused(payload: bytes) -> None:
    envelope = seal_envelope("campaigns", payload, "operator", CN.campaign_key)
    assert reason(envelope) is CampaignRefusal.BAD_FORMAT


@settings(max_examples=30)
@given(versions=st.lists(st.integers(1, 6), max_size=12))
def test_whatever_is_pushed_the_version_in_force_never_goes_back(versions: list[int]) -> None:
    floor, in_force = 0, None
    for version in versions:
        envelope = push(version)
        decided = decide(envelope, floor, in_force)
        assert isinstance(decided, Accepted) == (version > floor)
        assert isinstance(decided, AlreadyHave) == (version == floor)
        if isinstance(decided, Accepted):
            floor, in_force = decided.campaigns.version, envelope
    assert floor == max(versions, default=0)


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_refused(data: st.DataObject) -> None:
    envelope = bytearray(push(3))
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << (bit % 8)
    assert reason(bytes(envelope)) is CampaignRefusal.BAD_ENVELOPE
