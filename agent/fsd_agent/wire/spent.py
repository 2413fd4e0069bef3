"""What was given away over metered links, as the journal keeps it: msgpack of ``[1, day, month]``.

A period is ``[used_bytes, until_wall_ns]``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fsd_agent.records.spent import Period, Spent

_Int63 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class SpentError(ValueError):
    """Bytes that were not written by :func:`encode_spent`; the message says why."""


class _Spent(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    v: Literal[1]
    day: tuple[_Int63, _Int63]
    month: tuple[_Int63, _Int63]


def encode_spent(spent: Spent) -> bytes:
    """Bytes of it."""
    day, month = spent.day, spent.month
    return msgspec.msgpack.encode(
        _Spent(1, (day.used_bytes, day.until_wall_ns), (month.used_bytes, month.until_wall_ns))
    )


def decode_spent(data: bytes) -> Spent:
    """What was encoded; raises :class:`SpentError`."""
    try:
        found = msgspec.msgpack.decode(data, type=_Spent)
    except msgspec.DecodeError as error:
        raise SpentError(f"what was sent over metered links can't be read: {error}") from error
    return Spent(Period(*found.day), Period(*found.month))
