"""Where private keys live that nobody can copy: a PKCS #11 token.

Threads: any. Every call may fail while the token is away, with :class:`~fsd_agent.ports.vehicle_keys.VehicleKeyError`,
and works again when it is back; nothing has to be made anew for that.
"""

from __future__ import annotations

from typing import Protocol


class SecureElement(Protocol):
    """See the module."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def create_device_key(self) -> bytes:
        """Make an Ed25519 pair; the raw public key, 32 bytes."""
        ...

    def has_device_key(self, public_key: bytes) -> bool:
        """Whether it holds the private half."""
        ...

    def destroy_device_key(self, public_key: bytes) -> None:
        """Remove a pair for good; a pair that is not there is no fault."""
        ...

    def sign(self, public_key: bytes, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes, by the private half of ``public_key``."""
        ...

    def wrap(self, data: bytes) -> bytes:
        """Encrypt a few kilobytes, authenticated, under a key that never leaves; the key is made at the first call."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data again; refused where anything of it was changed or another token wrapped it."""
        ...
