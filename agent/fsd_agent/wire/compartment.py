r"""From a compartment's key to the keys that are used: HKDF-SHA256 (RFC 5869), each use under a label of its own.

``info`` is ``"fsd compartment v1\0"``, the use, ``\0``, the region id, ``\0``, the purpose. So a key that was laid into
another compartment opens nothing there, and what one use reveals tells nothing of the other.
"""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fsd_agent.records.purpose import Compartment

KEY_BYTES = 32
Use = Literal["staging", "spool", "novelty"]


def use_key(compartment_key: bytes, compartment: Compartment, use: Use) -> bytes:
    """32 bytes for one use; ValueError where ``compartment_key`` is no key."""
    if len(compartment_key) != KEY_BYTES:
        raise ValueError(f"key of compartment {compartment}: {len(compartment_key)} bytes, not {KEY_BYTES}")
    info = f"fsd compartment v1\0{use}\0{compartment.region_id}\0{compartment.purpose}"
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info.encode("ascii")).derive(
        compartment_key
    )
