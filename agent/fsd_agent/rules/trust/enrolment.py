"""Whether a vehicle takes a region's answer to its enrolment request.

The rules, in this order; the first that fails is the reason, and everything stays as it was:

1. The root key that the answer names is the one that the vehicle pins for the region, or, where it pins none, the one
   whose fingerprint a person has given.
2. The policy is signed by that root, right in every field, and that region's; its version is not below the one on board.
3. The certificate is issued by the authority that this policy names, itself valid now, for client authentication and no
   other purpose, and is no authority.
4. It is for a TLS key that the vehicle made, and names the vehicle as it asked to be named, and the device key that it
   signs with (or is about to).
5. The present moment lies in its validity.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fsd_agent.records.region import RegionPolicy
from fsd_agent.rules.trust.policies import accept_policy
from fsd_agent.wire.enrolment import DEVICE_URI, EnrolmentAnswer, EnrolmentError, device_uri, tls_key_id
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.floors import PolicyFloor
from fsd_agent.wire.policy import PolicyError


@dataclass(frozen=True, slots=True)
class Asking:
    """What the vehicle knows when an answer comes."""

    vehicle: str | None
    """The pseudonym it goes by; None where it was never enrolled anywhere."""
    device_key_id: str
    asked: Mapping[str, str]
    """TLS keys that it made for the region, by id (``wire.enrolment.tls_key_id``): the pseudonym it asked under."""
    pinned_root: bytes | None
    given_root: str | None
    """Fingerprint (key id) that a person gave."""
    floor: PolicyFloor | None
    """Of the policy on board."""
    now: dt.datetime
    """With a time zone."""


@dataclass(frozen=True, slots=True)
class AcceptedEnrolment:
    """May be taken."""

    vehicle: str
    policy: RegionPolicy
    certificate: x509.Certificate
    tls_key_id: str


def accept_answer(answer: EnrolmentAnswer, asking: Asking) -> AcceptedEnrolment:
    """Decide; raises :class:`EnrolmentError` with the first reason."""
    _check_root(answer, asking)
    policy = _policy(answer, asking)
    try:
        leaf = x509.load_der_x509_certificate(answer.certificate)
        authority = x509.load_pem_x509_certificate(policy.authority_pem)
        _check_issued(leaf, authority, asking.now)
        _check_purpose(leaf)
        key = leaf.public_key()
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
    ) as error:
        raise EnrolmentError(f"certificate: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or tls_key_id(key) not in asking.asked:
        raise EnrolmentError(
            "certificate: is not for a TLS key that this vehicle made; ask again and use that answer"
        )
    vehicle = _check_names(leaf, asking, asking.asked[tls_key_id(key)])
    _check_time("certificate", leaf, asking.now)
    return AcceptedEnrolment(vehicle, policy, leaf, tls_key_id(key))


def device_key_named(certificate: x509.Certificate) -> str:
    """Id of the device key that a vehicle's certificate names; empty where it names none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0].removeprefix(DEVICE_URI) if len(uris) == 1 and uris[0].startswith(DEVICE_URI) else ""


def common_names(certificate: x509.Certificate) -> list[str]:
    """Of its subject."""
    return [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _check_root(answer: EnrolmentAnswer, asking: Asking) -> None:
    told = key_id_of(answer.root)
    if asking.given_root is not None and asking.given_root != told:
        raise EnrolmentError(f"root: the answer names {told}, the one given is {asking.given_root}")
    if asking.pinned_root is not None and asking.pinned_root != answer.root:
        raise EnrolmentError(
            f"root: the answer names {told}, this vehicle pins {key_id_of(asking.pinned_root)} for region "
            f"{answer.region_id!r}; if the region was made anew, remove that pin first"
        )
    if asking.pinned_root is None and asking.given_root is None:
        raise EnrolmentError(
            f"root: the answer names {told}, and this vehicle pins none for region {answer.region_id!r}; compare it "
            f"with what the region publishes, then give --root {told}"
        )


def _policy(answer: EnrolmentAnswer, asking: Asking) -> RegionPolicy:
    try:
        accepted = accept_policy(
            answer.policy, name="policy", region_id=answer.region_id, root=answer.root, floor=asking.floor
        )
    except PolicyError as error:
        raise EnrolmentError(str(error)) from error
    return accepted.policy


def _check_issued(leaf: x509.Certificate, authority: x509.Certificate, now: dt.datetime) -> None:
    _check_time("authority", authority, now)
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise EnrolmentError(
            f"certificate: is not issued by the authority of the policy, {authority.subject.rfc4514_string()}"
        ) from error


def _check_purpose(leaf: x509.Certificate) -> None:
    if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise EnrolmentError("certificate: is one of an authority, not of a client")
    purposes = list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    if purposes != [ExtendedKeyUsageOID.CLIENT_AUTH]:
        shown = ", ".join(one.dotted_string for one in purposes)
        raise EnrolmentError(
            f"certificate: is for {shown or 'nothing'}, expected client authentication alone"
        )


def _check_names(leaf: x509.Certificate, asking: Asking, asked: str) -> str:
    names = common_names(leaf)
    if names != [asked] or asked != (asking.vehicle or asked):
        raise EnrolmentError(
            f"certificate: is for {', '.join(names) or 'nobody'}, this vehicle is {asking.vehicle or asked}"
        )
    if device_key_named(leaf) != asking.device_key_id:
        raise EnrolmentError(
            f"certificate: names device key {device_key_named(leaf) or 'none'}, expected {device_uri(asking.device_key_id)}"
        )
    return names[0]


def _check_time(what: str, certificate: x509.Certificate, now: dt.datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= now < end:
        raise EnrolmentError(
            f"{what}: is valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, not now"
        )
