"""Which bytes are an enrolment request or an answer: every signature, limit and pattern, and what is said of the others."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.enrolment import (
    DEVICE_URI,
    MAX_ANSWER_BYTES,
    MAX_CERTIFICATE_BYTES,
    MAX_REQUEST_BYTES,
    EnrolmentAnswer,
    EnrolmentError,
    EnrolmentRequest,
    decode_answer,
    decode_request,
    device_uri,
    encode_answer,
    encode_request,
    tls_key_id,
)
from fsd_agent.wire.envelope import ENROLMENT, sign_envelope
from fsd_agent.wire.policy import MAX_SIGNED_POLICY_BYTES
from fsd_agent.wire.rotation import MAX_CHAIN

BEFORE = MemoryVehicleKeys("before")
CAR = BEFORE.rotate("now")
STRANGER = MemoryVehicleKeys("stranger")
(ROTATION,) = CAR.rotations()
TLS = ec.derive_private_key(7, ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "car-1")])
SMALL_ORDER = b"\x01" + bytes(31)


def made(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    builder = x509.CertificateSigningRequestBuilder().subject_name(NAME)
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


CSR = made(TLS)
ED25519_CSR = made(Ed25519PrivateKey.from_private_bytes(bytes(32)))
P256 = bytes.fromhex("06082a8648ce3d030107")
UNKNOWN_CURVE = bytes.fromhex("06082a8648ce3d03017f")


def altered(was: bytes, becomes: bytes, csr: bytes = CSR) -> bytes:
    assert csr.count(was) == 1
    return csr.replace(was, becomes)


def crafted(*, sign: MemoryVehicleKeys = CAR, context: str = ENROLMENT, **more: Any) -> bytes:
    """A request by somebody who keeps to nothing but the envelope."""
    payload = {
        "v": 1,
        "vehicle": "car-1",
        "region_id": "cn",
        "device_key": CAR.device_public_key,
        "csr": CSR,
        "rotations": [ROTATION.data],
    }
    kept = {name: value for name, value in (payload | more).items() if value is not None}
    return sign_envelope(context, msgspec.msgpack.encode(kept), sign.device_key_id(), sign.sign)


GOOD = crafted()


def refused(data: bytes) -> str:
    with pytest.raises(EnrolmentError) as caught:
        decode_request(data)
    return str(caught.value)


# A request.


def test_limits_are_what_other_software_goes_by() -> None:
    assert (MAX_CERTIFICATE_BYTES, MAX_REQUEST_BYTES, MAX_CHAIN) == (8192, 65_536, 64)
    assert MAX_ANSWER_BYTES == MAX_SIGNED_POLICY_BYTES + 16_384


def encoded(**more: Any) -> bytes:
    asked: dict[str, Any] = {
        "vehicle": "car-1",
        "region_id": "cn",
        "device_key": CAR.device_public_key,
        "csr": CSR,
        "rotations": (ROTATION,),
        "sign": CAR.sign,
    }
    return encode_request(**(asked | more))


def test_a_request_is_what_the_format_says() -> None:
    assert encoded() == GOOD
    csr = x509.load_der_x509_csr(CSR)
    assert decode_request(GOOD) == EnrolmentRequest(
        "car-1", "cn", CAR.device_public_key, csr, TLS.public_key(), (ROTATION,)
    )


def test_rotations_are_as_many_as_the_limit_and_may_be_none() -> None:
    assert decode_request(encoded(rotations=())).rotations == ()
    assert decode_request(crafted(rotations=[ROTATION.data] * 64)).rotations == (ROTATION,) * 64
    assert refused(crafted(rotations=[ROTATION.data] * 65)) == (
        "not an enrolment request: Expected `array` of length <= 64 - at `$.rotations`"
    )


def test_a_request_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert refused(bytes(65_537)) == "a request of more than 65536 bytes"
    assert refused(bytes(65_536)).startswith("not an enrolment request: ")


@pytest.mark.parametrize("region_id", ["a", "-", "z", "0", "9", "x" * 32])
def test_the_last_region_ids_that_are_some(region_id: str) -> None:
    assert decode_request(crafted(region_id=region_id)).region_id == region_id
    assert decode_answer(answer(region_id=region_id)).region_id == region_id


@pytest.mark.parametrize("region_id", ["", "x" * 33, "A", "Aa", "aA", "a\n", "\na", "a_b", "a.b"])
def test_region_ids_beyond_are_refused(region_id: str) -> None:
    says = r"Expected `str` matching regex '^[a-z0-9-]{1,32}\\Z' - at `$.region_id`"
    assert refused(crafted(region_id=region_id)) == f"not an enrolment request: {says}"
    assert refused_answer(answer(region_id=region_id)) == f"not an enrolment answer: {says}"


def not_by(needed: MemoryVehicleKeys, named: MemoryVehicleKeys) -> str:
    fault = (
        f"bad_signature: not by key {needed.device_key_id()} (the envelope names '{named.device_key_id()}')"
    )
    return f"not signed as an enrolment request: {fault}"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"v": 0}, "not an enrolment request: Invalid enum value 0 - at `$.v`"),
        ({"v": 2}, "not an enrolment request: Invalid enum value 2 - at `$.v`"),
        ({"all": 1}, "not an enrolment request: Object contains unknown field `all`"),
        ({"csr": None}, "not an enrolment request: Object missing required field `csr`"),
        ({"csr": b""}, "not an enrolment request: Expected `bytes` of length >= 1 - at `$.csr`"),
        ({"csr": bytes(8193)}, "not an enrolment request: Expected `bytes` of length <= 8192 - at `$.csr`"),
        (
            {"device_key": bytes(31)},
            "not an enrolment request: Expected `bytes` of length >= 32 - at `$.device_key`",
        ),
        (
            {"device_key": bytes(33)},
            "not an enrolment request: Expected `bytes` of length <= 32 - at `$.device_key`",
        ),
        ({"device_key": SMALL_ORDER}, "device_key: not a usable Ed25519 public key (small order)"),
        ({"device_key": b"\x02" + bytes(31)}, "device_key: not a point of the curve Ed25519"),
        ({"vehicle": "Car 1"}, "vehicle: 'Car 1' is not 1 to 64 of [a-z0-9-]"),
        (
            {"rotations": [ROTATION.data[:-1]]},
            "rotations: not a rotation statement: Input data was truncated",
        ),
        (
            {"rotations": [ROTATION.data, b"\x01"]},
            "rotations: not a rotation statement: Expected `array`, got `int`",
        ),
        (
            {"context": "policy"},
            "not signed as an enrolment request: wrong_context: signed as 'policy', expected 'enrolment-request'",
        ),
        (
            {"sign": STRANGER},
            not_by(CAR, STRANGER),
        ),
        (
            {"device_key": BEFORE.device_public_key},
            not_by(BEFORE, CAR),
        ),
    ],
)
def test_what_is_no_request_is_named(more: dict[str, Any], says: str) -> None:
    assert refused(crafted(**more)) == says


def test_noise_is_no_request() -> None:
    for data in (b"", b"\xc1", b"\x80", GOOD[:-1], GOOD.replace(b"car-1", b"car-\xff", 1)):
        assert refused(data).startswith("not an enrolment request: ")


@pytest.mark.parametrize(
    ("csr", "says"),
    [
        (bytes(8192), "csr: "),
        (CSR[:-1], "csr: "),
        (altered(P256, UNKNOWN_CURVE), "csr: "),
        (altered(b"\x02\x01\x00\x30", b"\x02\x01\x05\x30"), "csr: 5 is not a valid CSR version"),
        (ED25519_CSR.replace(b"\x2b\x65\x70", b"\x2b\x65\x6e", 1), "csr: "),
        (altered(b"car-1", b"car-2"), "csr: is not signed by the elliptic-curve key that it is for"),
        (ED25519_CSR, "csr: is not signed by the elliptic-curve key that it is for"),
    ],
    ids=["zeros", "cut", "unknown curve", "version", "a key that agrees", "signature", "ed25519"],
)
def test_the_certificate_request_is_signed_by_the_elliptic_curve_key_in_it(csr: bytes, says: str) -> None:
    assert refused(crafted(csr=csr)).startswith(says)


def test_nothing_is_asked_that_the_region_would_refuse() -> None:
    with pytest.raises(EnrolmentError, match=r"^vehicle: 'Car 1' is not 1 to 64"):
        encoded(vehicle="Car 1")
    with pytest.raises(EnrolmentError, match=r"^not signed as an enrolment request: bad_signature"):
        encoded(sign=STRANGER.sign)
    with pytest.raises(EnrolmentError, match=r"^too_large: [0-9]+ bytes, at most 4194304$"):
        encoded(csr=bytes(4 << 20))


# An answer.


def answer(**more: Any) -> bytes:
    parts = {"v": 1, "region_id": "cn", "certificate": b"c", "policy": b"p", "root": bytes(32)}
    return msgspec.msgpack.encode(parts | more)


def refused_answer(data: bytes) -> str:
    with pytest.raises(EnrolmentError) as caught:
        decode_answer(data)
    return str(caught.value)


def test_an_answer_is_what_the_format_says() -> None:
    assert encode_answer(region_id="cn", certificate=b"c", policy=b"p", root=bytes(32)) == answer()
    assert decode_answer(answer()) == EnrolmentAnswer(1, "cn", b"c", b"p", bytes(32))


def test_an_answers_parts_are_as_large_as_their_limits() -> None:
    largest = answer(certificate=bytes(8192), policy=bytes(MAX_SIGNED_POLICY_BYTES))
    assert len(decode_answer(largest).policy) == MAX_SIGNED_POLICY_BYTES


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"v": 0}, "Invalid enum value 0 - at `$.v`"),
        ({"v": 2}, "Invalid enum value 2 - at `$.v`"),
        ({"all": 1}, "Object contains unknown field `all`"),
        ({"certificate": b""}, "Expected `bytes` of length >= 1 - at `$.certificate`"),
        ({"certificate": bytes(8193)}, "Expected `bytes` of length <= 8192 - at `$.certificate`"),
        ({"policy": b""}, "Expected `bytes` of length >= 1 - at `$.policy`"),
        (
            {"policy": bytes(MAX_SIGNED_POLICY_BYTES + 1)},
            f"Expected `bytes` of length <= {MAX_SIGNED_POLICY_BYTES} - at `$.policy`",
        ),
        ({"root": bytes(31)}, "Expected `bytes` of length >= 32 - at `$.root`"),
        ({"root": bytes(33)}, "Expected `bytes` of length <= 32 - at `$.root`"),
    ],
)
def test_what_is_no_answer_is_named(more: dict[str, Any], says: str) -> None:
    assert refused_answer(answer(**more)) == f"not an enrolment answer: {says}"


def test_noise_is_no_answer() -> None:
    for data in (b"", b"\xc1", answer()[:-1], answer().replace(b"cn", b"\xff\xff")):
        assert refused_answer(data).startswith("not an enrolment answer: ")


def test_an_answer_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert refused_answer(bytes(MAX_ANSWER_BYTES)).startswith("not an enrolment answer: ")
    assert refused_answer(bytes(MAX_ANSWER_BYTES + 1)) == (f"an answer of more than {MAX_ANSWER_BYTES} bytes")


# Names.


def test_a_device_key_and_a_tls_key_have_names() -> None:
    assert DEVICE_URI == "urn:fsd:device:"
    assert device_uri("0123456789abcdef") == "urn:fsd:device:0123456789abcdef"
    spki = TLS.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert tls_key_id(TLS.public_key()) == hashlib.sha256(spki).hexdigest()[:16]
