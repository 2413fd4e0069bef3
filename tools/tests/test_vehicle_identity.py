"""Enrolment between two machines: a request goes one way, an answer the other, and each side believes only what it can check."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.tests.softhsm import SoftToken, needs_softhsm, using
from fsd_agent.adapters.key_files import KeyFiles, VehicleDir
from fsd_agent.adapters.private_files import read_private
from fsd_agent.adapters.trust_files import read_public_keys
from fsd_agent.rules.trust.enrolment import device_key_named
from fsd_agent.wire.enrolment import (
    EnrolmentAnswer,
    EnrolmentError,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from fsd_agent.wire.envelope import key_id_of
from fsd_tools.errors import ToolError
from fsd_tools.main import main
from fsd_tools.region.authority import Authority, issue_broker, issue_client, new_key, request_client
from fsd_tools.region.enrol import answer_request
from fsd_tools.region.enrolled import load_device_key
from fsd_tools.region.layout import RegionDir
from fsd_tools.vehicle.identity import make_request, take_answer

NOW = dt.datetime.now(dt.UTC)


class Two:
    """A region and a vehicle that share no directory."""

    def __init__(self, root: Path) -> None:
        self.root, self.car = root, root / "car"
        self.region = self.made("cn")

    def made(self, name: str) -> RegionDir:
        assert main(["region", "init", str(self.root / name), "--id", "cn", "--jurisdiction", "CN"]) == 0
        return RegionDir(self.root / name)

    @property
    def root_id(self) -> str:
        return key_id_of(read_public_keys(self.region.root_public)[0])

    @property
    def authority(self) -> Authority:
        return Authority.load(
            self.region.authority_cert.read_bytes(), read_private(self.region.authority_key)
        )

    def ask(self, vehicle: str | None = "car-1") -> bytes:
        return make_request(self.car, "cn", vehicle, None)

    def answer(self, request: bytes) -> bytes:
        return answer_request(self.region, request, NOW).answer

    def take(self, answer: bytes, root: str | None = "", now: dt.datetime = NOW) -> str:
        return take_answer(self.car, answer, self.root_id if root == "" else root, None, now).certificate

    def everything(self) -> dict[str, bytes]:
        """Every file of the vehicle."""
        return {
            str(path): path.read_bytes()
            for path in self.car.rglob("*")
            if path.is_file() and not path.is_symlink()
        }


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_by_commands_between_two_machines(two: Two, capsys: pytest.CaptureFixture[str]) -> None:
    request, answer = str(two.root / "car-1.request"), str(two.root / "car-1.answer")
    ask = [
        "vehicle",
        "request",
        str(two.car),
        "--region",
        "cn",
        "--vehicle",
        "car-1",
        "-o",
        request,
        "--json",
    ]
    capsys.readouterr()
    assert main(ask) == 0
    asked = json.loads(capsys.readouterr().out)
    assert main(["region", "enrol", str(two.region.root), request, "-o", answer, "--json"]) == 0
    answered = json.loads(capsys.readouterr().out)
    assert answered["device_key_id"] == asked["device_key_id"] == KeyFiles(two.car).device_key_id()
    assert main(["vehicle", "accept", str(two.car), answer]) == 1
    assert f"give --root {answered['root']}" in capsys.readouterr().err
    assert not VehicleDir(two.car).policies.exists()
    assert main(["vehicle", "accept", str(two.car), answer, "--root", answered["root"], "--json"]) == 0
    taken = json.loads(capsys.readouterr().out)
    assert (taken["vehicle"], taken["region"], taken["root"]) == ("car-1", "cn", two.root_id)
    leaf = x509.load_pem_x509_certificate(KeyFiles(two.car).tls_certificate("cn")[0].read_bytes())
    assert device_key_named(leaf) == KeyFiles(two.car).device_key_id()

    secrets = [path.read_bytes() for path in two.car.rglob("*.key")]
    for path in (request, answer):
        assert not any(secret in Path(path).read_bytes() for secret in secrets)
    assert main(["vehicle", "accept", str(two.car), answer]) == 0, (
        "taken again changes nothing; the root is pinned"
    )
    assert main(["vehicle", "keys", str(two.car)]) == 0
    assert "729 days left: serves" in capsys.readouterr().out
    assert main(["vehicle", "accept", str(two.car), str(two.root / "none")]) == 1
    assert main(["region", "enrol", str(two.region.root), str(two.root / "none"), "-o", answer]) == 1


def test_a_request_that_was_asked_twice_has_one_key(two: Two) -> None:
    first, second = decode_request(two.ask()), decode_request(two.ask())
    assert first.tls_key == second.tls_key
    two.take(two.answer(two.ask()))
    assert decode_request(two.ask(None)).tls_key != first.tls_key


def forged_csr(vehicle: str = "car-1") -> bytes:
    return request_client(vehicle, new_key()).public_bytes(Encoding.DER)


def test_a_request_is_signed_by_the_device_and_by_its_tls_key(two: Two) -> None:
    device, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = device.public_key().public_bytes_raw()

    def request(
        csr: bytes, signer: Ed25519PrivateKey = device, key: bytes = public, vehicle: str = "car-1"
    ) -> bytes:
        return encode_request(
            vehicle=vehicle, region_id="cn", device_key=key, csr=csr, rotations=(), sign=signer.sign
        )

    good = request(forged_csr())
    assert decode_request(good).device_key == public
    with pytest.raises(EnrolmentError, match="bad_signature"):
        request(forged_csr(), signer=stranger)
    with pytest.raises(EnrolmentError, match="small order"):
        request(forged_csr(), key=bytes([1]) + bytes(31))
    with pytest.raises(EnrolmentError, match="csr"):
        request(b"\x30\x00")
    touched = bytearray(forged_csr())
    touched[-1] ^= 1
    with pytest.raises(EnrolmentError, match="csr"):
        request(bytes(touched))
    with pytest.raises(EnrolmentError, match="looks like a VIN"):
        request(forged_csr(), vehicle="1hgcm82633a004352")
    for where in range(0, len(good), 7):
        data = bytearray(good)
        data[where] ^= 1
        with pytest.raises(EnrolmentError):
            decode_request(bytes(data))
    with pytest.raises(EnrolmentError, match="more than"):
        decode_request(bytes(1 << 17))
    with pytest.raises(ToolError, match="is for CN=car-2, not CN=car-1"):
        two.answer(request(forged_csr("car-2")))
    assert not two.region.vehicle("car-1").exists(), "what is refused leaves nothing"


def test_a_region_answers_what_is_asked_of_it_alone(two: Two) -> None:
    with pytest.raises(ToolError, match="asks region 'eu', this is 'cn'"):
        two.answer(make_request(two.car, "eu", "car-1", None))
    assert load_device_key(two.region.vehicle("car-1")) is None


Change = Callable[[Two, EnrolmentAnswer], EnrolmentAnswer]


def reissued(**how: object) -> Change:
    """The answer with a certificate that the region's authority would sign by mistake."""

    def change(two: Two, answer: EnrolmentAnswer) -> EnrolmentAnswer:
        was = x509.load_der_x509_certificate(answer.certificate)
        device = "urn:fsd:device:" + (str(how["device"]) if "device" in how else device_key_named(was))
        begin = how.get("begin", was.not_valid_before_utc)
        end = how.get("end", was.not_valid_after_utc)
        assert isinstance(begin, dt.datetime)
        assert isinstance(end, dt.datetime)
        purpose = [how.get("purpose", ExtendedKeyUsageOID.CLIENT_AUTH)]
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(how.get("name", "car-1")))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(two.authority.certificate.subject)
            .public_key(was.public_key() if "key" not in how else new_key().public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=bool(how.get("ca")), path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purpose), critical=False)  # type: ignore[arg-type]
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(device)]), critical=False
            )
        )
        leaf = builder.sign(two.authority.key, hashes.SHA256())
        return msgspec.structs.replace(answer, certificate=leaf.public_bytes(Encoding.DER))

    return change


