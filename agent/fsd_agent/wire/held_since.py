"""Since when each clip on board is held, as the journal's state keeps it: msgpack of ``[2, ids, moments]``.

``ids`` are 16 bytes a clip, one behind the other, and ``moments`` 8 bytes each in the same order: Unix time in nanoseconds,
signed, little-endian. Version 1, which is still read, was a map from 32 hex digits to the moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec

_ID_BYTES, _MOMENT_BYTES = 16, 8
_Moment = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class HeldSinceError(ValueError):
    """Bytes that were not written by :func:`encode_held_since`; the message says why."""


def encode_held_since(held: Iterable[tuple[str, int]]) -> bytes:
    """Bytes of (clip id, moment) of each clip."""
    ids, moments = bytearray(), bytearray()
    for clip_id, moment_ns in held:
        ids += bytes.fromhex(clip_id)
        moments += moment_ns.to_bytes(_MOMENT_BYTES, "little", signed=True)
    return msgspec.msgpack.encode((2, ids, moments))


def decode_held_since(data: bytes) -> Iterator[tuple[str, int]]:
    """What was encoded, one by one, but judged as a whole before; raises :class:`HeldSinceError`."""
    try:
        found = msgspec.msgpack.decode(data, type=tuple[Literal[2], bytes, bytes] | dict[_Id, _Moment])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HeldSinceError(str(error)) from error
    if isinstance(found, dict):
        return iter(found.items())
    _, ids, moments = found
    if len(ids) % _ID_BYTES or len(ids) // _ID_BYTES * _MOMENT_BYTES != len(moments):
        raise HeldSinceError(f"{len(ids)} bytes of ids, {len(moments)} of moments")
    return _pairs(ids, moments)


def _pairs(ids: bytes, moments: bytes) -> Iterator[tuple[str, int]]:
    for at in range(len(ids) // _ID_BYTES):
        moment = moments[at * _MOMENT_BYTES : (at + 1) * _MOMENT_BYTES]
        clip_id = ids[at * _ID_BYTES : (at + 1) * _ID_BYTES].hex()
        yield clip_id, int.from_bytes(moment, "little", signed=True)
