r"""Signed envelope: a payload of one kind, signed by one key.

Format, version 1: a msgpack map, its keys in this order and nothing else::

    {"v": 1, "context": str, "key_id": str, "payload": bin, "sig": bin(64)}

``sig`` is Ed25519 (RFC 8032) over ``"fsd-envelope-1\0" || lp(context) || lp(key_id) || payload``, where ``lp`` is
a length in one byte and the UTF-8 text. The context says what the payload is (``campaigns``, ``receipt``), so that
something signed for one purpose can't be replayed for another; ``key_id`` tells people which key was used and is
covered by the signature. Only the canonical encoding is accepted: an envelope has exactly one spelling, so
comparing two of them byte for byte is meaningful.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VERSION = 1
MAX_ENVELOPE_BYTES = 4 << 20
"""A campaign set of 1,000 campaigns is well under 1 MiB; decoding must stay bounded on a small computer."""
MAX_NAME_BYTES = 64
"""Of a context and of a key id."""
CAMPAIGNS = "campaigns"
RECEIPT = "receipt"
EXPIRED = "expired"
REGISTRATION = "registration"
POLICY = "policy"
ENROLMENT = "enrolment-request"

_DOMAIN = b"fsd-envelope-1\0"
_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_BYTES, pattern=r"^[\x21-\x7e]+\Z")]


class EnvelopeFault(StrEnum):
    """Why an envelope is refused."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNKNOWN_VERSION = "unknown_version"
    WRONG_CONTEXT = "wrong_context"
    BAD_SIGNATURE = "bad_signature"


class EnvelopeError(Exception):
    """The envelope is refused; ``fault`` says why for machines, the message for people.

    ``key_id`` is the key that an envelope with a bad signature names; empty for other faults.
    """

    def __init__(self, fault: EnvelopeFault, detail: str, key_id: str = "") -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.key_id = key_id


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    context: _Name
    key_id: _Name
    payload: bytes
    sig: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


def key_id_of(public_key: bytes) -> str:
    """First 16 hex digits of the SHA-256 of a raw public key: the name of that key everywhere."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def public_key_of(private_key: bytes) -> bytes:
    """The raw Ed25519 public key, 32 bytes, of a raw private key of 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def seal_envelope(context: str, payload: bytes, key_id: str, private_key: bytes) -> bytes:
    """Sign ``payload`` for ``context`` with a raw Ed25519 key of 32 bytes; raises as :func:`sign_envelope`."""
    return sign_envelope(context, payload, key_id, Ed25519PrivateKey.from_private_bytes(private_key).sign)


def sign_envelope(context: str, payload: bytes, key_id: str, sign: Callable[[bytes], bytes]) -> bytes:
    """Sign ``payload`` for ``context`` with a key that is elsewhere, such as in a token; ``sign`` gives Ed25519.

    Raises :class:`EnvelopeError` when the names or the size could not be opened again.
    """
    if not (_is_name(context) and _is_name(key_id)):
        raise EnvelopeError(
            EnvelopeFault.MALFORMED, f"context and key id must be 1 to {MAX_NAME_BYTES} of ASCII"
        )
    sig = sign(_preimage(context, key_id, payload))
    data = msgspec.msgpack.encode(_Envelope(VERSION, context, key_id, payload, sig))
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(EnvelopeFault.TOO_LARGE, f"{len(data)} bytes, at most {MAX_ENVELOPE_BYTES}")
    return data


def open_envelope(data: bytes, context: str, *public_keys: bytes) -> bytes:
    """The payload, after the context and the signature by one of ``public_keys`` (raw Ed25519) were checked.

    Raises :class:`EnvelopeError`.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(EnvelopeFault.TOO_LARGE, f"{len(data)} bytes, at most {MAX_ENVELOPE_BYTES}")
    try:
        envelope = msgspec.msgpack.decode(data, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EnvelopeError(EnvelopeFault.MALFORMED, str(error)) from error
    if envelope.v != VERSION:
        raise EnvelopeError(
            EnvelopeFault.UNKNOWN_VERSION, f"version {envelope.v}, this software reads {VERSION}"
        )
    if msgspec.msgpack.encode(envelope) != data:
        raise EnvelopeError(EnvelopeFault.MALFORMED, "not the canonical encoding")
    if envelope.context != context:
        raise EnvelopeError(
            EnvelopeFault.WRONG_CONTEXT, f"signed as {envelope.context!r}, expected {context!r}"
        )
    preimage = _preimage(envelope.context, envelope.key_id, envelope.payload)
    if not any(_signed_by(key, envelope.sig, preimage) for key in public_keys):
        names = " or ".join(map(key_id_of, public_keys)) or "any, because none is trusted"
        detail = f"not by key {names} (the envelope names {envelope.key_id!r})"
        raise EnvelopeError(EnvelopeFault.BAD_SIGNATURE, detail, envelope.key_id)
    return envelope.payload


def _signed_by(public_key: bytes, sig: bytes, preimage: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(sig, preimage)
    except InvalidSignature:
        return False
    return True


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME_BYTES and all("!" <= char <= "~" for char in text)


def _preimage(context: str, key_id: str, payload: bytes) -> bytes:
    """Length-prefixed, so that no two triples give the same bytes."""
    names = b"".join(bytes([len(name)]) + name.encode("ascii") for name in (context, key_id))
    return _DOMAIN + names + payload
