"""Keys under which anybody can sign are no keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.wire.curve import ed25519_fault

SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
"""All eight (Chalkias, Garillot, Nikolaenko 2020, table 6)."""


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_points_of_small_order_are_refused(point: str) -> None:
    assert ed25519_fault(bytes.fromhex(point)) == "not a usable Ed25519 public key (small order)"


def test_under_such_a_point_anybody_signs_and_the_library_believes_it() -> None:
    identity = bytes.fromhex(SMALL_ORDER[1])
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"anything")


@pytest.mark.parametrize(
    "key",
    [
        b"\2" + bytes(31),  # no x makes a point of it
        bytes.fromhex("ed" + "ff" * 30 + "7f"),  # y is not below the prime
        b"\1" + bytes(30) + b"\x80",  # x is zero and cannot be odd
        b"\xff" * 32,
    ],
)
def test_what_is_no_point_is_refused(key: bytes) -> None:
    assert ed25519_fault(key) == "not a point of the curve Ed25519"


def test_a_wrong_length_is_named() -> None:
    assert ed25519_fault(bytes(31)) == "31 bytes, a raw key has 32"


@settings(max_examples=40)
@given(seed=st.binary(min_size=32, max_size=32))
def test_every_real_key_is_fine(seed: bytes) -> None:
    assert ed25519_fault(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()) is None