def by_another_region(two: Two, answer: EnrolmentAnswer) -> EnrolmentAnswer:
    other = two.made("other")
    authority = Authority.load(other.authority_cert.read_bytes(), read_private(other.authority_key))
    asked = decode_request(two.ask())
    leaf = issue_client(
        authority, asked.csr, common_name="car-1", now=NOW, device_key_id=key_id_of(asked.device_key)
    )
    return msgspec.structs.replace(answer, certificate=leaf.public_bytes(Encoding.DER))


def a_brokers(two: Two, answer: EnrolmentAnswer) -> EnrolmentAnswer:
    key = decode_request(two.ask()).tls_key
    leaf = issue_broker(two.authority, key, server_name="cn.fsd", identity_uri="urn:fsd:region:cn", now=NOW)
    return msgspec.structs.replace(answer, certificate=leaf.public_bytes(Encoding.DER))


def policy_of_another_root(two: Two, answer: EnrolmentAnswer) -> EnrolmentAnswer:
    return msgspec.structs.replace(answer, policy=two.made("other").signed_policy.read_bytes())


def root_of_another(two: Two, answer: EnrolmentAnswer) -> EnrolmentAnswer:
    other = two.made("other")
    (root,) = read_public_keys(other.root_public)
    return msgspec.structs.replace(answer, root=root, policy=other.signed_policy.read_bytes())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (root_of_another, "root: the answer names"),
        (policy_of_another_root, "policy: bad_signature"),
        (lambda _two, one: msgspec.structs.replace(one, policy=one.policy[:-1]), "policy: "),
        (lambda _two, one: msgspec.structs.replace(one, region_id="eu"), "policy: region: is 'cn', expected 'eu'"),
        (lambda _two, one: msgspec.structs.replace(one, certificate=b"\x30\x00"), "certificate: "),
        (by_another_region, "is not issued by the authority of the policy"),
        (a_brokers, "expected client authentication alone"),
        (reissued(purpose=ExtendedKeyUsageOID.SERVER_AUTH), "expected client authentication alone"),
        (reissued(ca=True), "is one of an authority"),
        (reissued(name="car-2"), "certificate: is for car-2, this vehicle is car-1"),
        (reissued(device="0123456789abcdef"), "names device key 0123456789abcdef, expected"),
        (reissued(key=1), "is not for a TLS key that this vehicle made"),
        (reissued(end=NOW - dt.timedelta(minutes=1)), "certificate: is valid from"),
        (reissued(begin=NOW + dt.timedelta(hours=1)), "certificate: is valid from"),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_is_refused_and_changes_nothing(
    two: Two, change: Change, why: str
) -> None:
    answer = decode_answer(two.answer(two.ask()))
    bad = msgspec.msgpack.encode(change(two, answer))
    before = two.everything()
    with pytest.raises(ToolError, match=why):
        two.take(bad)
    assert two.everything() == before
    two.take(msgspec.msgpack.encode(answer))


