"""Rotation statements: who may hand over to whom, and which keys are one device's."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.rotation import (
    Rotation,
    RotationError,
    decode_rotation,
    linked_key_ids,
    path_between,
    sign_rotation,
)

CARS = [MemoryVehicleKeys(f"key {number}") for number in range(6)]
IDS = [car.device_key_id() for car in CARS]


def statement(old: int, new: int) -> Rotation:
    return CARS[old].rotate(f"key {new}", wall_ns=7).rotations()[-1]


def test_a_statement_says_which_key_comes_after_which() -> None:
    made = statement(0, 1)
    assert decode_rotation(made.data) == made
    assert (made.old_key_id, made.new_key_id, made.wall_ns) == (IDS[0], IDS[1], 7)


@given(st.integers(0, len(statement(0, 1).data) - 1), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(where: int, flip: int) -> None:
    data = bytearray(statement(0, 1).data)
    data[where] ^= flip
    with pytest.raises(RotationError):
        decode_rotation(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"\x96", statement(0, 1).data + b"\0", statement(0, 1).data[:-1], bytes(600)]
)
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    with pytest.raises(RotationError):
        decode_rotation(data)


def test_both_keys_must_have_signed_and_be_usable() -> None:
    old, new, stranger = CARS[:3]
    keys = old.device_public_key, new.device_public_key
    with pytest.raises(RotationError, match="not signed by the old"):
        sign_rotation(*keys, 7, sign_old=stranger.sign, sign_new=new.sign)
    with pytest.raises(RotationError, match="not signed by the new"):
        sign_rotation(*keys, 7, sign_old=old.sign, sign_new=stranger.sign)
    with pytest.raises(RotationError, match="to itself"):
        sign_rotation(keys[0], keys[0], 7, sign_old=old.sign, sign_new=old.sign)
    with pytest.raises(RotationError, match="new key: not a usable"):
        sign_rotation(keys[0], bytes([1]) + bytes(31), 7, sign_old=old.sign, sign_new=old.sign)


def test_another_version_is_refused_by_name() -> None:
    parts = msgspec.msgpack.decode(statement(0, 1).data)
    with pytest.raises(RotationError, match="version 2"):
        decode_rotation(msgspec.msgpack.encode([2, *parts[1:]]))


@given(st.permutations(range(6)), st.integers(0, 5), st.integers(0, 5))
def test_a_path_leads_from_each_key_to_each_later_one_and_never_back(
    order: list[int], start: int, end: int
) -> None:
    chain = [statement(number, number + 1) for number in range(5)]
    shuffled = [chain[number] for number in order if number < 5]
    path = path_between(shuffled, IDS[start], IDS[end])
    assert path == (tuple(chain[start:end]) if start <= end else None)


def test_statements_that_go_round_in_a_circle_end() -> None:
    circle = [statement(0, 1), statement(1, 0)]
    assert path_between(circle, IDS[2], IDS[0]) is None
    assert path_between(circle, IDS[0], IDS[1]) == (circle[0],)


@given(st.sets(st.integers(0, 4)), st.integers(0, 5))
def test_keys_are_linked_over_any_number_of_statements_and_to_no_others(links: set[int], start: int) -> None:
    low = high = start
    while low - 1 in links:
        low -= 1
    while high in links:
        high += 1
    found = linked_key_ids([statement(number, number + 1) for number in sorted(links)], IDS[start])
    assert found == set(IDS[low : high + 1])
