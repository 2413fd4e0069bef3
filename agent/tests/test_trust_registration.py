"""A vehicle goes by the newest document that its authority signed for it, while it is valid, and by no other."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.region import HoldReason, Registration
from fsd_agent.rules.trust.registration import (
    BELIEVE_NS,
    AcceptedRegistration,
    BelievedClock,
    accept_registration,
    raised,
    verify_registration,
)
from fsd_agent.testing.regions import AUTHORITY_KEY, sample_registration
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.envelope import public_key_of
from fsd_agent.wire.floors import (
    FloorError,
    PolicyFloor,
    RegistrationFloor,
    decode_policy_floor,
    decode_registration_floor,
    encode_policy_floor,
    encode_registration_floor,
)
from fsd_agent.wire.registration import RegistrationError, sign_registration

S = 1_000_000_000
OTHER_KEY = bytes(31) + b"\1"
NOW = 1_700_000_000 * S
DAY = 86_400 * S
DEVICE = MemoryVehicleKeys("car-1").device_key_id()


def document(
    serial: int = 1, jurisdiction: str = "CN", begin: int = NOW - DAY, end: int = NOW + DAY
) -> Registration:
    return dataclasses.replace(
        sample_registration("car-1", jurisdiction, serial), not_before_wall_ns=begin, not_after_wall_ns=end
    )


def accept(
    registration: Registration,
    floor: RegistrationFloor | None = None,
    *,
    clock_ns: int = NOW,
    proved_ns: int = 0,
    key: bytes = AUTHORITY_KEY,
    trusted: tuple[bytes, ...] = (AUTHORITY_KEY,),
) -> AcceptedRegistration:
    return accept_registration(
        verify_registration(sign_registration(registration, key), [public_key_of(one) for one in trusted]),
        device_key_ids={DEVICE},
        floor=floor,
        clock_ns=clock_ns,
        proved_ns=proved_ns,
    )


def refused(reason: HoldReason, *arguments: object, **more: object) -> None:
    with pytest.raises(RegistrationError) as caught:
        accept(*arguments, **more)  # type: ignore[arg-type]  # as accept
    assert caught.value.reason is reason


def test_the_first_document_is_taken_and_makes_the_floor() -> None:
    accepted = accept(document(5))
    assert accepted.registration == document(5)
    assert (accepted.floor.serial, accepted.floor.clock_ns) == (5, 0)
    assert accept(document(5), accepted.floor) == accepted
    assert accept(document(6, "DE"), accepted.floor).floor.serial == 6


def test_older_and_contradicting_documents_are_refused_for_good() -> None:
    floor = accept(document(5)).floor
    refused(HoldReason.REGISTRATION_OLDER, document(4), floor)
    refused(HoldReason.REGISTRATION_CONTRADICTS, document(5, "DE"), floor)
    refused(HoldReason.REGISTRATION_CONTRADICTS, document(5, end=NOW + 2 * DAY), floor)


def test_the_same_content_signed_by_another_trusted_key_is_the_same_document() -> None:
    floor = accept(document(5)).floor
    both = (AUTHORITY_KEY, OTHER_KEY)
    assert accept(document(5), floor, key=OTHER_KEY, trusted=both).floor == floor
    refused(HoldReason.REGISTRATION_UNKNOWN_KEY, document(5), floor, key=OTHER_KEY)
    refused(HoldReason.REGISTRATION_UNKNOWN_KEY, document(6), floor, trusted=(OTHER_KEY,))


def test_the_genuine_document_of_another_vehicle_registers_nobody_here() -> None:
    other = dataclasses.replace(document(9), device_key_id=MemoryVehicleKeys("car-2").device_key_id())
    refused(HoldReason.REGISTRATION_OTHER_VEHICLE, other)


@pytest.mark.parametrize(
    ("clock_ns", "reason"),
    [
        (NOW - DAY - 1, HoldReason.REGISTRATION_NOT_YET_VALID),
        (NOW + DAY, HoldReason.REGISTRATION_EXPIRED),
        (0, HoldReason.REGISTRATION_NOT_YET_VALID),
        (2**62, HoldReason.REGISTRATION_EXPIRED),
    ],
)
def test_validity_is_from_its_first_moment_until_before_its_last(clock_ns: int, reason: HoldReason) -> None:
    refused(reason, document(), clock_ns=clock_ns)
    assert accept(document(), clock_ns=NOW - DAY)
    assert accept(document(), clock_ns=NOW + DAY - 1)


def test_a_clock_that_is_set_back_revives_nothing() -> None:
    floor = raised(accept(document()).floor, NOW + DAY)
    refused(HoldReason.REGISTRATION_EXPIRED, document(), floor, clock_ns=NOW)
    refused(HoldReason.REGISTRATION_EXPIRED, document(), clock_ns=NOW, proved_ns=NOW + DAY)
    assert raised(floor, NOW).clock_ns == NOW + DAY


def test_a_newer_document_helps_a_vehicle_whose_clock_was_wrong() -> None:
    floor = raised(accept(document(1)).floor, NOW + 1000 * DAY)
    refused(HoldReason.REGISTRATION_EXPIRED, document(1), floor)
    accepted = accept(document(2), floor)
    assert accepted.floor.clock_ns == 0
    refused(HoldReason.REGISTRATION_OLDER, document(1), accepted.floor)


def test_a_document_that_is_refused_leaves_no_floor_behind() -> None:
    floor = accept(document(1)).floor
    refused(HoldReason.REGISTRATION_EXPIRED, document(9, end=NOW, begin=NOW - DAY), floor)
    assert accept(document(2), floor).floor.serial == 2


STEPS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from(["CN", "DE"]), st.integers(-3, 3)), min_size=1, max_size=12
)


@settings(max_examples=80)
@given(steps=STEPS)
def test_serials_never_go_down_and_one_serial_has_one_content(steps: list[tuple[int, str, int]]) -> None:
    floor: RegistrationFloor | None = None
    seen: dict[int, str] = {}
    for serial, jurisdiction, day in steps:
        newest = max(seen, default=0)
        fresh = serial >= newest and seen.get(serial, jurisdiction) == jurisdiction
        if not (fresh and -1 <= day < 1):
            with pytest.raises(RegistrationError):
                accept(document(serial, jurisdiction), floor, clock_ns=NOW + day * DAY)
            continue
        floor = accept(document(serial, jurisdiction), floor, clock_ns=NOW + day * DAY).floor
        seen[serial] = jurisdiction
        assert floor.serial == serial


def test_a_clock_is_believed_once_it_has_not_gone_back_for_long_enough() -> None:
    clock = BelievedClock()
    assert clock.look(monotonic_ns=0, wall_ns=NOW) is None
    assert clock.look(monotonic_ns=BELIEVE_NS - 1, wall_ns=NOW + BELIEVE_NS - 1) is None
    assert clock.look(monotonic_ns=BELIEVE_NS, wall_ns=NOW + BELIEVE_NS) == NOW
    assert clock.look(monotonic_ns=2 * BELIEVE_NS, wall_ns=NOW + 2 * BELIEVE_NS) == NOW + BELIEVE_NS


def test_a_clock_that_stands_still_is_believed_too() -> None:
    clock = BelievedClock()
    assert clock.look(monotonic_ns=0, wall_ns=NOW) is None
    assert clock.look(monotonic_ns=BELIEVE_NS // 2, wall_ns=NOW) is None
    assert clock.look(monotonic_ns=BELIEVE_NS, wall_ns=NOW) == NOW


@settings(max_examples=80)
@given(
    looks=st.lists(
        st.tuples(st.integers(1, BELIEVE_NS), st.integers(-(10**15), 10**15)), min_size=1, max_size=30
    )
)
def test_what_is_believed_was_seen_long_enough_ago_and_nothing_earlier_since(
    looks: list[tuple[int, int]],
) -> None:
    clock, mono, wall = BelievedClock(), 0, NOW
    past: list[tuple[int, int]] = []
    for passed, jump in looks:
        mono, wall = mono + passed, wall + passed + jump
        believed = clock.look(monotonic_ns=mono, wall_ns=wall)
        past.append((mono, wall))
        if believed is not None:
            since = max(index for index, (_, shown) in enumerate(past) if shown == believed)
            assert mono - past[since][0] >= BELIEVE_NS
            assert min(shown for _, shown in past[since:]) == believed


@settings(max_examples=40)
@given(serial=st.integers(0, 2**53), digest=st.binary(min_size=32, max_size=32), clock=st.integers(0, 2**62))
def test_floors_make_the_round_trip(serial: int, digest: bytes, clock: int) -> None:
    floor = RegistrationFloor(serial, digest, clock)
    assert decode_registration_floor(encode_registration_floor(floor)) == floor
    policy = PolicyFloor(serial, digest, b"envelope")
    assert decode_policy_floor(encode_policy_floor(policy)) == policy


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x94\x02\x01\xc4\x00\x00", b"\x94\x01\x01\xc4\x00\x00"])
def test_a_damaged_floor_is_an_error(data: bytes) -> None:
    with pytest.raises(FloorError):
        decode_registration_floor(data)
    with pytest.raises(FloorError):
        decode_policy_floor(data)
