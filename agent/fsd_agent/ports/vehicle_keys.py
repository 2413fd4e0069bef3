"""The device's own keys."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fsd_agent.wire.rotation import Rotation


class VehicleKeysError(Exception):
    """A key can't be used now; the message names it, the reason, and what to run.

    It may work later: a token may come back. Whoever can't sign or encrypt does nothing, and gives nothing up for it.
    """


class VehicleKeys(Protocol):
    """Private keys stay behind this port (files, or a PKCS #11 token). Any thread."""

    def device_key_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the raw Ed25519 public key that signs manifests."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes; raises :class:`VehicleKeysError`."""
        ...

    def rotations(self) -> tuple[Rotation, ...]:
        """Every statement that names a key of this device, as they stand now; raises :class:`VehicleKeysError`.

        They lead from keys before to the present one, and from it to one that is prepared.
        """
        ...

    def staging_key(self) -> bytes:
        """32 bytes for staging; never leaves the device."""
        ...

    def tls_certificate(self, region_id: str) -> tuple[Path, Path]:
        """(certificate chain, private key) PEM files for this region's broker; the pair that is newest and whole.

        Raises :class:`VehicleKeysError`.
        """
        ...

    def certificate_until_ns(self, region_id: str) -> int:
        """Until when that certificate is valid, Unix time; raises :class:`VehicleKeysError`."""
        ...
