"""Where an answer to an enrolment request turns: every rule at its edge, and in which order they are asked."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from fsd_agent.rules.trust.enrolment import (
    AcceptedEnrolment,
    Asking,
    accept_answer,
    common_names,
    device_key_named,
)
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.enrolment import EnrolmentAnswer, EnrolmentError, tls_key_id
from fsd_agent.wire.envelope import key_id_of, public_key_of
from fsd_agent.wire.floors import PolicyFloor
from fsd_agent.wire.policy import encode_policy, sign_policy

BEGIN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
END = BEGIN + dt.timedelta(days=700)
SECOND = dt.timedelta(seconds=1)
DEVICE = "0123456789abcdef"
CN, EU = sample_region("cn"), sample_region("eu")
ROOT, OTHER_ROOT = public_key_of(CN.root_key), public_key_of(EU.root_key)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def named(*names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in names])


def key_from(seed: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(seed.encode()).digest()) >> 1, ec.SECP256R1())


CAR, STRANGER, AUTHORITY = key_from("car"), key_from("stranger"), key_from("authority")
CAR_ID = tls_key_id(CAR.public_key())


@cache
def authority(
    begin: dt.datetime = BEGIN, end: dt.datetime = END, *, agreement: bool = False
) -> x509.Certificate:
    """``agreement``: its key can't sign anything."""
    key = X25519PrivateKey.from_private_bytes(bytes(range(32))) if agreement else AUTHORITY
    return (
        x509.CertificateBuilder()
        .subject_name(named("authority of cn"))
        .issuer_name(named("authority of cn"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(AUTHORITY, hashes.SHA256())
    )


def uris(*found: str) -> x509.ExtensionType:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(one) for one in found])


GOOD: dict[str, x509.ExtensionType] = {
    "constraints": x509.BasicConstraints(ca=False, path_length=None),
    "usage": x509.ExtendedKeyUsage([CLIENT]),
    "names": uris(f"urn:fsd:device:{DEVICE}"),
}


def leaf(
    *,
    names: tuple[str, ...] = ("car-1",),
    issuer: str = "authority of cn",
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = CAR,
    begin: dt.datetime = BEGIN,
    end: dt.datetime = END,
    signer: ec.EllipticCurvePrivateKey = AUTHORITY,
    without: str = "",
    **extensions: x509.ExtensionType,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(*names))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for name, extension in (GOOD | extensions).items():
        if name != without:
            builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA256())


def der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + content


def altered(certificate: x509.Certificate, was: bytes, becomes: bytes) -> bytes:
    """Its DER with other content of the same length, signed anew: what no builder would make."""
    assert certificate.tbs_certificate_bytes.count(was) == 1
    content = certificate.tbs_certificate_bytes.replace(was, becomes)
    signature = AUTHORITY.sign(content, ec.ECDSA(hashes.SHA256()))
    ecdsa_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    return der(0x30, content + ecdsa_sha256 + der(0x03, b"\0" + signature))


def answer(
    certificate: x509.Certificate | bytes | None = None,
    *,
    issued_by: x509.Certificate | None = None,
    root: bytes = ROOT,
    region_id: str = "cn",
) -> EnrolmentAnswer:
    pem = (issued_by or authority()).public_bytes(Encoding.PEM)
    text = encode_policy(dataclasses.replace(CN.policy, version=3, authority_pem=pem))
    found = leaf() if certificate is None else certificate
    data = found if isinstance(found, bytes) else found.public_bytes(Encoding.DER)
    return EnrolmentAnswer(1, region_id, data, sign_policy(text, CN.root_key, "cn"), root)


ASKING = Asking(
    vehicle=None,
    device_key_id=DEVICE,
    asked={CAR_ID: "car-1"},
    pinned_root=ROOT,
    given_root=None,
    floor=None,
    now=BEGIN,
)


def refusal(of: EnrolmentAnswer, asking: Asking = ASKING) -> str:
    with pytest.raises(EnrolmentError) as caught:
        accept_answer(of, asking)
    return str(caught.value)


def test_what_is_taken_is_what_was_answered() -> None:
    good = answer()
    taken = accept_answer(good, ASKING)
    policy = dataclasses.replace(CN.policy, version=3, authority_pem=authority().public_bytes(Encoding.PEM))
    assert taken == AcceptedEnrolment("car-1", policy, leaf_of(good), CAR_ID)


def leaf_of(one: EnrolmentAnswer) -> x509.Certificate:
    return x509.load_der_x509_certificate(one.certificate)


# Rule 1: the root.


@pytest.mark.parametrize(
    ("pinned", "given"), [(ROOT, None), (None, key_id_of(ROOT)), (ROOT, key_id_of(ROOT))]
)
def test_a_root_counts_that_is_pinned_or_that_a_person_compared(
    pinned: bytes | None, given: str | None
) -> None:
    asking = dataclasses.replace(ASKING, pinned_root=pinned, given_root=given)
    assert accept_answer(answer(), asking).vehicle == "car-1"


