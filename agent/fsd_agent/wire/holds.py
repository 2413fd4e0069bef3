"""The history of holds as it is kept in the journal's state: msgpack of ``[1, [span, ...]]``."""

from __future__ import annotations

from typing import Literal

import msgspec

from fsd_agent.records.status import HoldSpan


class HoldsError(ValueError):
    """Bytes that no history was written as; the message says why."""


def encode_holds(spans: tuple[HoldSpan, ...]) -> bytes:
    """Bytes to keep."""
    return msgspec.msgpack.encode((1, spans))


def decode_holds(data: bytes) -> tuple[HoldSpan, ...]:
    """What :func:`encode_holds` wrote; raises :class:`HoldsError`."""
    try:
        _, spans = msgspec.msgpack.decode(data, type=tuple[Literal[1], tuple[HoldSpan, ...]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HoldsError(str(error)) from error
    return spans
