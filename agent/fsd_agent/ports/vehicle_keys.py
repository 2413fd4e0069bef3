"""The device's own keys."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class VehicleKeys(Protocol):
    """Private keys stay behind this port (files now, a PKCS#11 token later). Any thread."""

    def device_key_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the raw Ed25519 public key that signs manifests."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        ...

    def staging_key(self) -> bytes:
        """32 bytes for staging; never leaves the device."""
        ...

    def tls_certificate(self, region_id: str) -> tuple[Path, Path]:
        """(certificate chain, private key) PEM files for this region's broker."""
        ...
