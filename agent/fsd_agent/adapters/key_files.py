"""The vehicle's own keys as files, and one home for every name in a vehicle directory.

::

    registration.signed      what firmware says of where the vehicle belongs (``wire.registration``)
    consent.json             what firmware says of the user's consent (``wire.consent``)
    keys/device.key          raw Ed25519 private key, 32 bytes: signs manifests
    keys/compartments/<region>/<purpose>.key   32 random bytes: everything on disk of that region and purpose
    tls/<region>.key         EC P-256 private key, PEM: identifies the vehicle to one region's broker
    tls/<region>.pem         its certificate, issued by that region's authority
    trust/registration.pub   public keys of the registration authorities (``adapters.trust_files``)
    trust/<region>.root      the region's pinned root key
    policies/<region>.signed the region's policy, laid down (``wire.policy``)

Private keys are made on the vehicle and never copied from it. A key that others may read, or a folder of keys that
others may write to, is refused: somebody else could already hold it or have put it there.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsd_agent.adapters.compartment_keys import PLAIN, CompartmentKeys, Wrapping
from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.envelope import key_id_of

KEY_BYTES = 32
PRIVATE_MODE = 0o600
FOLDER_MODE = 0o700


class KeyFileError(VehicleKeyError):
    """A key can't be used; the message names the file, the reason and what to run."""


@dataclass(frozen=True, slots=True)
class VehicleDir:
    """Paths below one vehicle's directory. Makes nothing."""

    root: Path

    @property
    def registration(self) -> Path:
        """The registration document, as firmware would hold it."""
        return self.root / "registration.signed"

    @property
    def consent(self) -> Path:
        """The user's consent, as firmware would hold it."""
        return self.root / "consent.json"

    @property
    def device_key(self) -> Path:
        """Signs manifests."""
        return self.root / "keys" / "device.key"

    @property
    def compartments(self) -> Path:
        """Folder of the compartments' keys."""
        return self.root / "keys" / "compartments"

    @property
    def trust(self) -> Path:
        """Folder of what the vehicle was given to trust."""
        return self.root / "trust"

    @property
    def authorities(self) -> Path:
        """Public keys of registration authorities."""
        return self.trust / "registration.pub"

    def region_root(self, region_id: str) -> Path:
        """A region's pinned root key."""
        return self.trust / f"{region_id}.root"

    @property
    def policies(self) -> Path:
        """Folder of signed region policies."""
        return self.root / "policies"

    def policy(self, region_id: str) -> Path:
        """One region's signed policy."""
        return self.policies / f"{region_id}.signed"

    def tls_certificate(self, region_id: str) -> Path:
        """The vehicle's certificate for one region's broker."""
        return self.root / "tls" / f"{region_id}.pem"

    def tls_key(self, region_id: str) -> Path:
        """Its private key."""
        return self.root / "tls" / f"{region_id}.key"


class KeyFiles:
    """Implements :class:`fsd_agent.ports.vehicle_keys.VehicleKeys` on a vehicle directory."""

    def __init__(self, directory: Path, wrapping: Wrapping = PLAIN) -> None:
        """Read the device key; raises :class:`KeyFileError`. ``wrapping``: what the compartments' files hold."""
        self._files = VehicleDir(directory)
        self._device = Ed25519PrivateKey.from_private_bytes(read_private(self._files.device_key, KEY_BYTES))
        self._compartments = CompartmentKeys(self._files.compartments, read_private, wrapping)

    def device_public_key(self) -> bytes:
        """Raw Ed25519 public key: what a region enrols."""
        return self._device.public_key().public_bytes_raw()

    def device_key_id(self) -> str:
        """See the port."""
        return key_id_of(self.device_public_key())

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self._device.sign(message)

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
        certificate, key = self._files.tls_certificate(region_id), self._files.tls_key(region_id)
        read_private(key)
        if not certificate.is_file():
            raise KeyFileError(f"{certificate}: missing; enrol the vehicle with region {region_id!r}")
        return certificate, key


def create_keys(directory: Path) -> None:
    """Make the device key if there is none; an existing one is left alone.

    Raises :class:`KeyFileError`.
    """
    files = VehicleDir(directory)
    if not files.device_key.exists():
        write_private(files.device_key, Ed25519PrivateKey.generate().private_bytes_raw())


def read_private(path: Path, size: int | None = None) -> bytes:
    """A private key file, checked for its owner, modes and (if given) size. Raises :class:`KeyFileError`."""
    try:
        folder = path.parent.stat()
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(16 * 1024)
    except OSError as error:
        raise KeyFileError(f"{path}: can't be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: is not a regular file")
    if status.st_mode & 0o077:
        raise KeyFileError(f"{path}: others may read or change it; run: chmod 600 {path}")
    if folder.st_mode & 0o022:
        raise KeyFileError(f"{path.parent}: others may put keys here; run: chmod 700 {path.parent}")
    if size is not None and len(data) != size:
        raise KeyFileError(f"{path}: {len(data)} bytes, expected {size}")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Create a private key file that only its owner can read, durably; never replaces one.

    Raises :class:`KeyFileError`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        # O_EXCL also refuses a link that someone has laid there; the mode holds from the first moment.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"{path}: can't be made: {error.strerror}") from error
