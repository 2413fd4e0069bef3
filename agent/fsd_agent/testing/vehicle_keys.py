"""Vehicle keys in memory: signs like the real ones, holds no TLS key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsd_agent.wire.envelope import key_id_of


class MemoryVehicleKeys:
    """Implements :class:`fsd_agent.ports.vehicle_keys.VehicleKeys`; the same seed gives the same keys."""

    def __init__(self, seed: str = "car-1") -> None:
        self._device = Ed25519PrivateKey.from_private_bytes(
            hashlib.sha256(f"{seed} device".encode()).digest()
        )
        self._staging = hashlib.sha256(f"{seed} staging".encode()).digest()
        self.device_public_key = self._device.public_key().public_bytes_raw()

    def device_key_id(self) -> str:
        """See the port."""
        return key_id_of(self.device_public_key)

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self._device.sign(message)

    def staging_key(self) -> bytes:
        """See the port."""
        return self._staging

    def tls_certificate(self, region_id: str) -> tuple[Path, Path]:
        """Raises FileNotFoundError: a vehicle without files is enrolled nowhere."""
        raise FileNotFoundError(f"no certificate for region {region_id}")
