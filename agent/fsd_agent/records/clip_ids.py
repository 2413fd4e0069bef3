"""Ids of many clips as one value: 16 bytes each, one behind the other. As texts, tens of thousands would be objects each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fsd_agent.records.purpose import Compartment

ID_BYTES = 16
IdsAt = Mapping[Compartment, bytes]
"""Packed ids by compartment."""


def pack_ids(ids: Iterable[str]) -> bytes:
    """Of 32 hex digits each."""
    return bytes.fromhex("".join(ids))


def unpack_ids(packed: bytes) -> list[str]:
    """What :func:`pack_ids` was given."""
    digits, each = packed.hex(), 2 * ID_BYTES
    return [digits[at : at + each] for at in range(0, len(digits), each)]
