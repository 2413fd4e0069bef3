"""Whom a vehicle believes is written in files that only its owner could have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import VehicleDir
from fsd_agent.adapters.trust_files import MAX_REGIONS, TrustFiles, public_key_text, read_public_keys
from fsd_agent.ports.trust_store import LaidPolicy, TrustError, TrustStore
from fsd_agent.testing.regions import sample_region
from fsd_agent.wire.envelope import public_key_of
from fsd_agent.wire.policy import MAX_SIGNED_POLICY_BYTES

KEYS = [public_key_of(bytes(31) + bytes([n])) for n in range(1, 20)]


@pytest.fixture
def files(tmp_path: Path) -> VehicleDir:
    found = VehicleDir(tmp_path)
    found.trust.mkdir(mode=0o700)
    found.policies.mkdir()
    return found


def write(path: Path, *keys: bytes) -> None:
    path.write_text("# who signs\n\n" + "".join(public_key_text(key, "a key") for key in keys))


def test_an_empty_vehicle_trusts_nobody(tmp_path: Path) -> None:
    trust: TrustStore = TrustFiles(tmp_path)
    assert trust.roots() == trust.policies() == {}
    with pytest.raises(TrustError, match=r"registration\.pub: can't be read: No such file"):
        trust.authorities()


def test_what_was_given_is_read_anew_each_time(files: VehicleDir) -> None:
    trust = TrustFiles(files.root)
    write(files.authorities, KEYS[0])
    assert trust.authorities() == (KEYS[0],)
    write(files.authorities, *KEYS[:3])
    assert trust.authorities() == tuple(KEYS[:3])
    write(files.region_root("cn"), KEYS[4])
    signed = sample_region("cn").signed()
    files.policy("cn").write_bytes(signed)
    assert trust.roots() == {"cn": KEYS[4]}
    assert trust.policies() == {"cn": LaidPolicy(str(files.policy("cn")), signed)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "holds no key"),
        (b"# nothing", "holds no key"),
        (b"A!A!", "line 1: not base64"),
        (b"AAAA", "line 1: 3 bytes"),
        (b"\xff\xfe", "line 1: not base64"),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "line 1: not a usable Ed25519"),
        (b"#" * 9000, "more than"),
        ("".join(public_key_text(key, "k") for key in KEYS).encode(), "19 keys, at most 16"),
    ],
)
def test_a_damaged_file_of_keys_is_named(files: VehicleDir, text: bytes, says: str) -> None:
    files.authorities.write_bytes(text)
    with pytest.raises(TrustError, match=says) as caught:
        TrustFiles(files.root).authorities()
    assert str(caught.value).startswith(f"{files.authorities}: ")
    files.region_root("cn").write_bytes(text)
    assert isinstance(TrustFiles(files.root).roots()["cn"], TrustError)


def test_a_region_has_one_root(files: VehicleDir) -> None:
    write(files.region_root("cn"), *KEYS[:2])
    found = TrustFiles(files.root).roots()["cn"]
    assert isinstance(found, TrustError)
    assert "2 keys" in str(found)


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_may_change_is_refused_with_what_to_run(files: VehicleDir, mode: int) -> None:
    write(files.authorities, KEYS[0])
    files.authorities.chmod(mode)
    with pytest.raises(TrustError, match=f"chmod 644 {files.authorities}"):
        read_public_keys(files.authorities)
    files.authorities.chmod(0o644)
    files.trust.chmod(0o777)
    with pytest.raises(TrustError, match=f"chmod 700 {files.trust}"):
        read_public_keys(files.authorities)


def test_what_is_no_file_or_too_large_ends_nothing(files: VehicleDir) -> None:
    files.policy("cn").mkdir()
    os.mkfifo(files.policy("eu"))
    files.policy("us").write_bytes(bytes(MAX_SIGNED_POLICY_BYTES * 2))
    (files.policies / "NOT A REGION.signed").write_bytes(b"x")
    found = TrustFiles(files.root).policies()
    assert sorted(found) == ["cn", "eu", "us"]
    assert "Is a directory" in str(found["cn"])
    assert "not a regular file" in str(found["eu"])
    assert isinstance(found["us"], LaidPolicy)
    assert len(found["us"].signed) == MAX_SIGNED_POLICY_BYTES + 1


def test_a_mass_of_files_is_bounded(files: VehicleDir) -> None:
    for number in range(MAX_REGIONS + 5):
        files.policy(f"r{number:03}").write_bytes(b"x")
    assert len(TrustFiles(files.root).policies()) == MAX_REGIONS
