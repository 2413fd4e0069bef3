"""Vehicle keys in memory: sign like the real ones, hold no TLS key."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsd_agent.ports.vehicle_keys import VehicleKeyError
from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.envelope import key_id_of
from fsd_agent.wire.rotation import Rotation, sign_rotation


class MemoryVehicleKeys:
    """Implements :class:`fsd_agent.ports.vehicle_keys.VehicleKeys`; the same seed gives the same keys.

    A compartment's key that is made after one was destroyed is another one.
    """

    def __init__(self, seed: str = "car-1") -> None:
        self.broken = ""
        """Why no compartment's key can be made, read or destroyed; empty where they can."""
        self._seed = seed
        self._device = Ed25519PrivateKey.from_private_bytes(
            hashlib.sha256(f"{seed} device".encode()).digest()
        )
        self._compartments: dict[Compartment, bytes] = {}
        self._made = 0
        self._lock = threading.Lock()
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
            raise VehicleKeyError("the token is not there")
        return self._device.sign(message)

    def rotations(self) -> tuple[Rotation, ...]:
        """See the port."""
        return self._rotations

    def rotate(self, seed: str, wall_ns: int = 0) -> MemoryVehicleKeys:
        """The same vehicle after a rotation to the device key of ``seed``."""
        after = MemoryVehicleKeys(seed)
        after._compartments, after._made = self._compartments, self._made
        statement = sign_rotation(
            self.device_public_key, after.device_public_key, wall_ns, sign_old=self.sign, sign_new=after.sign
        )
        after._rotations = (*self._rotations, statement)
        return after

    def compartment_key(self, region_id: str, purpose: Purpose, *, make: bool = False) -> bytes:
        """See the port."""
        wanted = Compartment(region_id, purpose)
        with self._lock:
            self._check()
            if wanted not in self._compartments:
                if not make:
                    raise VehicleKeyError(f"compartment {wanted}: has no key")
                text = f"{self._seed} {wanted} {self._made}"
                self._compartments[wanted] = hashlib.sha256(text.encode()).digest()
                self._made += 1
            return self._compartments[wanted]

    def compartments(self) -> frozenset[Compartment]:
        """See the port."""
        with self._lock:
            self._check()
            return frozenset(self._compartments)

    def destroy_compartment(self, region_id: str, purpose: Purpose) -> None:
        """See the port."""
        with self._lock:
            self._check()
            self._compartments.pop(Compartment(region_id, purpose), None)

    def tls_certificate(self, region_id: str) -> tuple[Path, Path]:
        """Raises ``VehicleKeyError``: a vehicle without files is enrolled nowhere."""
        raise VehicleKeyError(f"no certificate for region {region_id}")

    def certificate_until_ns(self, region_id: str) -> int:
        """See the port."""
        if self.until_ns is None:
            raise VehicleKeyError(f"no certificate for region {region_id}")
        return self.until_ns

    def _check(self) -> None:
        if self.broken:
            raise VehicleKeyError(self.broken)
