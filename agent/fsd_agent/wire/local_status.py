"""The agent's own status file: JSON ``{"v": 1, "status": {...}}``, for programs and people on the vehicle."""

from __future__ import annotations

from typing import Literal

import msgspec

from fsd_agent.records.local_status import LocalStatus

MAX_BYTES = 256 * 1024
"""A few kilobytes; reasons of refused policies are the longest of it."""


class LocalStatusError(ValueError):
    """Bytes that no status was written as; the message says why."""


class _File(msgspec.Struct, frozen=True):
    v: Literal[1]
    status: LocalStatus


def encode_local_status(status: LocalStatus) -> bytes:
    """Bytes of the file."""
    return msgspec.json.encode(_File(1, status)) + b"\n"


def decode_local_status(data: bytes) -> LocalStatus:
    """What :func:`encode_local_status` wrote; raises :class:`LocalStatusError`."""
    if len(data) > MAX_BYTES:
        raise LocalStatusError(f"more than {MAX_BYTES} bytes")
    try:
        return msgspec.json.decode(data, type=_File).status
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LocalStatusError(str(error)) from error
