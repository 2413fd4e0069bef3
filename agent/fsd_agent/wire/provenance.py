"""How a clip came to be, read from its file without the rest: one message on the topic ``/provenance`` (``wire.clip``).

``novelty``, where there is one, is ``{"maker", "source", "camera", "code"}``, the code in hex digits: of its clip for each of
its campaigns.
"""

from __future__ import annotations

import struct
from typing import IO, Any, Final

import msgspec
import zstandard
from mcap.exceptions import McapError
from mcap.reader import SeekingReader
from mcap.stream_reader import CRCValidationError

from fsd_agent.records.novelty import ClipCode, Maker, Subject
from fsd_agent.wire import clip_messages as messages
from fsd_agent.wire.clip_messages import ClipMessageError


class _Novelty(msgspec.Struct, frozen=True):
    maker: Maker
    source: str
    camera: str
    code: str


class _Campaign(msgspec.Struct, frozen=True):
    id: str


class _Provenance(msgspec.Struct, frozen=True):
    vehicle: str
    campaigns: tuple[_Campaign, ...] = ()
    novelty: _Novelty | None = None


NO_CLIP: Final = (
    ClipMessageError,
    McapError,
    CRCValidationError,
    struct.error,
    zstandard.ZstdError,
    EOFError,
    UnicodeDecodeError,
)
"""What reading one raises on bytes that are none, or damaged."""


def read_provenance(stream: IO[bytes]) -> dict[str, Any]:
    """Of a seekable clip. Raises one of :data:`NO_CLIP`."""
    reader = SeekingReader(stream, validate_crcs=True)
    for _, _, message in reader.iter_messages(topics=[messages.PROVENANCE]):
        return messages.decode_json(message.data)
    raise ClipMessageError("no provenance")


def codes_in(provenance: dict[str, Any]) -> tuple[str, tuple[ClipCode, ...]]:
    """The vehicle's pseudonym and the clip's code for each campaign. Raises :class:`ClipMessageError`."""
    try:
        found = msgspec.convert(provenance, _Provenance)
        if found.novelty is None:
            return found.vehicle, ()
        about, values = found.novelty, bytes.fromhex(found.novelty.code)
        subjects = (Subject(one.id, about.maker, about.source, about.camera) for one in found.campaigns)
        return found.vehicle, tuple(ClipCode(subject, values) for subject in subjects)
    except ValueError as error:
        raise ClipMessageError(f"provenance: {error}") from None
