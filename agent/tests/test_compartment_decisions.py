"""Which keys come of a compartment's key: each use, region and purpose has its own, and nothing else makes one."""

from __future__ import annotations

import hmac

import pytest

from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.compartment import KEY_BYTES, Use, use_key

EU = Compartment("eu", Purpose.SAFETY)
KEY = bytes(range(32))


def hkdf(key: bytes, info: bytes) -> bytes:
    """RFC 5869 for 32 bytes and no salt, by the letter."""
    return hmac.digest(hmac.digest(bytes(32), key, "sha256"), info + b"\x01", "sha256")


@pytest.mark.parametrize(
    ("compartment", "use", "info"),
    [
        (EU, "staging", b"fsd compartment v1\0staging\0eu\0safety"),
        (EU, "spool", b"fsd compartment v1\0spool\0eu\0safety"),
        (Compartment("cn", Purpose.SAFETY), "spool", b"fsd compartment v1\0spool\0cn\0safety"),
        (Compartment("eu", Purpose.DIAGNOSTICS), "spool", b"fsd compartment v1\0spool\0eu\0diagnostics"),
    ],
)
def test_each_use_of_each_compartment_has_a_key_of_its_own(
    compartment: Compartment, use: Use, info: bytes
) -> None:
    """A vehicle is updated with files on board: the label is what it was."""
    assert use_key(KEY, compartment, use) == hkdf(KEY, info)


def test_another_compartments_key_gives_another() -> None:
    assert use_key(KEY[::-1], EU, "spool") == hkdf(KEY[::-1], b"fsd compartment v1\0spool\0eu\0safety")


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_what_has_not_thirty_two_bytes_is_no_key(size: int) -> None:
    assert KEY_BYTES == 32
    with pytest.raises(ValueError, match=rf"^key of compartment eu/safety: {size} bytes, not 32$"):
        use_key(bytes(size), EU, "spool")


def test_a_region_that_could_not_be_written_in_ascii_has_no_key() -> None:
    with pytest.raises(UnicodeEncodeError):
        use_key(KEY, Compartment("\u0435u", Purpose.SAFETY), "spool")
