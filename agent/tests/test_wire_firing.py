"""What a region is told of a firing opens there whole, as that vehicle's word about that firing, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.records.firing import ToldFiring
from fsd_agent.records.purpose import Purpose
from fsd_agent.records.reasons import DropReason
from fsd_agent.testing.regions import SampleRegion, sample_region
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.envelope import seal_envelope
from fsd_agent.wire.firing import (
    MAX_BYTES,
    About,
    FiringError,
    UnknownFiringKeyError,
    encode_firing,
    open_firing,
)
from fsd_agent.wire.firing_ack import encode_firing_ack, verify_firing_ack
from fsd_agent.wire.sealed import HPKE_SUITE
from fsd_agent.wire.verdict import VerdictError

KEYS = MemoryVehicleKeys()
CN, EU = sample_region("cn"), sample_region("eu", ("DE",))
ABOUT = About("cn", "car-1", "0123456789abcdef" * 2)
TOLD = ToldFiring(
    campaign_id="walker",
    campaign_version=3,
    purpose=Purpose.SAFETY,
    t_ns=5_000_000_000,
    wall_ns=1_780_000_005_000_000_000,
    clip_id="ab" * 16,
    drop=None,
    evidence=(("Vehicle.Speed", 8.5), ("detections.pedestrian", 2.0)),
    left_out=1,
    registration_serial=7,
    policy_version=2,
)
INT64 = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**63 - 1)
NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
TOLDS = st.builds(
    replace,
    st.sampled_from([TOLD, replace(TOLD, clip_id=None, drop=DropReason.SAMPLED_OUT)]),
    campaign_id=NAMES,
    campaign_version=COUNTS,
    purpose=st.sampled_from(Purpose),
    t_ns=INT64,
    wall_ns=INT64,
    evidence=st.lists(st.tuples(NAMES, st.floats(allow_nan=False)), max_size=16).map(tuple),
    left_out=COUNTS,
)


def seal(told: ToldFiring = TOLD, about: About = ABOUT, region: SampleRegion = CN) -> bytes:
    to = region.policy.sealing_keys[0]
    return encode_firing(told, about, to=to, sign=KEYS.sign, device_key_id=KEYS.device_key_id())


def unseal(
    data: bytes, about: About = ABOUT, region: SampleRegion = CN, keys: MemoryVehicleKeys = KEYS
) -> ToldFiring:
    return open_firing(
        data,
        about,
        sealing_keys={region.policy.sealing_key_id: region.sealing_key},
        device_keys={keys.device_key_id(): keys.device_public_key},
    )


@given(TOLDS)
def test_what_is_told_is_read(told: ToldFiring) -> None:
    assert unseal(seal(told)) == told


def test_the_bytes_are_what_the_format_says() -> None:
    data = seal()
    v, device, to, sealed, signature = msgspec.msgpack.decode(data)
    assert (v, device, to) == (1, KEYS.device_key_id(), CN.policy.sealing_key_id)
    names = b"".join(bytes([len(one)]) + one.encode() for one in ("cn", "car-1", ABOUT.firing_id, device, to))
    assert signature == KEYS.sign(b"fsd-firing-1 signed\0" + names + sealed)
    own = X25519PrivateKey.from_private_bytes(CN.sealing_key)
    content = HPKE_SUITE.decrypt(sealed, own, b"fsd-firing-1 hpke\0" + names)
    evidence = [["Vehicle.Speed", 8.5], ["detections.pedestrian", 2.0]]
    assert content == msgspec.msgpack.encode(
        ["walker", 3, "safety", 5_000_000_000, 1_780_000_005_000_000_000, "ab" * 16, None, evidence, 1, 7, 2]
    )
    assert len(data) < 400, "small enough to overtake everything"
    assert b"walker" not in data, "nothing of it can be read on the way"


def test_every_flipped_bit_is_refused() -> None:
    data = seal()
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(FiringError):
            unseal(bytes(damaged))


@pytest.mark.parametrize(
    "about",
    [
        About("eu", "car-1", ABOUT.firing_id),
        About("cn", "car-2", ABOUT.firing_id),
        About("cn", "car-1", "f" * 32),
    ],
)
def test_as_another_regions_vehicles_or_firings_it_is_nothing(about: About) -> None:
    with pytest.raises(FiringError, match="not signed"):
        unseal(seal(), about)


def test_another_regions_key_does_not_open_it() -> None:
    with pytest.raises(UnknownFiringKeyError, match="is not held here"):
        unseal(seal(), region=EU)
    with pytest.raises(FiringError, match="does not open"):
        open_firing(
            seal(),
            ABOUT,
            sealing_keys={CN.policy.sealing_key_id: EU.sealing_key},
            device_keys={KEYS.device_key_id(): KEYS.device_public_key},
        )


def test_another_devices_word_is_held_apart_from_a_forged_one() -> None:
    with pytest.raises(UnknownFiringKeyError, match="is not accepted here"):
        unseal(seal(), keys=MemoryVehicleKeys("another"))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (replace(TOLD, clip_id=None), "exactly one"),
        (replace(TOLD, drop=DropReason.SAMPLED_OUT), "exactly one"),
        (replace(TOLD, clip_id="../etc"), "content"),
        (replace(TOLD, left_out=-1), "content"),
        (replace(TOLD, campaign_id="a man in a red coat"), "content"),
        (replace(TOLD, evidence=(("Vehicle.Mode", "text"),)), "content"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_firing_is_refused_whoever_signed_it(told: ToldFiring, says: str) -> None:
    with pytest.raises(FiringError, match=says):
        unseal(seal(told))


def signed(content: bytes) -> bytes:
    """Whatever it is, as a device that means no good would send it."""
    device, to = KEYS.device_key_id(), CN.policy.sealing_keys[0]
    names = b"".join(
        bytes([len(one)]) + one.encode() for one in ("cn", "car-1", ABOUT.firing_id, device, to.key_id)
    )
    recipient = X25519PublicKey.from_public_bytes(to.public_key)
    sealed = HPKE_SUITE.encrypt(content, recipient, b"fsd-firing-1 hpke\0" + names)
    signature = KEYS.sign(b"fsd-firing-1 signed\0" + names + sealed)
    return msgspec.msgpack.encode([1, device, to.key_id, sealed, signature])


GOOD = ["walker", 3, "safety", 5, 6, "ab" * 16, None, [], 1, 7, 2]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(GOOD[:-1]),
        msgspec.msgpack.encode([*GOOD, 1]),
        msgspec.msgpack.encode(["", *GOOD[1:]]),
        msgspec.msgpack.encode(["w" * 201, *GOOD[1:]]),
        msgspec.msgpack.encode([*GOOD[:2], "hobby", *GOOD[3:]]),
        msgspec.msgpack.encode([*GOOD[:5], "ab" * 16 + "\n", *GOOD[6:]]),
        msgspec.msgpack.encode(GOOD).replace(b"walker", b"walk\xff\xfe"),
    ],
)
def test_what_a_device_signed_and_is_no_content_is_refused(content: bytes) -> None:
    assert unseal(signed(msgspec.msgpack.encode(GOOD))).campaign_id == "walker"
    with pytest.raises(FiringError):
        unseal(signed(content))


def test_bytes_that_are_none_are_refused() -> None:
    for data in (b"", b"\xc1", b"\x90", bytes(100), msgspec.msgpack.encode([1, "x", "y", b"", b""])):
        with pytest.raises(FiringError):
            unseal(data)
    with pytest.raises(FiringError, match="at most"):
        unseal(bytes(MAX_BYTES + 1))
    newer = msgspec.msgpack.decode(seal())
    for other in ([*newer, 1], newer[:-1], [1, "x" * 16, *newer[2:]], [*newer[:4], newer[4] + b"x"]):
        with pytest.raises(FiringError):
            unseal(msgspec.msgpack.encode(other))
    with pytest.raises(FiringError, match="version 2"):
        unseal(msgspec.msgpack.encode([2, *newer[1:]]))


def test_what_would_be_too_large_is_not_made() -> None:
    evidence = tuple((f"Vehicle.{number:0190}", 1.0) for number in range(40))
    with pytest.raises(FiringError, match="at most"):
        seal(replace(TOLD, evidence=evidence))


# The answer


def answer(data: bytes, region: SampleRegion = CN, vehicle: str = "car-1") -> str:
    keys, region_id = region.policy.receipt_public_keys, region.policy.region_id
    return verify_firing_ack(data, keys, region_id=region_id, vehicle=vehicle)


def test_the_answer_names_the_firing() -> None:
    data = encode_firing_ack(ABOUT, CN.receipt_key)
    assert answer(data) == ABOUT.firing_id
    said = {"region_id": "cn", "vehicle": "car-1", "firing_id": ABOUT.firing_id}
    key_id = CN.policy.receipt_keys[0].key_id
    assert data == seal_envelope("firing", msgspec.msgpack.encode(said), key_id, CN.receipt_key)


def test_an_answer_that_is_anything_else_counts_for_nothing() -> None:
    good = encode_firing_ack(ABOUT, CN.receipt_key)
    for bad in (
        b"",
        bytes(2000),
        encode_firing_ack(ABOUT, EU.receipt_key),
        encode_firing_ack(replace(ABOUT, vehicle="car-2"), CN.receipt_key),
        encode_firing_ack(replace(ABOUT, region_id="eu"), CN.receipt_key),
        encode_firing_ack(replace(ABOUT, firing_id="f-1"), CN.receipt_key),
        seal_envelope("receipt", msgspec.msgpack.encode({}), "0" * 16, CN.receipt_key),
        seal_envelope("firing", b"\xc1", "0" * 16, CN.receipt_key),
        seal_envelope("firing", b"\x81\xa9region_id\xa2\xff\xfe", "0" * 16, CN.receipt_key),
    ):
        with pytest.raises(VerdictError):
            answer(bad)
    with pytest.raises(VerdictError):
        answer(good, vehicle="car-2")
    for bit in range(len(good) * 8):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(VerdictError):
            answer(bytes(damaged))
