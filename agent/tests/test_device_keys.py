"""Keys on the disk: rotations and renewals that may be cut off anywhere, and what a copy of the disk is worth."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, create_keys, own_key_ids
from fsd_agent.adapters.locker import MAGIC, Locker
from fsd_agent.adapters.private_files import KeyFileError
from fsd_agent.adapters.staging_files import StagingFiles
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.ports.spool import SpoolError
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.testing.secure_element import MemorySecureElement
from fsd_agent.testing.vehicle_keys import MemoryVehicleKeys
from fsd_agent.wire.enrolment import tls_key_id

CLIP = "0123456789abcdef" * 2
COMPARTMENT = Compartment("cn", Purpose.SAFETY)


@pytest.fixture(params=["files", "element"])
def element(request: pytest.FixtureRequest) -> SecureElement | None:
    return MemorySecureElement() if request.param == "element" else None


@pytest.fixture
def car(tmp_path: Path, element: SecureElement | None) -> Path:
    create_keys(tmp_path / "car", element)
    return tmp_path / "car"


def test_a_rotation_is_prepared_shown_and_then_one_rename(car: Path, element: SecureElement | None) -> None:
    before = KeyFiles(car, element)
    secret = before.compartment_key(*COMPARTMENT, make=True)
    devices = DeviceKeys(VehicleDir(car), element)
    assert devices.following() is None
    assert devices.commit().key_id == before.device_key_id(), "nothing is under way"
    statement = devices.begin(7)
    assert devices.begin(8) == statement, "again is the same"
    assert statement.old_key_id == devices.current().key_id == before.device_key_id()
    assert statement.new_key_id == devices.newest().key_id
    assert own_key_ids(car) == {statement.old_key_id, statement.new_key_id}
    assert KeyFiles(car, element).device_key_id() == statement.old_key_id, "signs as before"

    assert devices.commit().key_id == devices.commit().key_id == statement.new_key_id
    assert devices.following() is None
    after = KeyFiles(car, element)
    assert after.device_key_id() == statement.new_key_id
    assert after.rotations() == (statement,)
    assert after.compartment_key(*COMPARTMENT) == secret, "what is on board stays readable"
    Ed25519PublicKey.from_public_bytes(statement.new_key).verify(after.sign(b"x"), b"x")
    Ed25519PublicKey.from_public_bytes(statement.old_key).verify(
        before.sign(b"x"), b"x"
    )  # an agent that runs


def test_a_key_without_its_statement_is_not_shown_to_anybody(
    car: Path, element: SecureElement | None
) -> None:
    """The power went between the two."""
    devices = DeviceKeys(VehicleDir(car), element)
    devices.begin(7)
    for path in VehicleDir(car).rotations.iterdir():
        path.unlink()
    again = DeviceKeys(VehicleDir(car), element)
    assert again.following() is None
    assert again.commit().key_id == devices.current().key_id
    prepared = {path.name: path.read_bytes() for path in VehicleDir(car).keys.glob("device.next.*")}
    assert again.begin(9).new_key_id == again.newest().key_id
    assert prepared == {path.name: path.read_bytes() for path in VehicleDir(car).keys.glob("device.next.*")}


def test_several_rotations_lead_from_the_first_key_to_the_last(
    car: Path, element: SecureElement | None
) -> None:
    devices = DeviceKeys(VehicleDir(car), element)
    ids = [devices.current().key_id]
    for number in range(3):
        devices.begin(number)
        ids.append(devices.commit().key_id)
    assert len(set(ids)) == 4
    assert own_key_ids(car) == set(ids)
    assert [one.old_key_id for one in devices.rotations()] == ids[:-1]


def test_a_former_pair_is_destroyed_when_the_next_rotation_begins(tmp_path: Path) -> None:
    element = MemorySecureElement()
    create_keys(tmp_path, element)
    devices = DeviceKeys(VehicleDir(tmp_path), element)
    first = devices.begin(1)
    devices.commit()
    assert element.has_device_key(first.old_key), "an agent may still run with it"
    devices.begin(2)
    assert not element.has_device_key(first.old_key)
    assert element.has_device_key(first.new_key)


def test_a_statement_that_was_touched_is_named(car: Path, element: SecureElement | None) -> None:
    DeviceKeys(VehicleDir(car), element).begin(7)
    (path,) = VehicleDir(car).rotations.iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # one signature in sixteen ends in a zero
    with pytest.raises(KeyFileError, match=f"{path}: not signed by the new"):
        KeyFiles(car, element).rotations()


def test_files_and_a_token_are_never_taken_for_each_other(tmp_path: Path) -> None:
    create_keys(tmp_path / "files")
    with pytest.raises(KeyFileError, match="keys are files, not in token 'car-1'"):
        create_keys(tmp_path / "files", MemorySecureElement())
    create_keys(tmp_path / "token", MemorySecureElement())
    for act in (create_keys, KeyFiles):
        with pytest.raises(KeyFileError, match="keys are in a token; name it: --token-module"):
            act(tmp_path / "token")
    assert not VehicleDir(tmp_path / "token").device_key.exists()
    with pytest.raises(KeyFileError, match="is not in token 'another'"):
        KeyFiles(tmp_path / "token", MemorySecureElement("another"))


def test_a_token_that_is_away_signs_nothing_and_comes_back(tmp_path: Path) -> None:
    element = MemorySecureElement()
    create_keys(tmp_path, element)
    keys = KeyFiles(tmp_path, element)
    element.away = True
    with pytest.raises(VehicleKeyError, match="is not there"):
        keys.sign(b"x")
    with pytest.raises(VehicleKeyError):
        KeyFiles(tmp_path, element)
    element.away = False
    assert len(keys.sign(b"x")) == 64


class Holding(MemoryVehicleKeys):
    """Keys of somebody who has guessed one."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self._key = key

    def compartment_key(self, region_id: str, purpose: Purpose, *, make: bool = False) -> bytes:
        return self._key