@pytest.mark.parametrize(
    ("pinned", "given", "why"),
    [
        (None, None, "and this vehicle pins none for region 'cn'"),
        (OTHER_ROOT, None, f"this vehicle pins {key_id_of(OTHER_ROOT)}"),
        (OTHER_ROOT, key_id_of(ROOT), f"this vehicle pins {key_id_of(OTHER_ROOT)}"),
        (ROOT, key_id_of(OTHER_ROOT), f"the one given is {key_id_of(OTHER_ROOT)}"),
        (None, key_id_of(OTHER_ROOT), f"the one given is {key_id_of(OTHER_ROOT)}"),
        (ROOT, "", "the one given is "),
        (b"", key_id_of(ROOT), "this vehicle pins "),
    ],
)
def test_another_root_is_refused(pinned: bytes | None, given: str | None, why: str) -> None:
    said = refusal(answer(), dataclasses.replace(ASKING, pinned_root=pinned, given_root=given))
    assert said.startswith(f"root: the answer names {key_id_of(ROOT)}, ")
    assert why in said


# Rule 2: the policy.


def test_the_policy_is_signed_by_the_root_that_the_answer_names_and_is_the_regions() -> None:
    other = dataclasses.replace(ASKING, pinned_root=OTHER_ROOT)
    assert refusal(answer(root=OTHER_ROOT), other).startswith("policy: ")
    assert refusal(answer(region_id="eu")) == "policy: region: is 'cn', expected 'eu'"


def test_a_policy_below_the_one_on_board_is_refused() -> None:
    newer = PolicyFloor(4, bytes(32), b"")
    assert refusal(answer(), dataclasses.replace(ASKING, floor=newer)) == (
        "policy: version: 3, but 4 was accepted before"
    )
    assert accept_answer(answer(), dataclasses.replace(ASKING, floor=PolicyFloor(2, bytes(32), b"")))


# Rule 3: who issued the certificate, and for what.


@pytest.mark.parametrize(
    "certificate",
    [
        leaf(signer=STRANGER),
        leaf(issuer="authority of eu"),
    ],
)
def test_it_is_issued_by_the_authority_of_the_policy(certificate: x509.Certificate) -> None:
    assert refusal(answer(certificate)) == (
        "certificate: is not issued by the authority of the policy, CN=authority of cn"
    )


def test_an_authority_whose_key_signs_nothing_has_issued_nothing() -> None:
    assert "is not issued by" in refusal(answer(issued_by=authority(agreement=True)))


def test_the_authority_is_valid_now_to_the_second() -> None:
    for begin, end in ((BEGIN - SECOND, BEGIN), (BEGIN + SECOND, END)):
        assert refusal(answer(issued_by=authority(begin, end))).startswith("authority: is valid from ")
    assert accept_answer(answer(issued_by=authority(BEGIN, BEGIN + SECOND)), ASKING)


@pytest.mark.parametrize(
    ("purposes", "shown"),
    [
        ([SERVER], SERVER.dotted_string),
        ([CLIENT, SERVER], f"{CLIENT.dotted_string}, {SERVER.dotted_string}"),
        ([SERVER, CLIENT], f"{SERVER.dotted_string}, {CLIENT.dotted_string}"),
    ],
)
def test_it_is_for_clients_alone(purposes: list[x509.ObjectIdentifier], shown: str) -> None:
    said = refusal(answer(leaf(usage=x509.ExtendedKeyUsage(purposes))))
    assert said == f"certificate: is for {shown}, expected client authentication alone"


def test_it_is_no_authority() -> None:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    assert refusal(answer(leaf(constraints=constraints))) == (
        "certificate: is one of an authority, not of a client"
    )


@pytest.mark.parametrize("without", ["constraints", "usage"])
def test_it_says_so_itself(without: str) -> None:
    assert refusal(answer(leaf(without=without))).startswith("certificate: ")


