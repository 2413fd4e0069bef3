"""Keys are made once, stay private, and are refused when others could have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd_agent.adapters.key_files import (
    KeyFileError,
    KeyFiles,
    VehicleDir,
    create_keys,
    read_private,
    write_private,
)
from fsd_agent.ports.vehicle_keys import VehicleKeyError, VehicleKeys
from fsd_agent.wire.envelope import key_id_of


@pytest.fixture
def files(tmp_path: Path) -> VehicleDir:
    create_keys(tmp_path)
    return VehicleDir(tmp_path)


def test_keys_are_made_once_and_only_their_owner_can_read_them(files: VehicleDir) -> None:
    before = files.device_key.read_bytes()
    create_keys(files.root)
    assert files.device_key.read_bytes() == before
    assert files.device_key.stat().st_mode & 0o777 == 0o600
    assert files.device_key.parent.stat().st_mode & 0o777 == 0o700


def test_the_port(files: VehicleDir) -> None:
    own = KeyFiles(files.root)
    keys: VehicleKeys = own
    assert keys.device_key_id() == key_id_of(own.device_public_key())
    assert len(keys.sign(b"x")) == 64
    with pytest.raises(KeyFileError, match=r"cn/current: missing; enrol"):
        keys.tls_certificate("cn")
    write_private(files.tls_key("cn"), b"key")
    with pytest.raises(KeyFileError, match=r"certificate\.pem: missing; enrol"):
        keys.tls_certificate("cn")
    files.tls_certificate("cn").write_bytes(b"certificate")
    assert keys.tls_certificate("cn") == (files.tls_certificate("cn"), files.tls_key("cn"))
    with pytest.raises(VehicleKeyError, match="is not a certificate"):
        keys.certificate_until_ns("cn")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_may_read_or_change_is_refused_with_what_to_run(
    files: VehicleDir, mode: int
) -> None:
    files.device_key.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {files.device_key}"):
        KeyFiles(files.root)


def test_a_folder_in_which_others_may_put_keys_is_refused(files: VehicleDir) -> None:
    files.device_key.parent.chmod(0o777)
    with pytest.raises(KeyFileError, match="chmod 700"):
        KeyFiles(files.root)


def test_missing_and_torn_keys_are_named(files: VehicleDir) -> None:
    files.device_key.write_bytes(b"short")
    with pytest.raises(KeyFileError, match=r"device\.key: 5 bytes, expected 32"):
        KeyFiles(files.root)
    files.device_key.unlink()
    with pytest.raises(KeyFileError, match=r"device\.key: can't be read: No such file"):
        KeyFiles(files.root)


def test_an_existing_key_is_never_replaced_nor_written_through_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(KeyFileError, match="File exists"):
        write_private(link, b"key")
    assert not target.exists()
    write_private(target, b"key")
    with pytest.raises(KeyFileError, match="File exists"):
        write_private(target, b"other")
    assert read_private(target) == b"key"


def test_what_was_left_of_a_making_is_no_key_and_goes_with_the_next(tmp_path: Path) -> None:
    files = VehicleDir(tmp_path)
    files.keys.mkdir(mode=0o700)
    (files.keys / ".device.key.0123abcd.tmp").write_bytes(b"half a k")
    create_keys(tmp_path)
    assert [path.name for path in files.keys.iterdir()] == ["device.key"]
    KeyFiles(tmp_path)
