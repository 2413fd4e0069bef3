"""Enrolling and registering a vehicle as an operator does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, load_policies
from fsd_agent.records.region import RegionPolicy, Registration, Route
from fsd_agent.rules.residency.route import route
from fsd_agent.wire.registration import decode_registration
from fsd_tools.main import main
from fsd_tools.region.enrolled import device_keys, load_device_key
from fsd_tools.region.layout import RegionDir


@pytest.fixture
def cn(tmp_path: Path) -> RegionDir:
    assert main(["region", "init", str(tmp_path / "cn"), "--id", "cn", "--jurisdiction", "CN"]) == 0
    return RegionDir(tmp_path / "cn")


def enrol(region: RegionDir, vehicle: str, out: Path) -> int:
    return main(["vehicle", "enrol", str(region.root), "--vehicle", vehicle, "-o", str(out)])


def register(out: Path, *argv: str) -> int:
    return main(["vehicle", "register", str(out), "--vehicle", "car-1", *argv])


def test_both_sides_know_the_vehicle_afterwards(
    cn: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "car-1"
    capsys.readouterr()
    assert main(["vehicle", "enrol", str(cn.root), "--vehicle", "car-1", "-o", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    keys = KeyFiles(out)
    assert printed["device_key_id"] == keys.device_key_id()
    find = device_keys(cn)
    assert find("car-1") == keys.device_public_key()
    assert find("car-2") is None
    assert find("../../authority/x") is None
    certificate, key = keys.tls_certificate("cn")
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(cn.authority_cert.read_bytes()))
    assert leaf.subject.rfc4514_string() == "CN=car-1"
    assert key.stat().st_mode & 0o777 == 0o600
    (policy,) = load_policies(out)
    assert isinstance(policy, RegionPolicy)
    assert register(out, "--jurisdiction", "CN") == 0
    registration = decode_registration(VehicleDir(out).registration.read_bytes())
    assert route(registration, (policy,)) == Route(Registration("car-1", "CN", 1), policy)


def test_no_private_key_leaves_the_vehicle_or_the_region(cn: RegionDir, tmp_path: Path) -> None:
    out = tmp_path / "car-1"
    assert enrol(cn, "car-1", out) == 0
    secrets = {root: [path.read_bytes() for path in root.rglob("*.key")] for root in (cn.root, out)}
    assert [len(found) for found in secrets.values()] == [7, 3]
    for owner, other in ((cn.root, out), (out, cn.root)):
        everything = b"".join(path.read_bytes() for path in other.rglob("*") if path.is_file())
        assert not any(secret in everything for secret in secrets[owner])


def test_enrolling_again_keeps_the_keys_and_renews_the_certificate(cn: RegionDir, tmp_path: Path) -> None:
    out = tmp_path / "car-1"
    assert enrol(cn, "car-1", out) == 0
    files = VehicleDir(out)
    keys = [path.read_bytes() for path in sorted(out.rglob("*.key"))]
    known, certificate = cn.vehicle("car-1").read_bytes(), files.tls_certificate("cn").read_bytes()
    assert enrol(cn, "car-1", out) == 0
    assert [path.read_bytes() for path in sorted(out.rglob("*.key"))] == keys
    assert cn.vehicle("car-1").read_bytes() == known
    assert files.tls_certificate("cn").read_bytes() != certificate


def test_one_vehicle_in_two_regions_has_one_device_key_and_two_tls_keys(
    cn: RegionDir, tmp_path: Path
) -> None:
    assert main(["region", "init", str(tmp_path / "eu"), "--id", "eu", "--jurisdiction", "DE"]) == 0
    eu, out = RegionDir(tmp_path / "eu"), tmp_path / "car-1"
    assert enrol(cn, "car-1", out) == enrol(eu, "car-1", out) == 0
    assert device_keys(cn)("car-1") == device_keys(eu)("car-1") == KeyFiles(out).device_public_key()
    files = VehicleDir(out)
    assert files.tls_key("cn").read_bytes() != files.tls_key("eu").read_bytes()
    assert len(load_policies(out)) == 2


def refused(code: int, capsys: pytest.CaptureFixture[str], match: str) -> None:
    assert code == 1
    error = capsys.readouterr().err
    assert error.startswith("fsdctl: error: ")
    assert match in error


def test_two_devices_never_share_a_name_nor_one_device_two(
    cn: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert enrol(cn, "car-1", tmp_path / "a") == 0
    refused(enrol(cn, "car-1", tmp_path / "b"), capsys, "is enrolled with device key")
    assert load_device_key(cn.vehicle("car-1")) == KeyFiles(tmp_path / "a").device_public_key()
    refused(enrol(cn, "car-2", tmp_path / "a"), capsys, "enrolled as car-1")


@pytest.mark.parametrize("vehicle", ["1hgcm82633a004352", "receiver", "operator", "Car", "a/b", "+"])
def test_names_that_no_vehicle_may_have(
    cn: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str], vehicle: str
) -> None:
    refused(enrol(cn, vehicle, tmp_path / "v"), capsys, "vehicle: ")
    assert not (tmp_path / "v").exists()


def test_what_is_missing_or_open_to_others_is_named(
    cn: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(enrol(RegionDir(tmp_path / "none"), "car-1", tmp_path / "v"), capsys, "not a region's directory")
    cn.authority_key.chmod(0o644)
    refused(enrol(cn, "car-1", tmp_path / "v"), capsys, f"chmod 600 {cn.authority_key}")
    cn.authority_key.chmod(0o600)
    cn.authority_key.write_bytes(b"torn")
    refused(enrol(cn, "car-1", tmp_path / "v"), capsys, str(cn.authority_key))


@pytest.mark.parametrize("text", ["", "format = 2", 'format = 1\nvehicle = "car-2"', "\0"])
def test_a_damaged_enrolment_is_an_error_and_not_an_unknown_vehicle(
    cn: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert enrol(cn, "car-1", tmp_path / "v") == 0
    cn.vehicle("car-1").write_text(text)
    refused(enrol(cn, "car-1", tmp_path / "v"), capsys, str(cn.vehicle("car-1")))


def test_a_registration_only_moves_forward(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, path = tmp_path / "car-1", VehicleDir(tmp_path / "car-1").registration
    assert register(out, "--jurisdiction", "CN", "--serial", "3") == 0
    assert register(out, "--jurisdiction", "CN", "--serial", "3") == 0
    for serial in ("2", "3"):
        refused(register(out, "--jurisdiction", "DE", "--serial", serial), capsys, "needs a greater one")
    assert decode_registration(path.read_bytes()) == Registration("car-1", "CN", 3)
    assert register(out, "--jurisdiction", "DE") == 0
    assert decode_registration(path.read_bytes()) == Registration("car-1", "DE", 4)
    refused(register(out, "--jurisdiction", "Germany"), capsys, "$.jurisdiction")
    path.write_text("torn")
    refused(register(out, "--jurisdiction", "DE"), capsys, "remove it to register afresh")
