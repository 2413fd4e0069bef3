"""What a region's receiver says: a word under its receipt key, and what receipts and refusals, its last words of a clip, share.

Each kind of word has a context of its own (:func:`open_word`). Receipts and refusals are signed envelopes by the region's receipt key whose payload is a msgpack map that begins with the members of
:class:`Subject`. Either counts only if they name exactly what the vehicle sent: a genuine word about another clip,
vehicle, region or content changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from fsd_agent.wire.envelope import EnvelopeError, key_id_of, open_envelope, public_key_of, seal_envelope


class VerdictError(Exception):
    """Not the region's word about this clip; the message says why. The clip is kept."""


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is spoken of. ``sha256`` is what the sealed file is known by (:mod:`.pieces`)."""

    clip_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
    region_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
    vehicle: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
    sha256: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


_S = TypeVar("_S", bound=Subject)
_P = TypeVar("_P", bound=msgspec.Struct)


def encode_word(context: str, payload: msgspec.Struct, private_key: bytes) -> bytes:
    """Sign with the region's raw Ed25519 receipt key of 32 bytes."""
    key_id = key_id_of(public_key_of(private_key))
    return seal_envelope(context, msgspec.msgpack.encode(payload), key_id, private_key)


def open_word(
    data: bytes, context: str, kind: type[_P], public_keys: Sequence[bytes], *, max_bytes: int
) -> _P:
    """The payload, if one of the region's ``public_keys`` (raw Ed25519) signed it, whatever it is about.

    Raises :class:`VerdictError`.
    """
    if len(data) > max_bytes:
        raise VerdictError(f"{len(data)} bytes, at most {max_bytes}")
    try:
        return msgspec.msgpack.decode(open_envelope(data, context, *public_keys), type=kind)
    except EnvelopeError as error:
        raise VerdictError(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VerdictError(f"malformed payload: {error}") from error


def open_verdict(
    data: bytes,
    context: str,
    kind: type[_S],
    public_keys: Sequence[bytes],
    expected: Subject,
    *,
    max_bytes: int,
) -> _S:
    """The payload, if one of the region's ``public_keys`` (raw Ed25519) signed it about exactly what is ``expected``.

    Raises :class:`VerdictError`.
    """
    payload = open_word(data, context, kind, public_keys, max_bytes=max_bytes)
    for field in Subject.__struct_fields__:
        got, wanted = getattr(payload, field), getattr(expected, field)
        if got != wanted:
            raise VerdictError(f"{field} is {_shown(got)!r}, expected {_shown(wanted)!r}")
    return payload


def _shown(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else value