P256 = bytes.fromhex("06082a8648ce3d030107")
UNKNOWN_CURVE = bytes.fromhex("06082a8648ce3d03017f")
ONE, TWO = (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.2.3.{n}"), b"\x05\0") for n in (4, 5))


@pytest.mark.parametrize(
    "certificate",
    [
        b"\x30\x00",
        altered(leaf(), P256, UNKNOWN_CURVE),
        altered(leaf(), b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x09"),
        altered(leaf(one=ONE, two=TWO), bytes.fromhex("06032a0305"), bytes.fromhex("06032a0304")),
    ],
    ids=["no certificate", "unknown curve", "unknown version", "an extension twice"],
)
def test_what_can_not_be_read_is_refused_and_nothing_worse(certificate: bytes) -> None:
    assert refusal(answer(certificate)).startswith("certificate: ")


# Rule 4: whose it is.


def test_it_is_for_a_key_that_this_vehicle_made() -> None:
    assert refusal(answer(leaf(key=STRANGER))) == (
        "certificate: is not for a TLS key that this vehicle made; ask again and use that answer"
    )


def test_an_rsa_key_is_none_even_if_its_id_was_noted() -> None:
    key = rsa.generate_private_key(65537, 2048)
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    asked = {hashlib.sha256(spki).hexdigest()[:16]: "car-1"}
    assert "is not for a TLS key" in refusal(answer(leaf(key=key)), dataclasses.replace(ASKING, asked=asked))


def test_it_names_the_vehicle_as_it_asked_with_that_key() -> None:
    for names, shown in ((("car-2",), "car-2"), (("car-1", "car-2"), "car-1, car-2"), ((), "nobody")):
        assert refusal(answer(leaf(names=names))) == f"certificate: is for {shown}, this vehicle is car-1"
    two = dataclasses.replace(ASKING, asked={CAR_ID: "car-1", tls_key_id(STRANGER.public_key()): "car-2"})
    assert accept_answer(answer(leaf(key=STRANGER, names=("car-2",))), two).vehicle == "car-2"
    assert refusal(answer(leaf(key=STRANGER)), two) == "certificate: is for car-1, this vehicle is car-2"


def test_a_vehicle_that_was_enrolled_keeps_its_name() -> None:
    enrolled = dataclasses.replace(ASKING, vehicle="car-1")
    assert accept_answer(answer(), enrolled).vehicle == "car-1"
    renamed = dataclasses.replace(ASKING, vehicle="car-9")
    assert refusal(answer(), renamed) == "certificate: is for car-1, this vehicle is car-9"


def test_it_names_the_device_key() -> None:
    for names, shown in (
        (uris("urn:fsd:device:ffff456789abcdef"), "ffff456789abcdef"),
        (uris(f"urn:fsd:region:{DEVICE}"), "none"),
        (uris(DEVICE), "none"),
    ):
        said = refusal(answer(leaf(names_=names, without="names")))
        assert said == f"certificate: names device key {shown}, expected urn:fsd:device:{DEVICE}"


def test_the_device_key_is_the_one_alternative_name_or_there_is_none() -> None:
    mine = f"urn:fsd:device:{DEVICE}"
    assert device_key_named(leaf()) == DEVICE
    for found in (uris(mine, mine), uris("urn:x", mine), uris(mine, "urn:x"), uris(DEVICE), uris()):
        assert device_key_named(leaf(san=found, without="names")) == ""
    no_uri = x509.SubjectAlternativeName([x509.DNSName("cn.fsd")])
    assert device_key_named(leaf(san=no_uri, without="names")) == ""
    assert device_key_named(leaf(without="names")) == ""
    garbage = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x7f")
    assert device_key_named(leaf(san=garbage, without="names")) == ""


def test_only_common_names_are_names() -> None:
    assert common_names(leaf(names=("a", "b"))) == ["a", "b"]
    assert common_names(leaf(names=())) == []


# Rule 5: the time.


def test_its_validity_has_its_first_moment_and_not_its_last() -> None:
    long = authority(BEGIN - SECOND, END + SECOND)
    at_end = dataclasses.replace(ASKING, now=END)
    assert refusal(answer(issued_by=long), at_end) == (
        f"certificate: is valid from 2026-03-01 12:00 to {END:%Y-%m-%d %H:%M} UTC, not now"
    )
    assert accept_answer(answer(issued_by=long), dataclasses.replace(ASKING, now=END - SECOND / 1000))
    assert accept_answer(answer(issued_by=long), dataclasses.replace(ASKING, now=BEGIN))
    early = dataclasses.replace(ASKING, now=BEGIN - SECOND / 1000)
    assert refusal(answer(issued_by=long), early).startswith("certificate: is valid from ")


# The order.


def test_the_first_rule_that_fails_is_the_reason() -> None:
    everything_wrong = leaf(
        signer=STRANGER,
        key=STRANGER,
        names=("car-2",),
        end=BEGIN + SECOND,
        usage=x509.ExtendedKeyUsage([SERVER]),
    )
    late = dataclasses.replace(ASKING, now=END - SECOND, pinned_root=None)
    floor = PolicyFloor(4, bytes(32), b"")
    assert refusal(answer(everything_wrong), dataclasses.replace(late, floor=floor)).startswith("root: ")
    late = dataclasses.replace(late, pinned_root=ROOT)
    assert refusal(answer(everything_wrong), dataclasses.replace(late, floor=floor)).startswith("policy: ")
    old = authority(BEGIN, BEGIN + SECOND)
    assert refusal(answer(everything_wrong, issued_by=old), late).startswith("authority: ")
    assert "is not issued by" in refusal(answer(everything_wrong), late)
    wrong = leaf(key=STRANGER, names=("car-2",), end=BEGIN + SECOND)
    assert "is not for a TLS key" in refusal(answer(wrong), late)
    wrong = leaf(names=("car-2",), end=BEGIN + SECOND)
    assert "is for car-2" in refusal(answer(wrong), late)
    assert "is valid from" in refusal(answer(leaf(end=BEGIN + SECOND)), late)
