"""What a peer saw of a TLS connection."""

from __future__ import annotations


def record_types(raw: bytes) -> list[int]:
    """Content types of the TLS records in what arrived (RFC 8446, section 5.1)."""
    types = []
    while raw:
        types.append(raw[0])
        raw = raw[5 + int.from_bytes(raw[3:5], "big") :]
    return types
