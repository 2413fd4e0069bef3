"""Which statements hand over from one device key to the next: to the byte, and where paths of them lead."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.rotation import (
    MAX_CHAIN,
    MAX_ROTATION_BYTES,
    Rotation,
    RotationError,
    decode_rotation,
    linked_key_ids,
    path_between,
    sign_rotation,
)

PRIVATE = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(1, 7)]
PUBLIC = [key.public_key().public_bytes_raw() for key in PRIVATE]
IDS = [key_id_of(key) for key in PUBLIC]
WALL_NS = 1_700_000_000_000_000_000
SMALL_ORDER = b"\x01" + bytes(31)
NO_POINT = b"\x02" + bytes(31)


def crafted(**more: Any) -> bytes:
    """A statement from key 0 to key 1 that is signed as the format says, but for what is given."""
    fields: dict[str, Any] = {"version": 1, "old": PUBLIC[0], "new": PUBLIC[1], "wall_ns": WALL_NS} | {
        name: value for name, value in more.items() if name in {"version", "old", "new", "wall_ns"}
    }
    message = more.get("domain", b"fsd-rotation-1\0") + msgspec.msgpack.encode(list(fields.values()))
    signatures = {"by_old": PRIVATE[0].sign(message), "by_new": PRIVATE[1].sign(message)}
    parts = fields | {name: more.get(name, signature) for name, signature in signatures.items()}
    return msgspec.msgpack.encode([*parts.values(), *more.get("behind", [])])


GOOD = crafted()


def refused(data: bytes) -> str:
    with pytest.raises(RotationError) as caught:
        decode_rotation(data)
    return str(caught.value)


def step(old: int, new: int, wall_ns: int = 0) -> Rotation:
    """As it is once it was verified."""
    return Rotation(PUBLIC[old], PUBLIC[new], wall_ns, b"")


# One statement.


def test_limits_are_what_other_software_goes_by() -> None:
    assert (MAX_ROTATION_BYTES, MAX_CHAIN) == (512, 64)


def test_a_statement_is_what_the_format_says() -> None:
    made = sign_rotation(PUBLIC[0], PUBLIC[1], WALL_NS, sign_old=PRIVATE[0].sign, sign_new=PRIVATE[1].sign)
    assert made.data == GOOD
    assert decode_rotation(GOOD) == made == Rotation(PUBLIC[0], PUBLIC[1], WALL_NS, GOOD)
    assert (made.old_key_id, made.new_key_id) == (IDS[0], IDS[1])


@pytest.mark.parametrize("wall_ns", [0, -1, 2**64 - 1, -(2**63)])
def test_any_time_that_can_be_written_is_one(wall_ns: int) -> None:
    assert decode_rotation(crafted(wall_ns=wall_ns)).wall_ns == wall_ns


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"version": 0}, "rotation statement version 0, this software reads 1"),
        ({"version": 2}, "rotation statement version 2, this software reads 1"),
        ({"version": "1"}, "not a rotation statement: Expected `int`, got `str` - at `$[0]`"),
        ({"wall_ns": "7"}, "not a rotation statement: Expected `int`, got `str` - at `$[3]`"),
        ({"old": PUBLIC[0][1:]}, "not a rotation statement: Expected `bytes` of length >= 32 - at `$[1]`"),
        (
            {"old": PUBLIC[0] + b"\0"},
            "not a rotation statement: Expected `bytes` of length <= 32 - at `$[1]`",
        ),
        ({"new": PUBLIC[1][1:]}, "not a rotation statement: Expected `bytes` of length >= 32 - at `$[2]`"),
        (
            {"new": PUBLIC[1] + b"\0"},
            "not a rotation statement: Expected `bytes` of length <= 32 - at `$[2]`",
        ),
        ({"by_old": bytes(63)}, "not a rotation statement: Expected `bytes` of length >= 64 - at `$[4]`"),
        ({"by_old": bytes(65)}, "not a rotation statement: Expected `bytes` of length <= 64 - at `$[4]`"),
        ({"by_new": bytes(63)}, "not a rotation statement: Expected `bytes` of length >= 64 - at `$[5]`"),
        ({"by_new": bytes(65)}, "not a rotation statement: Expected `bytes` of length <= 64 - at `$[5]`"),
        ({"behind": [0]}, "not a rotation statement: Expected `array` of length 6, got 7"),
        ({"new": PUBLIC[0]}, f"leads from device key {IDS[0]} to itself"),
        ({"old": SMALL_ORDER}, "old key: not a usable Ed25519 public key (small order)"),
        ({"old": NO_POINT}, "old key: not a point of the curve Ed25519"),
        ({"new": SMALL_ORDER}, "new key: not a usable Ed25519 public key (small order)"),
        ({"new": NO_POINT}, "new key: not a point of the curve Ed25519"),
        ({"old": PUBLIC[2]}, f"not signed by the old device key {IDS[2]}"),
        ({"new": PUBLIC[2]}, f"not signed by the new device key {IDS[2]}"),
        ({"by_old": bytes(64)}, f"not signed by the old device key {IDS[0]}"),
        ({"by_new": bytes(64)}, f"not signed by the new device key {IDS[1]}"),
        ({"domain": b"fsd-rotation-1\0X"}, f"not signed by the old device key {IDS[0]}"),
        ({"domain": b""}, f"not signed by the old device key {IDS[0]}"),
    ],
)
def test_what_is_no_statement_of_both_keys_is_named(more: dict[str, Any], says: str) -> None:
    assert refused(crafted(**more)) == says


def test_a_signature_over_another_time_is_none() -> None:
    _, _, _, _, by_old, by_new = msgspec.msgpack.decode(crafted(wall_ns=WALL_NS + 1))
    assert refused(crafted(by_old=by_old)) == f"not signed by the old device key {IDS[0]}"
    assert refused(crafted(by_new=by_new)) == f"not signed by the new device key {IDS[1]}"


def test_signatures_do_not_change_places() -> None:
    parts = msgspec.msgpack.decode(GOOD)
    swapped = msgspec.msgpack.encode([*parts[:4], parts[5], parts[4]])
    assert refused(swapped) == f"not signed by the old device key {IDS[0]}"


def test_a_statement_has_one_spelling() -> None:
    longer = b"\xdc\x00\x06" + GOOD[1:]
    assert msgspec.msgpack.decode(longer) == msgspec.msgpack.decode(GOOD)
    assert refused(longer) == "not the canonical encoding of a rotation statement"


@settings(max_examples=50)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(where: int, flip: int) -> None:
    data = bytearray(GOOD)
    data[where] ^= flip
    with pytest.raises(RotationError):
        decode_rotation(bytes(data))


def test_bytes_beyond_the_limit_are_not_looked_at() -> None:
    assert refused(GOOD.ljust(513)) == "a rotation statement of 513 bytes, at most 512"
    assert refused(GOOD.ljust(512)).startswith("not a rotation statement: MessagePack data is malformed")


@pytest.mark.parametrize("data", [b"", b"\x96", GOOD[:-1], b"\xc1", b"\x01", b"\xa2\xff\xff"])
def test_noise_is_no_statement(data: bytes) -> None:
    assert refused(data).startswith("not a rotation statement: ")


@pytest.mark.parametrize("at", range(6))
def test_text_that_is_none_is_refused_like_any_other(at: int) -> None:
    parts = [msgspec.msgpack.encode(part) for part in msgspec.msgpack.decode(GOOD)]
    parts[at] = b"\xa2\xff\xff"
    assert refused(b"\x96" + b"".join(parts)).endswith(f"got `str` - at `$[{at}]`")


def test_keys_that_can_not_hand_over_make_no_statement() -> None:
    with pytest.raises(RotationError, match=f"^leads from device key {IDS[0]} to itself$"):
        sign_rotation(PUBLIC[0], PUBLIC[0], 0, sign_old=PRIVATE[0].sign, sign_new=PRIVATE[0].sign)
    with pytest.raises(RotationError, match=f"^not signed by the new device key {IDS[1]}$"):
        sign_rotation(PUBLIC[0], PUBLIC[1], 0, sign_old=PRIVATE[0].sign, sign_new=PRIVATE[0].sign)
    with pytest.raises(RotationError, match=f"^not signed by the old device key {IDS[0]}$"):
        sign_rotation(PUBLIC[0], PUBLIC[1], 0, sign_old=PRIVATE[1].sign, sign_new=PRIVATE[1].sign)


# Paths.

CHAIN = [step(number, number + 1) for number in range(5)]


@given(st.permutations(CHAIN), st.integers(0, 5), st.integers(0, 5))
def test_a_path_leads_from_each_key_to_each_later_one_and_never_back(
    shuffled: list[Rotation], start: int, end: int
) -> None:
    path = path_between(shuffled, IDS[start], IDS[end])
    assert path == (tuple(CHAIN[start:end]) if start <= end else None)


def test_nothing_is_needed_from_a_key_to_itself_and_a_gap_is_no_path() -> None:
    assert path_between([], IDS[0], IDS[0]) == ()
    assert path_between([], IDS[0], IDS[1]) is None
    assert path_between([CHAIN[0], CHAIN[2]], IDS[0], IDS[3]) is None


def test_statements_that_go_round_in_a_circle_end() -> None:
    circle = [step(0, 1), step(1, 0)]
    assert path_between(circle, IDS[2], IDS[0]) is None
    assert path_between(circle, IDS[0], IDS[1]) == (circle[0],)


def test_of_two_statements_for_one_key_the_last_counts() -> None:
    two = [step(0, 2), step(1, 2)]
    assert path_between(two, IDS[1], IDS[2]) == (two[1],)
    assert path_between(two, IDS[0], IDS[2]) is None
    again = [step(0, 1, 7), step(0, 1, 8)]
    assert path_between(again, IDS[0], IDS[1]) == (again[1],)


@given(st.permutations(range(5)), st.sets(st.integers(0, 4)), st.integers(0, 5))
def test_keys_are_linked_over_any_number_of_statements_and_to_no_others(
    order: list[int], links: set[int], start: int
) -> None:
    low = high = start
    while low - 1 in links:
        low -= 1
    while high in links:
        high += 1
    found = linked_key_ids([CHAIN[number] for number in order if number in links], IDS[start])
    assert found == frozenset(IDS[low : high + 1])


def test_statements_in_the_least_helpful_order_still_link() -> None:
    assert linked_key_ids(CHAIN[::-1], IDS[0]) == frozenset(IDS)
    assert linked_key_ids(CHAIN, IDS[5]) == frozenset(IDS)
    assert linked_key_ids(iter(CHAIN), IDS[2]) == frozenset(IDS)
