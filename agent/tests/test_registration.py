"""The document that decides where data goes has one meaning or none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_agent.records.region import Registration
from fsd_agent.wire.registration import (
    RegistrationError,
    check_vehicle,
    decode_registration,
    encode_registration,
)

GOOD = b'{"vehicle": "car-1", "jurisdiction": "CN", "serial": 1}'


def test_the_format_does_not_drift() -> None:
    assert decode_registration(GOOD) == Registration("car-1", "CN", 1)


@settings(max_examples=40)
@given(
    vehicle=st.from_regex(r"[a-z0-9-]{1,16}", fullmatch=True),
    jurisdiction=st.from_regex(r"[A-Z]{2}", fullmatch=True),
    serial=st.integers(1, 2**53 - 1),
)
def test_round_trip(vehicle: str, jurisdiction: str, serial: int) -> None:
    registration = Registration(vehicle, jurisdiction, serial)
    assert decode_registration(encode_registration(registration)) == registration


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ('{"vehicle": "car-1", "jurisdiction": "CN"}', "serial"),
        ('{"vehicle": "car-1", "jurisdiction": "CN", "serial": "1"}', r"\$.serial"),
        ('{"vehicle": "car-1", "jurisdiction": "CN", "serial": 1.0}', r"\$.serial"),
        ('{"vehicle": "car-1", "jurisdiction": "CN", "serial": true}', r"\$.serial"),
        ('{"vehicle": "car-1", "jurisdiction": "CN", "serial": 0}', r"\$.serial"),
        ('{"vehicle": "car-1", "jurisdiction": "cn", "serial": 1}', r"\$.jurisdiction"),
        ('{"vehicle": "car-1", "jurisdiction": "CN\\n", "serial": 1}', r"\$.jurisdiction"),
        ('{"vehicle": "car-1", "jurisdiction": ["CN"], "serial": 1}', r"\$.jurisdiction"),
        ('{"vehicle": "car-1", "jurisdiction": null, "serial": 1}', r"\$.jurisdiction"),
        ('{"vehicle": "car-1", "jurisdiction": "CN", "serial": 1, "region": "eu"}', "region"),
        ('{"vehicle": "car-1", "jurisdiction": "CN", "jurisdiction": "DE", "serial": 1}', "given twice"),
        ('{"vehicle": "Car 1", "jurisdiction": "CN", "serial": 1}', "vehicle"),
        ('{"vehicle": "car/+", "jurisdiction": "CN", "serial": 1}', "vehicle"),
        ('{"vehicle": "", "jurisdiction": "CN", "serial": 1}', "vehicle"),
        ('{"vehicle": "lsvaa4182e2123456", "jurisdiction": "CN", "serial": 1}', "VIN"),
        ('{"vehicle": "operator", "jurisdiction": "CN", "serial": 1}', "own clients"),
        ("[]", "object"),
        ("", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[" * 3000, "not JSON"),
        (" " * 5000, "at most"),
    ],
)
def test_refused(document: str, match: str) -> None:
    with pytest.raises(RegistrationError, match=match):
        decode_registration(document.encode())


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
        encode_registration(Registration(vehicle, "CN", 1))


@pytest.mark.parametrize("vehicle", ["car-1", "x" * 64, "o" * 17, "0" * 16, "0" * 18])
def test_names_that_look_a_little_like_a_vin_are_fine(vehicle: str) -> None:
    assert check_vehicle(vehicle) == vehicle
    assert json.loads(encode_registration(Registration(vehicle, "CN", 1)))["vehicle"] == vehicle
