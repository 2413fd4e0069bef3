"""The vehicle's own keys in its directory, and one home for every name there.

::

    registration.signed      what firmware says of where the vehicle belongs (``wire.registration``)
    consent.json             what firmware says of the user's consent (``wire.consent``)
    link.json                what it says of link and power (``fsd_firmware.surroundings_file``)
    keys/device.key          raw Ed25519 private key, 32 bytes: signs manifests and the ledger; or
    keys/device.token        raw public key, 32 bytes: its private half is in a token (``ports.secure_element``)
    keys/device.next.*       the same of a key that is prepared to come after it (:mod:`.device_keys`)
    keys/rotations/          statements that lead from key to key (``wire.rotation``)
    keys/compartments/<region>/<purpose>.key   32 random bytes: everything on disk of that region and purpose; with a
                             token, wrapped by it
    tls/<region>/            keys and certificates for one region's broker (:mod:`.tls_files`)
    trust/registration.pub   public keys of the registration authorities (``adapters.trust_files``)
    trust/<region>.root      the region's pinned root key
    policies/<region>.signed the region's policy, laid down (``wire.policy``)

Private keys are made on the vehicle and never copied from it. A key that others may read, or a folder of keys that
others may write to, is refused: somebody else could already hold it or have put it there.
"""

from __future__ import annotations

from pathlib import Path

from fsd_agent.adapters.compartment_keys import CompartmentKeys
from fsd_agent.adapters.device_keys import DeviceKeys
from fsd_agent.adapters.locker import Locker
from fsd_agent.adapters.private_files import KEY_BYTES, KeyFileError, read_private, write_private
from fsd_agent.adapters.tls_files import TlsFiles
from fsd_agent.adapters.vehicle_dir import VehicleDir
from fsd_agent.ports.secure_element import SecureElement
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.rotation import Rotation, linked_key_ids

__all__ = ["KeyFileError", "KeyFiles", "VehicleDir", "create_keys", "read_private", "write_private"]


class KeyFiles:
    """Implements :class:`fsd_agent.ports.vehicle_keys.VehicleKeys` on a vehicle directory."""

    def __init__(self, directory: Path, element: SecureElement | None = None) -> None:
        """Read the device key; ``element`` holds it, and wraps the compartments' keys, where the directory says so.

        Raises :class:`~fsd_agent.ports.vehicle_keys.VehicleKeyError`: :class:`KeyFileError` for what is wrong with a file.
        """
        files = VehicleDir(directory)
        self._devices = DeviceKeys(files, element)
        self._device = self._devices.current()
        self._compartments = CompartmentKeys(files.compartments, Locker(files.keys, element))
        self._tls = TlsFiles(files)

    def device_public_key(self) -> bytes:
        """Raw Ed25519 public key: what a region enrols."""
        return self._device.public_key

    def device_key_id(self) -> str:
        """See the port."""
        return key_id_of(self._device.public_key)

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self._device.sign(message)

    def rotations(self) -> tuple[Rotation, ...]:
        """See the port."""
        return self._devices.rotations()

    def compartment_key(self, region_id: str, purpose: Purpose, *, make: bool = False) -> bytes:
        """See the port."""
        return self._compartments.key(Compartment(region_id, purpose), make=make)

    def compartments(self) -> frozenset[Compartment]:
        """See the port."""
        return self._compartments.all()

    def destroy_compartment(self, region_id: str, purpose: Purpose) -> None:
        """See the port."""
        self._compartments.destroy(Compartment(region_id, purpose))

    def tls_certificate(self, region_id: str) -> tuple[Path, Path]:
        """See the port; raises :class:`KeyFileError` where the vehicle is not enrolled with the region."""
        return self._tls.pair(region_id)

    def certificate_until_ns(self, region_id: str) -> int:
        """See the port."""
        return self._tls.until_ns(region_id)


def create_keys(directory: Path, element: SecureElement | None = None) -> None:
    """Make the device key if there is none; an existing one is left alone.

    Raises :class:`~fsd_agent.ports.vehicle_keys.VehicleKeyError`.
    """
    files = VehicleDir(directory)
    DeviceKeys(files, element).create()


def own_key_ids(directory: Path) -> frozenset[str]:
    """Ids of the device's keys: the present one and those that statements link it to. Needs no token.

    Raises :class:`KeyFileError`.
    """
    files = VehicleDir(directory)
    devices = DeviceKeys(files, None)
    if files.device_token.exists():
        key_id = key_id_of(read_private(files.device_token, KEY_BYTES))
    else:
        key_id = devices.current().key_id
    return linked_key_ids(devices.rotations(), key_id)
