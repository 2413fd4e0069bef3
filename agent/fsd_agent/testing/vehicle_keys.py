"""Vehicle keys in memory: sign like the real ones, hold no TLS key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsd_agent.ports.vehicle_keys import VehicleKeysError
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.rotation import Rotation, sign_rotation


class MemoryVehicleKeys:
    """Implements :class:`fsd_agent.ports.vehicle_keys.VehicleKeys`; the same seed gives the same keys."""

    def __init__(self, seed: str = "car-1") -> None:
        self._device = Ed25519PrivateKey.from_private_bytes(
            hashlib.sha256(f"{seed} device".encode()).digest()
        )
        self._staging = hashlib.sha256(f"{seed} staging".encode()).digest()
        self._rotations: tuple[Rotation, ...] = ()
        self.device_public_key = self._device.public_key().public_bytes_raw()
        self.away = False
        """While set, the key that signs can't be reached, as with a token that was taken out."""
        self.until_ns: int | None = None
        """Until when its certificates are valid; None where it is enrolled nowhere."""

    def device_key_id(self) -> str:
        """See the port."""
        return key_id_of(self.device_public_key)

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        if self.away:
            raise VehicleKeysError("the token is not there")
        return self._device.sign(message)

    def rotations(self) -> tuple[Rotation, ...]:
        """See the port."""
        return self._rotations

    def rotate(self, seed: str, wall_ns: int = 0) -> MemoryVehicleKeys:
        """The same vehicle after a rotation to the device key of ``seed``."""
        after = MemoryVehicleKeys(seed)
        after._staging = self._staging
        statement = sign_rotation(
            self.device_public_key, after.device_public_key, wall_ns, sign_old=self.sign, sign_new=after.sign
        )
        after._rotations = (*self._rotations, statement)
        return after

    def staging_key(self) -> bytes:
        """See the port."""
        return self._staging

    def tls_certificate(self, region_id: str) -> tuple[Path, Path]:
        """Raises ``VehicleKeysError``: a vehicle without files is enrolled nowhere."""
        raise VehicleKeysError(f"no certificate for region {region_id}")

    def certificate_until_ns(self, region_id: str) -> int:
        """See the port."""
        if self.until_ns is None:
            raise VehicleKeysError(f"no certificate for region {region_id}")
        return self.until_ns
