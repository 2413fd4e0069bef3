"""Where the long round that looks for damage has come to, as the journal keeps it: msgpack of ``[1, state, clip id]``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fsd_agent.records.clip import ClipState


class ScrubPlaceError(ValueError):
    """Bytes that were not written by :func:`encode_scrub_place`; the message says why."""


class _Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    v: Literal[1]
    state: Literal["captured", "sealed"]
    clip_id: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{32})?\Z")]


def encode_scrub_place(state: ClipState, clip_id: str) -> bytes:
    """Clips in ``state`` up to ``clip_id`` were read, in the order of their ids; empty before the first."""
    return msgspec.msgpack.encode((1, state, clip_id))


def decode_scrub_place(data: bytes) -> tuple[ClipState, str]:
    """What was encoded; raises :class:`ScrubPlaceError`."""
    try:
        found = msgspec.msgpack.decode(data, type=_Place)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScrubPlaceError(f"where the round was can't be read: {error}") from error
    return ClipState(found.state), found.clip_id
