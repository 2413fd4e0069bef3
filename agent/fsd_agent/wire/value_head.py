"""The head that values clips as it ships with the agent: msgpack of a campaign's head (``wire.campaign_parts``), nothing around it."""

from __future__ import annotations

import msgspec

from fsd_agent.records.head import Head, HeadError
from fsd_agent.wire.campaign_parts import WireHead


def encode_value_head(head: Head) -> bytes:
    """The file; the same head gives the same bytes."""
    return msgspec.msgpack.encode(WireHead.pack(head))


def decode_value_head(data: bytes) -> Head:
    """Inverse of :func:`encode_value_head`. Raises :class:`HeadError`."""
    try:
        return msgspec.msgpack.decode(data, type=WireHead).unpack()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HeadError(f"no head: {error}") from error
