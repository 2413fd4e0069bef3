"""Since when each clip on board is held, as the journal's state keeps it: msgpack of ``[2, ids, since, seen]``.

``ids`` are 16 bytes a clip, one behind the other; ``since`` and ``seen`` have 8 bytes a clip in the same order, nanoseconds,
signed, little-endian. Version 1, which is still read, was a map from 32 hex digits to ``since``.
"""

from __future__ import annotations

from array import array
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from fsd_agent.records.clip_ids import ID_BYTES, pack_ids
from fsd_agent.records.held_since import EARLIER_NS, HeldSince

_MOMENT = np.dtype("<i8")
_Moment = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
_FORM: Any = tuple[Literal[2], bytes, bytes, bytes] | dict[_Id, _Moment]
"""A run-time type, which mypy can't follow."""


class HeldSinceError(ValueError):
    """Bytes that were not written by :func:`encode_held_since`; the message says why."""


def encode_held_since(held: HeldSince) -> bytes:
    """Bytes of it."""
    moments = (np.asarray(column, dtype=_MOMENT).tobytes() for column in (held.since_ns, held.seen_ns))
    return msgspec.msgpack.encode((2, held.ids, *moments))


def decode_held_since(data: bytes) -> HeldSince:
    """What was encoded; raises :class:`HeldSinceError`."""
    try:
        found = msgspec.msgpack.decode(data, type=_FORM)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HeldSinceError(str(error)) from error
    if isinstance(found, dict):
        ids, since_ns = pack_ids(found), array("q", found.values())
        return HeldSince(ids, since_ns, array("q", [EARLIER_NS]) * len(since_ns))
    _, ids, *columns = found
    count, rest = divmod(len(ids), ID_BYTES)
    if rest or any(len(column) != count * _MOMENT.itemsize for column in columns):
        lengths = ", ".join(str(len(one)) for one in (ids, *columns))
        raise HeldSinceError(f"columns of {lengths} bytes")
    if len(np.unique(np.frombuffer(ids, f"S{ID_BYTES}"))) != count:
        raise HeldSinceError("a clip is there twice")
    return HeldSince(ids, *map(_moments, columns))


def _moments(column: bytes) -> array[int]:
    moments = array("q")
    moments.frombytes(np.frombuffer(column, _MOMENT).astype(np.int64).tobytes())
    return moments