def test_a_vehicle_that_has_a_name_takes_no_certificate_of_another(two: Two) -> None:
    two.take(two.answer(two.ask()))
    answer = decode_answer(two.answer(two.ask(None)))
    before = two.everything()
    with pytest.raises(ToolError, match="certificate: is for car-2, this vehicle is car-1"):
        two.take(msgspec.msgpack.encode(reissued(name="car-2")(two, answer)))
    with pytest.raises(ToolError, match="this vehicle pins"):
        two.take(msgspec.msgpack.encode(root_of_another(two, answer)), root=None)
    assert two.everything() == before


def test_the_right_root_by_another_fingerprint_is_refused(two: Two) -> None:
    answer = two.answer(two.ask())
    with pytest.raises(ToolError, match="the one given is 0123456789abcdef"):
        two.take(answer, root="0123456789abcdef")


def test_a_policy_that_was_rolled_back_is_refused(two: Two) -> None:
    old = two.answer(two.ask())
    two.take(old)
    two.region.policy.write_text(two.region.policy.read_text() + "\n# newer\n")
    assert main(["region", "policy", "sign", str(two.region.root)]) == 0
    two.take(two.answer(two.ask(None)))
    policy = VehicleDir(two.car).policy("cn").read_bytes()
    late = decode_answer(two.answer(two.ask(None)))
    with pytest.raises(ToolError, match="version: 1, but 2 was accepted before"):
        two.take(
            encode_answer(
                region_id="cn", certificate=late.certificate, policy=decode_answer(old).policy, root=late.root
            )
        )
    assert VehicleDir(two.car).policy("cn").read_bytes() == policy


@pytest.mark.parametrize("data", [b"", b"\x80", b"not an answer", bytes(200)])
def test_what_is_no_answer_is_refused(two: Two, data: bytes) -> None:
    with pytest.raises(ToolError, match="answer: not an enrolment answer"):
        two.take(data)


def test_an_authority_that_has_expired_issues_nothing_that_is_taken(two: Two) -> None:
    answer = two.answer(two.ask())
    with pytest.raises(ToolError, match="authority: is valid from"):
        two.take(answer, now=NOW + dt.timedelta(days=3651))


@needs_softhsm
def test_enrolment_with_keys_in_a_token(two: Two, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with using(SoftToken(tmp_path / "hsm")) as token:
        argv = ["vehicle", "enrol", str(two.region.root), "-o", str(two.car)]
        assert main([*argv, "--vehicle", "car-1", *token.options()]) == 0
        keys = KeyFiles(two.car, token.element())
        assert load_device_key(two.region.vehicle("car-1")) == keys.device_public_key()
        assert not VehicleDir(two.car).device_key.exists()
        assert main([*argv, "--renew", *token.options()]) == 0
        capsys.readouterr()
        assert main([*argv, "--renew"]) == 1
        assert "this vehicle's keys are in a token; name it" in capsys.readouterr().err
        assert main(["vehicle", "keys", str(two.car), *token.options()[:2]]) == 2
        token.take_out()
        assert main([*argv, "--renew", *token.options()]) == 1
        assert "there is no token of this name" in capsys.readouterr().err
