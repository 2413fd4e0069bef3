"""A registration authority: one key, whose public half vehicles are given when they are made.

registry.key   raw Ed25519 private key, 32 bytes, mode 0600: signs registration documents
registry.pub   its public half, as vehicles trust it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fsd_agent.adapters.durable import write_file
from fsd_agent.adapters.key_files import KeyFileError, read_private, write_private
from fsd_agent.adapters.trust_files import public_key_text
from fsd_agent.ports.spool import SpoolError
from fsd_agent.wire.envelope import key_id_of, public_key_of
from fsd_tools.errors import ToolError


@dataclass(frozen=True, slots=True)
class Registry:
    """Paths below one authority's directory, and its key."""

    root: Path

    @property
    def key(self) -> Path:
        """Private key."""
        return self.root / "registry.key"

    @property
    def public(self) -> Path:
        """Public key."""
        return self.root / "registry.pub"

    def private_key(self) -> bytes:
        """The raw private key; raises :class:`ToolError`."""
        if not self.key.exists():
            raise ToolError(f"{self.key}: missing; make an authority with `fsdctl registry init {self.root}`")
        try:
            return read_private(self.key, 32)
        except KeyFileError as error:
            raise ToolError(str(error)) from None


def init_registry(root: Path) -> str:
    """Make an authority in ``root``; returns its key's id. Raises :class:`ToolError`, also where there is one."""
    registry, key = Registry(root), Ed25519PrivateKey.generate().private_bytes_raw()
    public = public_key_of(key)
    try:
        write_private(registry.key, key)
        text = public_key_text(public, f"registration authority {key_id_of(public)}")
        write_file(registry.public, [text.encode()])
    except (KeyFileError, SpoolError) as error:
        raise ToolError(str(error)) from None
    return key_id_of(public)
