"""The status message: msgpack of ``[1, status]``, retained on the vehicle's status topic."""

from __future__ import annotations

import msgspec

from fsd_agent.records.status import Status

VERSION = 1
MAX_BYTES = 256 * 1024
"""A thousand campaigns with every drop reason stay below this."""


class StatusFormatError(ValueError):
    """Bytes that are not a status message; the message says which field and why."""


def encode_status(status: Status) -> bytes:
    """Bytes of one status."""
    return msgspec.msgpack.encode((VERSION, status))


def decode_status(data: bytes) -> Status:
    """Read what :func:`encode_status` wrote; raises :class:`StatusFormatError`."""
    if len(data) > MAX_BYTES:
        raise StatusFormatError(f"status: {len(data)} bytes, more than {MAX_BYTES}")
    try:
        version, status = msgspec.msgpack.decode(data, type=tuple[int, Status], strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StatusFormatError(f"status: {error}") from error
    if version != VERSION:
        raise StatusFormatError(f"status: version {version}, this program reads {VERSION}")
    return status
