"""Paths below a vehicle's directory; what each file is: :mod:`.key_files`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CERTIFICATE = "certificate.pem"
PRIVATE_KEY = "private.key"
REQUEST = "request.pem"


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
    def link(self) -> Path:
        """Which link is up and how long there is power, as firmware would say it."""
        return self.root / "link.json"

    @property
    def keys(self) -> Path:
        """Folder of the device's own keys."""
        return self.root / "keys"

    @property
    def device_key(self) -> Path:
        """Signs manifests, where it is a file."""
        return self.keys / "device.key"

    @property
    def device_token(self) -> Path:
        """Its public half, where the private one is in a token."""
        return self.keys / "device.token"

    @property
    def rotations(self) -> Path:
        """Folder of rotation statements."""
        return self.keys / "rotations"

    @property
    def compartments(self) -> Path:
        """Folder of the compartments' keys."""
        return self.keys / "compartments"

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

    @property
    def tls(self) -> Path:
        """Folder of folders, one for each region."""
        return self.root / "tls"

    def tls_current(self, region_id: str) -> Path:
        """Leads to the folder of the pair in use with one region's broker."""
        return self.tls / region_id / "current"

    def tls_certificate(self, region_id: str) -> Path:
        """The vehicle's certificate for one region's broker."""
        return self.tls_current(region_id) / CERTIFICATE

    def tls_key(self, region_id: str) -> Path:
        """Its private key."""
        return self.tls_current(region_id) / PRIVATE_KEY