def test_the_disk_without_the_token_opens_nothing(tmp_path: Path) -> None:
    """A thief has every file of the vehicle, and a token of his own; also the code, so he asks for nothing politely."""
    element, car = MemorySecureElement(), tmp_path / "car"
    create_keys(car, element)
    keys = KeyFiles(car, element)
    secret = keys.compartment_key(*COMPARTMENT, make=True)
    window = StagingFiles(car / "staging", keys).open(COMPARTMENT, CLIP)
    window.append(b"not redacted yet")
    window.sync()
    window.close()
    copy = tmp_path / "copy"
    shutil.copytree(car, copy)

    everything = b"".join(path.read_bytes() for path in copy.rglob("*") if path.is_file())
    assert secret not in everything
    assert b"not redacted yet" not in everything
    path = VehicleDir(copy).compartments / "cn" / "safety.key"
    wrapped = path.read_bytes()
    for thief in (None, MemorySecureElement()):
        with pytest.raises(VehicleKeyError):
            KeyFiles(copy, thief)
        with pytest.raises(VehicleKeyError):
            Locker(VehicleDir(copy).keys, thief).read(path, 32)
    for start in range(len(wrapped) - 31):
        with pytest.raises(SpoolError):
            list(StagingFiles(copy / "staging", Holding(wrapped[start : start + 32])).read(COMPARTMENT, CLIP))
    opened = list(StagingFiles(copy / "staging", Holding(secret)).read(COMPARTMENT, CLIP))
    assert opened == [b"not redacted yet"], "with the key it opens"


def test_a_wrapped_secret_is_of_one_file_and_one_size(tmp_path: Path) -> None:
    element = MemorySecureElement()
    locker = Locker(tmp_path, element)
    one, two = tmp_path / "cn" / "a.key", tmp_path / "eu" / "a.key"
    locker.write(one, bytes(32))
    locker.write(two, bytes(31))
    assert locker.read(one, 32) == bytes(32)
    with pytest.raises(KeyFileError, match=r"31 bytes for 'eu/a\.key', expected 32"):
        locker.read(two, 32)
    two.write_bytes(one.read_bytes())
    with pytest.raises(KeyFileError, match=r"for 'cn/a\.key', expected 32 for 'eu/a\.key'"):
        locker.read(two, 32)
    one.write_bytes(MAGIC + one.read_bytes()[len(MAGIC) : -1] + b"\0")
    with pytest.raises(VehicleKeyError, match=f"{one}: "):
        locker.read(one, 32)
    one.write_bytes(MAGIC + element.wrap(b"\x92\xa1\xff\xc4\x00"))
    with pytest.raises(KeyFileError, match="utf-8"):
        locker.read(one, 32)
    one.write_bytes(bytes(32))
    with pytest.raises(KeyFileError, match="is not wrapped by token"):
        locker.read(one, 32)


def folders(home: Path) -> set[str]:
    return {path.name for path in home.iterdir() if not path.is_symlink()}


def test_whatever_is_cut_off_the_pair_in_use_is_a_pair(tmp_path: Path) -> None:
    """Each state of the disk between two renewals, as a power cut could leave it."""
    tls = TlsFiles(VehicleDir(tmp_path))
    first = tls.asking("cn")
    assert tls.asking("cn").private_numbers() == first.private_numbers(), "asked again: the same key"
    tls.take("cn", tls_key_id(first.public_key()), b"certificate 1")
    before = tls.pair("cn")
    second = tls.asking("cn")
    assert second.private_numbers() != first.private_numbers()
    assert tls.pair("cn") == before
    home = VehicleDir(tmp_path).tls / "cn"
    name = tls_key_id(second.public_key())
    (home / name / "certificate.pem").write_bytes(b"certificate 2")  # and no further
    assert tls.pair("cn") == before
    (home / ".current.tmp").symlink_to(name)  # and no further
    assert tls.pair("cn") == before
    tls.take("cn", name, b"certificate 2")
    certificate, key = tls.pair("cn")
    assert (certificate.read_bytes(), certificate.parent.name, key.parent.name) == (
        b"certificate 2",
        name,
        name,
    )
    assert before[0].read_bytes() == b"certificate 1", "who was just told of it may still read it"
    assert folders(home) == {name, before[0].parent.name}
    third = tls_key_id(tls.asking("cn").public_key())
    tls.take("cn", third, b"certificate 3")
    assert folders(home) == {name, third}
    assert not (home / ".current.tmp").is_symlink()
    assert tls.regions() == ["cn"]


def test_the_fake_elements_signature_is_of_its_key() -> None:
    element = MemorySecureElement()
    one, two = element.create_device_key(), element.create_device_key()
    Ed25519PublicKey.from_public_bytes(one).verify(element.sign(one, b"x"), b"x")
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(two).verify(element.sign(one, b"x"), b"x")


def test_a_pair_whose_removal_was_cut_off_is_nobodys(tmp_path: Path) -> None:
    tls = TlsFiles(VehicleDir(tmp_path))
    used = tls.asking("cn")
    name = tls_key_id(used.public_key())
    tls.take("cn", name, b"certificate")
    left = VehicleDir(tmp_path).tls / "cn" / "0123456789abcdef"
    left.mkdir(mode=0o700)
    (left / "request.pem").write_bytes(b"of a key that is gone")
    assert tls.asked("cn") == {}
    fresh = tls.asking("cn")
    assert tls_key_id(fresh.public_key()) not in {left.name, name}
    tls.take("cn", tls_key_id(fresh.public_key()), b"certificate")
    assert not left.exists()
