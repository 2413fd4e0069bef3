"""Acknowledgement of a ledger's head: the region's word that it keeps the head that a vehicle told it.

Format, version 1: a signed envelope (:mod:`fsd_agent.wire.envelope`, context ``ledger-head``, the region's receipt key)
whose payload is a msgpack map ``{"region_id": str, "vehicle": str, "size": int, "root": bin(32)}``. It counts only for a
head that the vehicle told, size and root: then records under it may be removed from the vehicle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from fsd_agent.wire.verdict import VerdictError, encode_word, open_word

LEDGER_HEAD = "ledger-head"
MAX_ACK_BYTES = 1024


class _Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    root: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


def encode_head_ack(*, region_id: str, vehicle: str, size: int, root: bytes, private_key: bytes) -> bytes:
    """Sign with the region's raw Ed25519 receipt key of 32 bytes."""
    return encode_word(LEDGER_HEAD, _Payload(region_id, vehicle, size, root), private_key)


def verify_head_ack(
    data: bytes, public_keys: Sequence[bytes], *, region_id: str, vehicle: str, told: Mapping[int, bytes]
) -> int:
    """How many records the region confirms with one of its receipt keys; ``told`` are the roots that it was told, by size.

    Raises :class:`~fsd_agent.wire.verdict.VerdictError`.
    """
    payload = open_word(data, LEDGER_HEAD, _Payload, public_keys, max_bytes=MAX_ACK_BYTES)
    if (payload.region_id, payload.vehicle) != (region_id, vehicle):
        raise VerdictError(f"is for {payload.vehicle} in {payload.region_id}, not {vehicle} in {region_id}")
    if told.get(payload.size) != payload.root:
        raise VerdictError(f"names a root over {payload.size} records that was not told")
    return payload.size
