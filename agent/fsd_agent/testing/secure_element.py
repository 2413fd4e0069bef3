"""A secure element in memory: keeps its keys to itself, can be taken out, and comes back with all of them."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fsd_agent.ports.vehicle_keys import VehicleKeyError


class MemorySecureElement:
    """Implements :class:`fsd_agent.ports.secure_element.SecureElement`."""

    def __init__(self, name: str = "car-1") -> None:
        self.name = name
        self.away = False
        """While set, it is taken out."""
        self._keys: dict[bytes, Ed25519PrivateKey] = {}
        self._wrapping = AESGCM(os.urandom(32))

    def create_device_key(self) -> bytes:
        """See the port."""
        self._check()
        key = Ed25519PrivateKey.generate()
        public_key = key.public_key().public_bytes_raw()
        self._keys[public_key] = key
        return public_key

    def has_device_key(self, public_key: bytes) -> bool:
        """See the port."""
        self._check()
        return public_key in self._keys

    def destroy_device_key(self, public_key: bytes) -> None:
        """See the port."""
        self._check()
        self._keys.pop(public_key, None)

    def sign(self, public_key: bytes, message: bytes) -> bytes:
        """See the port."""
        self._check()
        if public_key not in self._keys:
            raise VehicleKeyError(f"token {self.name!r} does not hold this device key")
        return self._keys[public_key].sign(message)

    def wrap(self, data: bytes) -> bytes:
        """See the port."""
        self._check()
        nonce = os.urandom(12)
        return nonce + self._wrapping.encrypt(nonce, data, None)

    def unwrap(self, wrapped: bytes) -> bytes:
        """See the port."""
        self._check()
        try:
            return self._wrapping.decrypt(wrapped[:12], wrapped[12:], None)
        except (InvalidTag, ValueError) as error:
            raise VehicleKeyError(f"token {self.name!r} can't unwrap a key") from error

    def _check(self) -> None:
        if self.away:
            raise VehicleKeyError(f"token {self.name!r} is not there")
