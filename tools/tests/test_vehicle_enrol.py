"""Enrolling and registering a vehicle as an operator does it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509

from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, own_key_ids
from fsd_agent.adapters.system_clock import SystemClock
from fsd_agent.adapters.trust_files import TrustFiles, read_public_keys
from fsd_agent.pipeline.residence import Residence
from fsd_agent.records.region import Hold, Registration, Route
from fsd_agent.testing.events import RememberedEvents
from fsd_agent.testing.journal import MemoryJournal
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.moments import NS_PER_S, decode_moment
from fsd_agent.wire.registration import decode_registration, open_registration
from fsd_tools.main import main
from fsd_tools.region.enrolled import device_keys, load_device_key
from fsd_tools.region.layout import RegionDir
from fsd_tools.region.operator import load_policy


@pytest.fixture
def cn(tmp_path: Path) -> RegionDir:
    assert main(["region", "init", str(tmp_path / "cn"), "--id", "cn", "--jurisdiction", "CN"]) == 0
    return RegionDir(tmp_path / "cn")


def enrol(region: RegionDir, vehicle: str, out: Path) -> int:
    return main(["vehicle", "enrol", str(region.root), "--vehicle", vehicle, "-o", str(out)])


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    assert main(["registry", "init", str(tmp_path / "registry")]) == 0
    return tmp_path / "registry"


def register(out: Path, registry: Path, *argv: str) -> int:
    return main(["vehicle", "register", str(out), "--registry", str(registry), "--vehicle", "car-1", *argv])


def registered(out: Path) -> Registration:
    """What the vehicle's document says, to who trusts what the vehicle trusts."""
    files = VehicleDir(out)
    authorities = read_public_keys(files.authorities)
    return decode_registration(open_registration(files.registration.read_bytes(), authorities))


def residence(out: Path) -> Residence:
    """The vehicle in this directory, as the agent would see it."""
    return Residence(
        VehicleDir(out).registration.read_bytes,
        TrustFiles(out),
        device_key_ids=lambda: own_key_ids(out),
        journal=MemoryJournal(),
        clock=SystemClock(),
        events=RememberedEvents(),
    )


