"""Enrolment: what a vehicle asks a region for, and what the region answers. No private key is in either.

A request is a signed envelope (:mod:`.envelope`, context ``enrolment-request``) by the vehicle's device key, whose payload
is a msgpack map ``{"v": 1, "vehicle": str, "region_id": str, "device_key": bin(32), "csr": bin, "rotations": [bin]}``.
``csr`` is a certificate request (PKCS #10, RFC 2986, DER), signed by the TLS key that it is for: so the region knows that
both keys belong to the vehicle that asks. ``rotations`` are the statements (:mod:`.rotation`) that lead to the device key.

An answer is a msgpack map ``{"v": 1, "region_id": str, "certificate": bin, "policy": bin, "root": bin(32)}``. It is not
signed itself, for nothing in it is believed unsigned: the certificate (X.509, DER) is signed by the region's authority,
which the policy names; the policy by the region's root key; and the root counts only where the vehicle pins it
already or a person has compared its fingerprint. The certificate names the vehicle (common name) and its device key (URI).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fsd_agent.wire.curve import ed25519_fault
from fsd_agent.wire.envelope import ENROLMENT, EnvelopeError, key_id_of, open_envelope, sign_envelope
from fsd_agent.wire.policy import MAX_SIGNED_POLICY_BYTES
from fsd_agent.wire.registration import RegistrationError, check_vehicle
from fsd_agent.wire.rotation import MAX_CHAIN, Rotation, RotationError, decode_rotation

MAX_CERTIFICATE_BYTES = 8 << 10
MAX_REQUEST_BYTES = 64 << 10
MAX_ANSWER_BYTES = MAX_SIGNED_POLICY_BYTES + 16 * 1024
DEVICE_URI = "urn:fsd:device:"
"""A vehicle's certificate carries this and its device key's id, as its one alternative name."""

_RegionId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Der = Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_CERTIFICATE_BYTES)]


class EnrolmentError(Exception):
    """A request or an answer is refused; the message names the part and the reason."""


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    vehicle: str
    region_id: _RegionId
    device_key: _Key
    csr: _Der
    rotations: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=MAX_CHAIN)]


class EnrolmentAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module. Nothing of it is verified by decoding."""

    v: Literal[1]
    region_id: _RegionId
    certificate: _Der
    policy: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_SIGNED_POLICY_BYTES)]
    root: _Key


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A request whose signatures were verified: by the device key, by the TLS key, and of every rotation."""

    vehicle: str
    region_id: str
    device_key: bytes
    csr: x509.CertificateSigningRequest
    tls_key: ec.EllipticCurvePublicKey
    rotations: tuple[Rotation, ...]


def encode_request(
    *,
    vehicle: str,
    region_id: str,
    device_key: bytes,
    csr: bytes,
    rotations: tuple[Rotation, ...],
    sign: Callable[[bytes], bytes],
) -> bytes:
    """A request, signed by the device key; raises :class:`EnrolmentError` for what the region would refuse."""
    payload = _Request(1, vehicle, region_id, device_key, csr, tuple(one.data for one in rotations))
    try:
        data = sign_envelope(ENROLMENT, msgspec.msgpack.encode(payload), key_id_of(device_key), sign)
    except EnvelopeError as error:
        raise EnrolmentError(str(error)) from error
    decode_request(data)
    return data


def decode_request(data: bytes) -> EnrolmentRequest:
    """Read a request and verify all its signatures; raises :class:`EnrolmentError`."""
    if len(data) > MAX_REQUEST_BYTES:
        raise EnrolmentError(f"a request of more than {MAX_REQUEST_BYTES} bytes")
    try:
        # The key is in the payload that it signs, so it is read first; the envelope is opened with it and no other.
        device_key = _named_key(data)
        asked = msgspec.msgpack.decode(open_envelope(data, ENROLMENT, device_key), type=_Request)
        vehicle = check_vehicle(asked.vehicle)
        csr = x509.load_der_x509_csr(asked.csr)
        tls_key = csr.public_key()
        is_signed = csr.is_signature_valid
        rotations = tuple(decode_rotation(one) for one in asked.rotations)
    except EnvelopeError as error:
        raise EnrolmentError(f"not signed as an enrolment request: {error}") from error
    except RegistrationError as error:
        raise EnrolmentError(str(error)) from error
    except RotationError as error:
        raise EnrolmentError(f"rotations: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EnrolmentError(f"not an enrolment request: {error}") from error
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise EnrolmentError(f"csr: {error}") from error
    if not is_signed or not isinstance(tls_key, ec.EllipticCurvePublicKey):
        raise EnrolmentError("csr: is not signed by the elliptic-curve key that it is for")
    return EnrolmentRequest(vehicle, asked.region_id, asked.device_key, csr, tls_key, rotations)


def encode_answer(*, region_id: str, certificate: bytes, policy: bytes, root: bytes) -> bytes:
    """An answer."""
    return msgspec.msgpack.encode(EnrolmentAnswer(1, region_id, certificate, policy, root))


def decode_answer(data: bytes) -> EnrolmentAnswer:
    """Read an answer, verifying nothing; raises :class:`EnrolmentError`."""
    if len(data) > MAX_ANSWER_BYTES:
        raise EnrolmentError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    try:
        return msgspec.msgpack.decode(data, type=EnrolmentAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EnrolmentError(f"not an enrolment answer: {error}") from error


def device_uri(device_key_id: str) -> str:
    """The alternative name of a vehicle's certificate."""
    return DEVICE_URI + device_key_id


def tls_key_id(key: ec.EllipticCurvePublicKey) -> str:
    """First 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo: the name of a TLS key in a vehicle directory."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]


class _Envelope(msgspec.Struct):
    payload: bytes


def _named_key(data: bytes) -> bytes:
    """The device key that a request names; raises :class:`EnrolmentError` for one that anybody can sign with."""
    payload = msgspec.msgpack.decode(data, type=_Envelope).payload
    key = msgspec.msgpack.decode(payload, type=_Request).device_key
    fault = ed25519_fault(key)
    if fault is not None:
        raise EnrolmentError(f"device_key: {fault}")
    return key
