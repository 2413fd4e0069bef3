"""A region's certificate authority: who may answer as its broker and who may connect to it.

X.509 v3 (RFC 5280), ECDSA P-256 with SHA-256. The authority is self-signed and may sign end certificates only. The
broker's certificate is for servers alone and carries the region's name and identity; a client's is for clients alone
and its common name is the MQTT user. So a vehicle's certificate can't be used to pose as the broker, and the other
way round.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fsd_agent.wire.enrolment import device_uri

AUTHORITY_LIFE = dt.timedelta(days=3650)
CERTIFICATE_LIFE = dt.timedelta(days=730)
CLOCK_SLACK = dt.timedelta(hours=1)
"""Certificates begin in the past, for clocks that are late."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, certificate_pem: bytes, key_pem: bytes) -> Authority:
        """From PEM; raises ValueError."""
        key = serialization.load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not an elliptic-curve key")  # noqa: TRY004 - a fault of the file
        return cls(x509.load_pem_x509_certificate(certificate_pem), key)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def new_authority(region_id: str, now: dt.datetime) -> Authority:
    """A self-signed authority for one region."""
    key = new_key()
    name = _name(f"fsd region {region_id} authority")
    builder = _begin(name, name, key.public_key(), now, AUTHORITY_LIFE)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def issue_broker(
    authority: Authority,
    key: ec.EllipticCurvePublicKey,
    *,
    server_name: str,
    identity_uri: str,
    now: dt.datetime,
) -> x509.Certificate:
    """The certificate of the region's broker."""
    names = x509.SubjectAlternativeName(
        [x509.DNSName(server_name), x509.UniformResourceIdentifier(identity_uri)]
    )
    builder = _issue(authority, _name(server_name), key, ExtendedKeyUsageOID.SERVER_AUTH, now)
    return builder.add_extension(names, critical=False).sign(authority.key, hashes.SHA256())


def request_client(common_name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """A request (PKCS #10, RFC 2986) for a client certificate, signed by the key that it is for."""
    return x509.CertificateSigningRequestBuilder().subject_name(_name(common_name)).sign(key, hashes.SHA256())


def issue_client(
    authority: Authority,
    request: x509.CertificateSigningRequest,
    *,
    common_name: str,
    now: dt.datetime,
    device_key_id: str = "",
) -> x509.Certificate:
    """A client's certificate for ``common_name``, whatever else the request may ask for.

    A vehicle's names its device key too, as an alternative name: who reads it knows that both keys are one device's.
    Raises ValueError when the request names someone else or is not signed by the key that it is for.
    """
    key = request.public_key()
    if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("the certificate request is not signed by the elliptic-curve key that it is for")
    if request.subject != _name(common_name):
        raise ValueError(
            f"the certificate request is for {request.subject.rfc4514_string()}, not CN={common_name}"
        )
    builder = _issue(authority, request.subject, key, ExtendedKeyUsageOID.CLIENT_AUTH, now)
    if device_key_id:
        names = [x509.UniformResourceIdentifier(device_uri(device_key_id))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 PEM without a password: the file's mode protects it, a daemon has nobody to ask."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _issue(
    authority: Authority,
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    purpose: x509.ObjectIdentifier,
    now: dt.datetime,
) -> x509.CertificateBuilder:
    issuer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer)
    return (
        _begin(subject, authority.certificate.subject, key, now, CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(issuer_id, critical=False)
    )


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
