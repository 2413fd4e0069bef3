"""The document that decides where data goes has one meaning or none."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.region import HoldReason, Registration
from fsd_agent.testing.regions import AUTHORITY_KEY, sample_registration
from fsd_agent.wire.envelope import public_key_of, seal_envelope
from fsd_agent.wire.moments import MomentError, decode_moment, encode_moment, show_moment
from fsd_agent.wire.registration import (
    MAX_REGISTRATION_BYTES,
    RegistrationError,
    check_vehicle,
    decode_registration,
    encode_registration,
    open_registration,
    sign_registration,
)

GOOD = (
    b'{"vehicle": "car-1", "device_key_id": "0123456789abcdef", "jurisdiction": "CN", "serial": 1, '
    b'"not_before": "2026-11-20T10:00:00Z", "not_after": "2028-11-20T10:00:00Z"}'
)
BEGIN, END = 1_795_168_800 * 10**9, 1_858_327_200 * 10**9
AUTHORITY = public_key_of(AUTHORITY_KEY)


def test_the_format_does_not_drift() -> None:
    assert decode_registration(GOOD) == Registration("car-1", "CN", 1, "0123456789abcdef", BEGIN, END)


MOMENTS = st.integers(1_600_000_000, 7_000_000_000).map(lambda seconds: seconds * 10**9)


@settings(max_examples=40)
@given(
    vehicle=st.from_regex(r"[a-z0-9-]{1,16}", fullmatch=True),
    jurisdiction=st.from_regex(r"[A-Z]{2}", fullmatch=True),
    serial=st.integers(1, 2**53 - 1),
    moments=st.tuples(MOMENTS, MOMENTS).filter(lambda both: both[0] < both[1]),
)
def test_round_trip(vehicle: str, jurisdiction: str, serial: int, moments: tuple[int, int]) -> None:
    registration = Registration(vehicle, jurisdiction, serial, "0" * 16, *moments)
    assert decode_registration(encode_registration(registration)) == registration
    document = sign_registration(registration, AUTHORITY_KEY)
    assert decode_registration(open_registration(document, [AUTHORITY])) == registration


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (', "serial": 1', "", "serial"),
        ('"serial": 1', '"serial": "1"', r"\$.serial"),
        ('"serial": 1', '"serial": 1.0', r"\$.serial"),
        ('"serial": 1', '"serial": true', r"\$.serial"),
        ('"serial": 1', '"serial": 0', r"\$.serial"),
        ('"serial": 1', '"serial": 9007199254740992', r"\$.serial"),
        ('"CN"', '"cn"', r"\$.jurisdiction"),
        ('"CN"', '"CN\\n"', r"\$.jurisdiction"),
        ('"CN"', '["CN"]', r"\$.jurisdiction"),
        ('"CN"', "null", r"\$.jurisdiction"),
        ('"serial": 1', '"serial": 1, "region": "eu"', "region"),
        ('"serial": 1', '"serial": 1, "jurisdiction": "DE"', "given twice"),
        ('"car-1"', '"Car 1"', "vehicle"),
        ('"car-1"', '"car/+"', "vehicle"),
        ('"car-1"', '""', "vehicle"),
        ('"car-1"', '"lsvaa4182e2123456"', "VIN"),
        ('"car-1"', '"operator"', "own clients"),
        ('"car-1"', '"observer"', "own clients"),
        ("0123456789abcdef", "0123456789ABCDEF", r"\$.device_key_id"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00+00:00", "not_before: "),
        ("2026-11-20T10:00:00Z", "2026-11-20 10:00:00Z", "not_before: "),
        ("2026-11-20T10:00:00Z", "2026-02-30T10:00:00Z", "not_before: .* is no date"),
        ("2026-11-20T10:00:00Z", "1999-11-20T10:00:00Z", "not_before: 1999-11-20 is not between"),
        ("2028-11-20T10:00:00Z", "2026-11-20T10:00:00Z", "not_after: "),
        ("2028-11-20T10:00:00Z", "9999-11-20T10:00:00Z", "not_after: "),
        ('"2028-11-20T10:00:00Z"', "1858327200", r"\$.not_after"),
    ],
)
def test_a_wrong_field_is_named(old: str, new: str, match: str) -> None:
    assert old in GOOD.decode()
    with pytest.raises(RegistrationError, match=match) as caught:
        decode_registration(GOOD.decode().replace(old, new, 1).encode())
    assert caught.value.reason is HoldReason.BAD_REGISTRATION


@pytest.mark.parametrize(
    ("document", "match"),
    [(b"[]", "object"), (b"", "not JSON"), ("\ufeff{}".encode(), "not JSON"), (b"[" * 3000, "not JSON")],
)
def test_what_is_no_document_is_refused(document: bytes, match: str) -> None:
    with pytest.raises(RegistrationError, match=match):
        decode_registration(document)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(RegistrationError, match="not JSON"):
        decode_registration(b"\xff\xfe")


@settings(max_examples=40)
@given(cut=st.integers(0, len(GOOD) - 1))
def test_every_truncation_is_refused(cut: int) -> None:
    with pytest.raises(RegistrationError):
        decode_registration(GOOD[:cut])


@pytest.mark.parametrize("vehicle", ["1hgcm82633a004352", "0" * 17, "receiver", "x" * 65, "a\n", "Ä"])
def test_names_that_no_vehicle_may_have(vehicle: str) -> None:
    with pytest.raises(RegistrationError):
        check_vehicle(vehicle)
    with pytest.raises(RegistrationError):
        encode_registration(dataclasses.replace(sample_registration(), vehicle=vehicle))


@pytest.mark.parametrize("vehicle", ["car-1", "x" * 64, "o" * 17, "0" * 16, "0" * 18])
def test_names_that_look_a_little_like_a_vin_are_fine(vehicle: str) -> None:
    assert check_vehicle(vehicle) == vehicle
    assert json.loads(encode_registration(sample_registration(vehicle)))["vehicle"] == vehicle


@pytest.mark.parametrize("wall_ns", [BEGIN + 1, -1, 10**30, 1_500_000_000 * 10**9])
def test_a_moment_that_can_not_be_read_back_is_not_written(wall_ns: int) -> None:
    with pytest.raises(MomentError):
        encode_moment(wall_ns)
    with pytest.raises(RegistrationError, match="validity"):
        encode_registration(dataclasses.replace(sample_registration(), not_before_wall_ns=wall_ns))
    assert show_moment(wall_ns)


def test_a_moment_has_one_spelling() -> None:
    assert encode_moment(BEGIN) == "2026-11-20T10:00:00Z"
    assert decode_moment("2026-11-20T10:00:00Z") == BEGIN
    with pytest.raises(MomentError):
        decode_moment("２０２６-11-20T10:00:00Z")


DOCUMENT = sign_registration(sample_registration(), AUTHORITY_KEY)


def test_the_signed_bytes_are_what_they_were() -> None:
    """Authorities and vehicles are not updated together; Ed25519 signs the same the same."""
    assert hashlib.sha256(DOCUMENT).hexdigest() == (
        "19d5a9ea6a23e7407e674d0251a024a9d18bf78a1020ff9608a16a679f877480"
    )


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", HoldReason.BAD_REGISTRATION),
        (b"\xc1", HoldReason.BAD_REGISTRATION),
        (DOCUMENT + b"\0", HoldReason.BAD_REGISTRATION),
        (seal_envelope("campaigns", GOOD, "a", AUTHORITY_KEY), HoldReason.BAD_REGISTRATION),
        (GOOD, HoldReason.REGISTRATION_UNSIGNED),
        (b"  " + GOOD, HoldReason.REGISTRATION_UNSIGNED),
        (sign_registration(sample_registration(), bytes(32)), HoldReason.REGISTRATION_UNKNOWN_KEY),
        (DOCUMENT[:-1] + bytes([DOCUMENT[-1] ^ 1]), HoldReason.REGISTRATION_BAD_SIGNATURE),
        (DOCUMENT.replace(b'"CN"', b'"DE"'), HoldReason.REGISTRATION_BAD_SIGNATURE),
        (bytes(MAX_REGISTRATION_BYTES + 1), HoldReason.REGISTRATION_TOO_LARGE),
        (b"{" + GOOD * 40, HoldReason.REGISTRATION_TOO_LARGE),
    ],
)
def test_whose_word_it_is_and_why_it_does_not_count(document: bytes, reason: HoldReason) -> None:
    with pytest.raises(RegistrationError) as caught:
        open_registration(document, [AUTHORITY])
    assert caught.value.reason is reason


@settings(max_examples=60)
@given(cut=st.integers(0, len(DOCUMENT) - 1))
def test_every_truncation_of_a_signed_document_is_refused(cut: int) -> None:
    with pytest.raises(RegistrationError) as caught:
        open_registration(DOCUMENT[:cut], [AUTHORITY])
    assert caught.value.reason is HoldReason.BAD_REGISTRATION


@settings(max_examples=300)
@given(at=st.integers(0, len(DOCUMENT) - 1), byte=st.integers(0, 255), insert=st.booleans())
def test_mutated_bytes_are_never_accepted_but_as_the_identical_document(
    at: int, byte: int, insert: bool
) -> None:
    mutated = DOCUMENT[:at] + bytes([byte]) + DOCUMENT[at + (not insert) :]
    if mutated == DOCUMENT:
        return
    with pytest.raises(RegistrationError):
        open_registration(mutated, [AUTHORITY])
