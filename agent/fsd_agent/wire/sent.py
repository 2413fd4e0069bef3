"""What was sent of clips by the file convention, as it is kept: msgpack of ``[1, {clip id: Sent}]``, one bit a segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

VERSION: Final = 1


class SentFormatError(ValueError):
    """Bytes that are not this; the message says which field and why."""


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of one clip."""

    sha256: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    """Of the whole sealed file: marks of another count for nothing."""
    segment_bytes: Annotated[int, msgspec.Meta(ge=1)]
    begun_wall_ns: int
    """Unix time before the first segment that is marked."""
    whole: bool
    marks: bytes
    """One bit a segment, the lowest of the first byte first; 1 once the broker acknowledged it."""


def encode_sent(sent: Mapping[str, Sent]) -> bytes:
    """Bytes of it."""
    return msgspec.msgpack.encode((VERSION, sent))


def decode_sent(data: bytes) -> dict[str, Sent]:
    """Read what :func:`encode_sent` wrote; raises :class:`SentFormatError`."""
    try:
        version, sent = msgspec.msgpack.decode(data, type=tuple[int, dict[str, Sent]], strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SentFormatError(f"sent segments: {error}") from error
    if version != VERSION:
        raise SentFormatError(f"sent segments: version {version}, this program reads {VERSION}")
    return sent


def pack_marks(marks: bytes) -> bytes:
    """One byte a segment (0 or 1) to one bit."""
    bits = int("".join("1" if mark else "0" for mark in reversed(marks)) or "0", 2)
    return bits.to_bytes(-(-len(marks) // 8), "little")


def unpack_marks(packed: bytes, segments: int) -> bytearray:
    """The other way, for so many segments; what is not there is 0."""
    bits = int.from_bytes(packed, "little")
    return bytearray(bits >> number & 1 for number in range(segments))
