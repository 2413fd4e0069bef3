"""The device's own keys.

Compartments. Everything on disk of one region and one purpose is under one random key. It is made when the first clip of
that compartment is staged, and never copied; with it goes everything that was written under it. What destroys a key
forgets it: nobody may keep it in memory longer than for the file that it works on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fsd_agent.records.purpose import Compartment, Purpose
from fsd_agent.wire.rotation import Rotation


class VehicleKeyError(Exception):
    """A key can't be made, used or destroyed now; the message names it, the reason and what to run.

    It may work later: a token may come back. Whoever can't sign or encrypt does nothing, and gives nothing up for it.
    """


class VehicleKeys(Protocol):
    """Private keys stay behind this port (files, or a PKCS #11 token). Any thread."""

    def device_key_id(self) -> str:
        """First 16 hex digits of the SHA-256 of the raw Ed25519 public key that signs manifests."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes; raises :class:`VehicleKeyError`."""
        ...

    def rotations(self) -> tuple[Rotation, ...]:
        """Every statement that names a key of this device, as they stand now; raises :class:`VehicleKeyError`.

        They lead from keys before to the present one, and from it to one that is prepared.
        """
        ...

    def compartment_key(self, region_id: str, purpose: Purpose, *, make: bool = False) -> bytes:
        """32 bytes; never leave the device.

        Raises :class:`VehicleKeyError` where there is none, unless ``make``: then it is made, and durable when this
        returns. Only who begins a clip makes one: a key that was destroyed must not come back under what is left.
        ``SpoolFullError`` where there is no room for it.
        """
        ...

    def compartments(self) -> frozenset[Compartment]:
        """Those that have a key. Raises :class:`VehicleKeyError`."""
        ...

    def destroy_compartment(self, region_id: str, purpose: Purpose) -> None:
        """When this returns, the key is gone, also after a power cut; nothing happens where there is none.

        Raises :class:`VehicleKeyError`; then try again.
        """
        ...

    def tls_certificate(self, region_id: str) -> tuple[Path, Path]:
        """(certificate chain, private key) PEM files for this region's broker; the pair that is newest and whole.

        Raises :class:`VehicleKeyError`.
        """
        ...

    def certificate_until_ns(self, region_id: str) -> int:
        """Until when that certificate is valid, Unix time; raises :class:`VehicleKeyError`."""
        ...
