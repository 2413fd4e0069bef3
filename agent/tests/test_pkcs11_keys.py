"""The device's keys in a real PKCS #11 module (SoftHSM2): what it does, what it can't, and how it comes back."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.tests.softhsm import MODULE, PIN, SoftToken, needs_softhsm, using
from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.key_files import KeyFiles, VehicleDir, create_keys
from fsd_agent.adapters.pkcs11_keys import DEVICE_LABEL, WRAPPING_LABEL, Pkcs11Element, TokenError
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.purpose import Purpose

pytestmark = needs_softhsm


@pytest.fixture
def token(tmp_path: Path) -> Iterator[SoftToken]:
    with using(SoftToken(tmp_path / "hsm")) as made:
        yield made


def verify(public_key: bytes, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)


def test_signatures_are_ed25519_as_everybody_else_makes_them(token: SoftToken) -> None:
    element: SecureElement = token.element()
    one, two = element.create_device_key(), element.create_device_key()
    assert one != two
    for message in (b"", b"x", os.urandom(300_000)):
        for key in (one, two):
            verify(key, element.sign(key, message), message)
    assert element.has_device_key(one)
    element.destroy_device_key(one)
    element.destroy_device_key(one)
    assert not element.has_device_key(one)
    assert element.has_device_key(two)
    with pytest.raises(TokenError, match="does not hold device key"):
        element.sign(one, b"x")


def test_what_is_wrapped_is_opened_by_this_token_alone_and_only_untouched(
    token: SoftToken, tmp_path: Path
) -> None:
    element = token.element()
    secret = os.urandom(100)
    wrapped = element.wrap(secret)
    assert element.wrap(secret) != wrapped
    assert secret not in wrapped
    assert element.unwrap(wrapped) == token.element().unwrap(wrapped) == secret
    for where in (0, 12, len(wrapped) - 1):
        touched = bytearray(wrapped)
        touched[where] ^= 1
        with pytest.raises(TokenError, match="was changed, or another token wrapped it"):
            element.unwrap(bytes(touched))
    for short in (b"", wrapped[:11], wrapped[:20]):
        with pytest.raises(TokenError):
            element.unwrap(short)
    assert element.unwrap(wrapped) == secret, "it works on after all of that"
    with using(SoftToken(tmp_path / "other")) as other:
        with pytest.raises(TokenError, match="holds no wrapping key"):
            other.element().unwrap(wrapped)
        other.element().wrap(b"x")
        with pytest.raises(TokenError, match="another token wrapped it"):
            other.element().unwrap(wrapped)


def test_no_private_key_can_be_read_out_of_the_token(token: SoftToken) -> None:
    import pkcs11
    from pkcs11 import Attribute

    element = token.element()
    element.create_device_key()
    element.wrap(b"x")
    session = pkcs11.lib(str(MODULE)).get_token(token_label=token.label).open()  # logged in by the element
    for kind, label in (
        (pkcs11.ObjectClass.PRIVATE_KEY, DEVICE_LABEL),
        (pkcs11.ObjectClass.SECRET_KEY, WRAPPING_LABEL),
    ):
        key = session.get_key(object_class=kind, label=label)
        assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]


def test_threads_sign_and_wrap_at_once(token: SoftToken) -> None:
    """The port says: any thread. The module itself may be entered by one at a time."""
    element, other = token.element(), token.element()
    key = element.create_device_key()
    faults: list[BaseException] = []

    def work(mine: Pkcs11Element) -> None:
        try:
            for _ in range(15):
                message = os.urandom(40)
                verify(key, mine.sign(key, message), message)
                assert mine.unwrap(mine.wrap(message)) == message
        except BaseException as error:  # noqa: BLE001 - told by the test
            faults.append(error)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in (element, other) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def test_a_token_that_is_taken_out_is_told_and_found_when_it_is_back(
    token: SoftToken, tmp_path: Path
) -> None:
    element = token.element()
    create_keys(tmp_path / "car", element)
    keys = KeyFiles(tmp_path / "car", element)
    token.take_out()
    for _ in range(2):
        with pytest.raises(
            VehicleKeyError, match=r"token 'car-1' can't sign: there is no token of this name"
        ):
            keys.sign(b"x")
    with pytest.raises(VehicleKeyError, match="there is no token of this name"):
        KeyFiles(tmp_path / "car", token.element())
    token.put_back()
    verify(keys.device_public_key(), keys.sign(b"x"), b"x")
    secret = keys.compartment_key("cn", Purpose.SAFETY, make=True)
    assert KeyFiles(tmp_path / "car", token.element()).compartment_key("cn", Purpose.SAFETY) == secret


def test_a_folder_of_tokens_that_is_gone_altogether(token: SoftToken) -> None:
    element = token.element()
    key = element.create_device_key()
    shutil.move(token.folder / "tokens", token.folder / "away")
    with pytest.raises(TokenError, match="token 'car-1' can't sign: "):
        element.sign(key, b"x")
    shutil.move(token.folder / "away", token.folder / "tokens")
    verify(key, element.sign(key, b"x"), b"x")


def test_a_wrong_pin_is_tried_once_and_not_until_the_token_is_locked(token: SoftToken) -> None:
    token.write_pin("000000")
    element = token.element()
    with pytest.raises(TokenError, match=f"{token.pin_file}: token 'car-1' refuses this PIN"):
        element.create_device_key()
    with pytest.raises(TokenError, match="not tried again before the file is changed"):
        element.create_device_key()
    token.write_pin(PIN)
    assert len(element.create_device_key()) == 32


def test_a_pin_that_others_may_read_is_refused(token: SoftToken) -> None:
    token.pin_file.chmod(0o644)
    with pytest.raises(VehicleKeyError, match=f"chmod 600 {token.pin_file}"):
        token.element().create_device_key()
    token.pin_file.unlink()
    with pytest.raises(VehicleKeyError, match=f"{token.pin_file}: can't be read"):
        token.element().create_device_key()


def test_a_module_or_token_that_is_not_there(token: SoftToken) -> None:
    with pytest.raises(TokenError, match=r"/no/such\.so"):
        Pkcs11Element(Path("/no/such.so"), "car-1", token.pin_file).create_device_key()
    with pytest.raises(
        TokenError, match="token 'car-2' can't make a device key: there is no token of this name"
    ):
        Pkcs11Element(MODULE, "car-2", token.pin_file).create_device_key()


def test_the_disk_without_the_token_is_worth_nothing(token: SoftToken, tmp_path: Path) -> None:
    """As with the fake, with the real thing: a copied directory, and a token of the thief's own with the same name and PIN."""
    create_keys(tmp_path / "car", token.element())
    secret = KeyFiles(tmp_path / "car", token.element()).compartment_key("cn", Purpose.SAFETY, make=True)
    shutil.copytree(tmp_path / "car", tmp_path / "copy")
    assert all(secret not in path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file())
    with using(SoftToken(tmp_path / "thief")) as thief:
        thief.element().wrap(b"so that it has a key")
        with pytest.raises(VehicleKeyError, match="is not in token"):
            KeyFiles(tmp_path / "copy", thief.element())
        wrapped = (VehicleDir(tmp_path / "copy").compartments / "cn" / "safety.key").read_bytes()
        with pytest.raises(VehicleKeyError, match="another token wrapped it"):
            thief.element().unwrap(wrapped[8:])
        with pytest.raises(VehicleKeyError, match="keys are in a token"):
            KeyFiles(tmp_path / "copy")


def test_a_rotation_in_the_token(token: SoftToken, tmp_path: Path) -> None:
    create_keys(tmp_path, token.element())
    devices = DeviceKeys(VehicleDir(tmp_path), token.element())
    running = KeyFiles(tmp_path, token.element())
    statement = devices.begin(7)
    devices.commit()
    after = KeyFiles(tmp_path, token.element())
    assert after.device_public_key() == statement.new_key
    verify(statement.new_key, after.sign(b"x"), b"x")
    verify(statement.old_key, running.sign(b"x"), b"x")
    devices.begin(8)
    assert not token.element().has_device_key(statement.old_key)
