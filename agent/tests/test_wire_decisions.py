"""Where signed bytes turn from accepted to refused: sizes to the byte, patterns to the character, points of the curve."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.region import HoldReason
from fsd_agent.testing.regions import AUTHORITY_KEY, sample_registration
from fsd_agent.wire.curve import _decompress, _double, ed25519_fault
from fsd_agent.wire.envelope import (
    CAMPAIGNS,
    MAX_ENVELOPE_BYTES,
    MAX_NAME_BYTES,
    POLICY,
    RECEIPT,
    REGISTRATION,
    EnvelopeError,
    EnvelopeFault,
    key_id_of,
    open_envelope,
    public_key_of,
    seal_envelope,
)
from fsd_agent.wire.registration import (
    MAX_REGISTRATION_BYTES,
    RegistrationError,
    decode_registration,
    encode_registration,
    open_registration,
    sign_registration,
)

# Envelopes.

KEY, OTHER, THIRD = (bytes([n]) * 32 for n in (1, 2, 3))
PUBLIC = public_key_of(KEY)


def crafted(context: str, key_id: str, payload: bytes = b"", *, cut: int = 64, **more: object) -> bytes:
    """An envelope that is signed as the format says, by somebody who keeps to none of its limits."""
    names = b"".join(bytes([len(name)]) + name.encode() for name in (context, key_id))
    sig = Ed25519PrivateKey.from_private_bytes(KEY).sign(b"fsd-envelope-1\0" + names + payload)
    fields = {"v": 1, "context": context, "key_id": key_id, "payload": payload, "sig": (sig + b"\0")[:cut]}
    return msgspec.msgpack.encode(fields | more)


def fault(data: bytes, context: str, *keys: bytes) -> EnvelopeError:
    with pytest.raises(EnvelopeError) as caught:
        open_envelope(data, context, *keys)
    return caught.value


def test_limits_and_contexts_are_what_other_software_goes_by() -> None:
    assert (MAX_ENVELOPE_BYTES, MAX_NAME_BYTES, MAX_REGISTRATION_BYTES) == (4_194_304, 64, 4096)
    assert (CAMPAIGNS, RECEIPT, REGISTRATION, POLICY) == ("campaigns", "receipt", "registration", "policy")
    assert [str(one) for one in EnvelopeFault] == [
        "too_large", "malformed", "unknown_version", "wrong_context", "bad_signature",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["~", "!", "x" * 64])
def test_the_last_names_that_are_some(name: str) -> None:
    assert open_envelope(crafted(name, name, b"p"), name, PUBLIC) == b"p"
    assert seal_envelope(name, b"p", name, KEY) == crafted(name, name, b"p")


@pytest.mark.parametrize("name", ["", "x" * 65, " ", "\x7f", "a b", "a\n", "\na"])
def test_names_beyond_are_refused_though_the_signature_is_right(name: str) -> None:
    assert fault(crafted(name, "k"), name, PUBLIC).fault is EnvelopeFault.MALFORMED
    assert fault(crafted("c", name), "c", PUBLIC).fault is EnvelopeFault.MALFORMED


def test_a_signature_has_sixty_four_bytes() -> None:
    for cut in (63, 65):
        assert fault(crafted("c", "k", cut=cut), "c", PUBLIC).fault is EnvelopeFault.MALFORMED
    assert open_envelope(crafted("c", "k"), "c", PUBLIC) == b""


def test_an_envelope_may_be_as_large_as_the_limit_and_no_larger() -> None:
    room = MAX_ENVELOPE_BYTES - len(seal_envelope("c", bytes(1 << 20), "k", KEY)) + (1 << 20)
    largest = seal_envelope("c", bytes(room), "k", KEY)
    assert len(largest) == MAX_ENVELOPE_BYTES
    assert open_envelope(largest, "c", PUBLIC) == bytes(room)
    with pytest.raises(EnvelopeError, match=r"^too_large: 4194305 bytes, at most 4194304$"):
        seal_envelope("c", bytes(room + 1), "k", KEY)
    assert fault(crafted("c", "k", bytes(room + 1)), "c", PUBLIC).fault is EnvelopeFault.TOO_LARGE


def test_any_one_of_several_keys_is_enough() -> None:
    sealed = seal_envelope("c", b"p", "k", KEY)
    others = [public_key_of(key) for key in (OTHER, THIRD)]
    for keys in ([PUBLIC, *others], [*others, PUBLIC], [others[0], PUBLIC, others[1]]):
        assert open_envelope(sealed, "c", *keys) == b"p"
    refused = fault(sealed, "c", *others)
    assert str(refused) == (
        f"bad_signature: not by key {key_id_of(others[0])} or {key_id_of(others[1])} (the envelope names 'k')"
    )
    assert (refused.fault, refused.key_id) == (EnvelopeFault.BAD_SIGNATURE, "k")
    nobody = fault(sealed, "c")
    assert str(nobody) == "bad_signature: not by key any, because none is trusted (the envelope names 'k')"


def test_only_a_bad_signature_names_a_key() -> None:
    assert fault(seal_envelope("c", b"p", "k", KEY), "d", PUBLIC).key_id == ""


# Registration documents.

REGISTERED = sample_registration()
TEXT = encode_registration(REGISTERED).decode()


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("device_key_id", "x" + REGISTERED.device_key_id),
        ("device_key_id", REGISTERED.device_key_id + "x"),
        ("device_key_id", REGISTERED.device_key_id + "\\n"),
        ("device_key_id", REGISTERED.device_key_id[1:]),
        ("device_key_id", REGISTERED.device_key_id.upper()),
        ("jurisdiction", "xCN"),
        ("jurisdiction", "CNx"),
        ("jurisdiction", "CN\\n"),
        ("jurisdiction", "C"),
        ("jurisdiction", "Cn"),
        ("jurisdiction", "C1"),
    ],
)
def test_a_field_is_nothing_but_its_pattern(field: str, bad: str) -> None:
    text = TEXT.replace(f'"{getattr(REGISTERED, field)}"', f'"{bad}"')
    assert text != TEXT
    with pytest.raises(RegistrationError, match=field):
        decode_registration(text.encode())


def test_half_a_character_is_refused_like_any_other_damage() -> None:
    with pytest.raises(RegistrationError, match="surrogates not allowed"):
        decode_registration(TEXT.replace('"serial"', '"\\ud800": 1, "serial"').encode())


@pytest.mark.parametrize(("serial", "fine"), [(1, True), (0, False), (2**53 - 1, True), (2**53, False)])
def test_the_first_and_the_last_serial(serial: int, fine: bool) -> None:
    document = dataclasses.replace(REGISTERED, serial=serial)
    if fine:
        assert decode_registration(encode_registration(document)) == document
    else:
        with pytest.raises(RegistrationError, match="serial"):
            encode_registration(document)


def test_a_serial_in_quotes_is_no_number() -> None:
    with pytest.raises(RegistrationError, match="serial"):
        decode_registration(TEXT.replace('"serial": 1', '"serial": "1"').encode())


def test_documents_and_payloads_have_a_largest_size() -> None:
    assert decode_registration(TEXT.ljust(4096).encode()) == REGISTERED
    for refuse in (
        lambda: decode_registration(TEXT.ljust(4097).encode()),
        lambda: open_registration(bytes(4097), ()),
    ):
        with pytest.raises(RegistrationError) as caught:
            refuse()
        assert caught.value.reason is HoldReason.REGISTRATION_TOO_LARGE
    with pytest.raises(RegistrationError) as caught:
        open_registration(bytes(4096), ())
    assert caught.value.reason is HoldReason.BAD_REGISTRATION
    assert str(caught.value).startswith("malformed: ")


@pytest.mark.parametrize("document", [b"{}", b"[]", b" \n{", TEXT.encode()])
def test_json_where_a_signed_document_belongs_is_unsigned(document: bytes) -> None:
    with pytest.raises(RegistrationError) as caught:
        open_registration(document, [public_key_of(AUTHORITY_KEY)])
    assert caught.value.reason is HoldReason.REGISTRATION_UNSIGNED


def test_a_signed_document_fits() -> None:
    signed = sign_registration(REGISTERED, AUTHORITY_KEY)
    assert open_registration(signed, [public_key_of(AUTHORITY_KEY)]) == TEXT.encode()


# The curve.

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P


@settings(max_examples=20)
@given(seed=st.binary(min_size=32, max_size=32))
def test_points_and_their_doubles_are_on_the_curve(seed: bytes) -> None:
    """RFC 8032, section 5.1: -x2 + y2 = 1 + d x2 y2; and a key is the y of its point, little-endian."""
    key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    encoded = int.from_bytes(key, "little")
    point = _decompress(encoded)
    assert point is not None
    assert point[1] == encoded & (2**255 - 1)
    for _ in range(3):
        x, y = point
        assert (y * y - x * x - 1 - _D * x * x * y * y) % _P == 0
        double = _double(point)
        assert double[0] * (1 + _D * x * x * y * y) % _P == 2 * x * y % _P
        point = double
    assert ed25519_fault(key) is None