def test_both_sides_know_the_vehicle_afterwards(
    cn: RegionDir, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    assert register(out, registry, "--jurisdiction", "CN") == 0
    where = residence(out).current
    assert isinstance(where, Route)
    assert where.policy == load_policy(cn)
    assert (where.registration.vehicle, where.registration.serial) == ("car-1", 1)
    assert TrustFiles(out).roots() == {"cn": read_public_keys(cn.root_public)[0]}


def test_no_private_key_leaves_the_vehicle_or_the_region(cn: RegionDir, tmp_path: Path) -> None:
    out = tmp_path / "car-1"
    assert enrol(cn, "car-1", out) == 0
    secrets = {root: [path.read_bytes() for path in root.rglob("*.key")] for root in (cn.root, out)}
    assert [len(found) for found in secrets.values()] == [9, 2]
    for owner, other in ((cn.root, out), (out, cn.root)):
        everything = b"".join(path.read_bytes() for path in other.rglob("*") if path.is_file())
        assert not any(secret in everything for secret in secrets[owner])


def test_renewing_keeps_the_devices_keys_and_makes_a_new_pair_for_tls(cn: RegionDir, tmp_path: Path) -> None:
    out = tmp_path / "car-1"
    assert main(["vehicle", "enrol", str(cn.root), "--renew", "-o", str(out)]) == 1, "enrolled nowhere"
    assert not out.exists()
    assert enrol(cn, "car-1", out) == 0
    files = VehicleDir(out)
    own = [files.device_key.read_bytes(), cn.vehicle("car-1").read_bytes()]
    before = KeyFiles(out).tls_certificate("cn")
    assert main(["vehicle", "enrol", str(cn.root), "--renew", "-o", str(out)]) == 0
    assert own == [
        files.device_key.read_bytes(),
        cn.vehicle("car-1").read_bytes(),
    ]
    after = KeyFiles(out).tls_certificate("cn")
    assert before[1].read_bytes() != after[1].read_bytes()
    assert all(path.exists() for path in before), "who was just told its paths can still read them"
    assert main(["vehicle", "enrol", str(cn.root), "--renew", "--vehicle", "car-1", "-o", str(out)]) == 2
    assert main(["vehicle", "enrol", str(cn.root), "-o", str(out)]) == 2


def test_one_vehicle_in_two_regions_has_one_device_key_and_two_tls_keys(
    cn: RegionDir, tmp_path: Path
) -> None:
    assert main(["region", "init", str(tmp_path / "eu"), "--id", "eu", "--jurisdiction", "DE"]) == 0
    eu, out = RegionDir(tmp_path / "eu"), tmp_path / "car-1"
    assert enrol(cn, "car-1", out) == enrol(eu, "car-1", out) == 0
    assert device_keys(cn)("car-1") == device_keys(eu)("car-1") == KeyFiles(out).device_public_key()
    files = VehicleDir(out)
    assert files.tls_key("cn").read_bytes() != files.tls_key("eu").read_bytes()
    assert sorted(TrustFiles(out).policies()) == sorted(TrustFiles(out).roots()) == ["cn", "eu"]


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


@pytest.mark.parametrize(
    "vehicle", ["1hgcm82633a004352", "receiver", "operator", "observer", "Car", "a/b", "+"]
)
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


def test_a_registration_only_moves_forward(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, path = tmp_path / "car-1", VehicleDir(tmp_path / "car-1").registration
    assert register(out, registry, "--jurisdiction", "CN", "--serial", "3") == 0
    before = path.read_bytes()
    assert register(out, registry, "--jurisdiction", "CN", "--serial", "3") == 0
    assert path.read_bytes() == before, "one serial has one content"
    for serial in ("2", "3"):
        refused(
            register(out, registry, "--jurisdiction", "DE", "--serial", serial), capsys, "needs a greater one"
        )
    one = registered(out)
    assert (one.vehicle, one.jurisdiction, one.serial) == ("car-1", "CN", 3)
    assert one.device_key_id == KeyFiles(out).device_key_id()
    assert register(out, registry, "--jurisdiction", "DE") == 0
    assert (registered(out).jurisdiction, registered(out).serial) == ("DE", 4)
    refused(register(out, registry, "--jurisdiction", "Germany"), capsys, "$.jurisdiction")
    path.write_text("torn")
    refused(register(out, registry, "--jurisdiction", "DE"), capsys, "remove it to register afresh")


def test_validity_can_be_chosen(registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "car-1"
    assert register(out, registry, "--jurisdiction", "CN") == 0
    one = registered(out)
    assert one.not_after_wall_ns - one.not_before_wall_ns == 730 * 86_400 * NS_PER_S
    begin, end = "2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z"
    assert register(out, registry, "--jurisdiction", "CN", "--not-before", begin, "--not-after", end) == 0
    two = registered(out)
    assert (two.not_before_wall_ns, two.not_after_wall_ns) == (decode_moment(begin), decode_moment(end))
    assert register(out, registry, "--jurisdiction", "CN", "--not-after", "tomorrow") == 2
    refused(
        register(out, registry, "--jurisdiction", "CN", "--not-before", end, "--not-after", begin),
        capsys,
        "not_after",
    )


def test_a_vehicle_believes_another_authority_only_when_it_is_told_to(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "car-1", tmp_path / "other"
    assert main(["registry", "init", str(other)]) == 0
    assert register(out, registry, "--jurisdiction", "CN") == 0
    refused(register(out, other, "--jurisdiction", "DE"), capsys, "give --trust")
    assert registered(out).jurisdiction == "CN"
    assert register(out, other, "--jurisdiction", "DE", "--trust") == 0
    assert registered(out).jurisdiction == "DE"
    assert len(read_public_keys(VehicleDir(out).authorities)) == 2
    assert register(out, registry, "--jurisdiction", "CN") == 0


def test_an_authority_is_made_once_and_its_key_stays_with_it(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = (registry / "registry.key").read_bytes()
    assert (registry / "registry.key").stat().st_mode & 0o777 == 0o600
    refused(main(["registry", "init", str(registry)]), capsys, "File exists")
    assert (registry / "registry.key").read_bytes() == key
    refused(
        register(tmp_path / "v", tmp_path / "none", "--jurisdiction", "CN"), capsys, "fsdctl registry init"
    )
    assert not (tmp_path / "v").exists()
    assert main(["registry", "init", str(tmp_path / "json"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["key_id"] == key_id_of(read_public_keys(tmp_path / "json" / "registry.pub")[0])


def test_the_document_of_one_vehicle_is_none_of_another(
    cn: RegionDir, registry: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert main(["vehicle", "enrol", str(cn.root), "--vehicle", name, "-o", str(tmp_path / name)]) == 0
        assert register(tmp_path / name, registry, "--jurisdiction", "CN", "--serial", "1") == 0
    files = VehicleDir(tmp_path / "b")
    files.registration.write_bytes(VehicleDir(tmp_path / "a").registration.read_bytes())
    where = residence(tmp_path / "b").current
    assert isinstance(where, Hold)
    assert where.reason == "registration_of_another_vehicle"


def test_another_root_for_a_region_is_refused(
    cn: RegionDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A region made anew under the same name is another region to its vehicles, until a person says otherwise."""
    out = tmp_path / "car-1"
    assert enrol(cn, "car-1", out) == 0
    assert main(["region", "init", str(tmp_path / "anew"), "--id", "cn", "--jurisdiction", "CN"]) == 0
    refused(enrol(RegionDir(tmp_path / "anew"), "car-1", out), capsys, "this vehicle pins")
    VehicleDir(out).region_root("cn").unlink()
    assert enrol(RegionDir(tmp_path / "anew"), "car-1", out) == 0
