r"""Ledger records, signed heads and checkpoints as bytes.

Format, version 2. A record is msgpack of ``[2, number, wall_ns, mono_ns, kind, {members of the fact}]``; ``kind`` is
the name of the fact's type in ``records/ledger.py``. Only the canonical encoding is read, so a record has one spelling and
an unknown member is refused.

A signed head is msgpack of ``[2, {members of Head}, signature]``, a signed checkpoint the same with ``Checkpoint``. The
signature is the device's Ed25519 (RFC 8032) over ``"fsd-ledger-1 head\0"``, or ``"fsd-ledger-1 checkpoint\0"``, and the
msgpack of the members: neither can be passed off as the other, nor as a manifest or an envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fsd_agent.records.ledger import Checkpoint, Entry, Fact, Head, LiveClip
from fsd_agent.wire.envelope import key_id_of

VERSION = 2
MAX_ENTRY_BYTES = 4096
"""The largest fact holds a receipt of 1 KiB or some names of models."""
MAX_HEAD_BYTES = 1024
MAX_CHECKPOINT_BYTES = 8 << 20
"""At about 120 bytes a clip that is on the vehicle; see ``rules.audit.state.MAX_LIVE``."""

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in get_args(Fact)}

_DOMAINS: dict[type, bytes] = {Head: b"fsd-ledger-1 head\0", Checkpoint: b"fsd-ledger-1 checkpoint\0"}
_Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
_T = TypeVar("_T", Head, Checkpoint)
_decode_clip = msgspec.msgpack.Decoder(LiveClip).decode
_MEMBERS = {
    name: kind for name, kind in get_type_hints(Checkpoint, include_extras=True).items() if name != "live"
}
_APART: Any = tuple[int, msgspec.defstruct("_Apart", [*_MEMBERS.items(), ("live", msgspec.Raw)]), _Signature]  # type: ignore[misc]
"""A signed checkpoint whose clips are not read yet."""


class LedgerFormatError(ValueError):
    """Bytes that are not what they should be; the message says which member and why."""


class LedgerSignatureError(Exception):
    """A head or checkpoint that the device did not sign; the message names the keys."""


_encode = msgspec.msgpack.Encoder().encode
_decode_fact = {name: msgspec.msgpack.Decoder(kind).decode for name, kind in KINDS.items()}


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    v: int
    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    wall_ns: int
    mono_ns: int
    kind: str
    members: msgspec.Raw


_decode_body = msgspec.msgpack.Decoder(_Body).decode


def encode_entry(entry: Entry) -> bytes:
    """The bytes that are chained and hashed. Raises :class:`LedgerFormatError` for what could not be read again."""
    data = _encoded(entry.number, entry.wall_ns, entry.mono_ns, entry.fact)
    _parts(data)  # Its spelling is canonical: what is read of it is what it was made of
    return data


def decode_entry(data: bytes) -> Entry:
    """Read what :func:`encode_entry` wrote; raises :class:`LedgerFormatError`."""
    body, fact = _parts(data)
    if _encoded(body.number, body.wall_ns, body.mono_ns, fact) != data:
        raise LedgerFormatError(f"record {body.number}: not the canonical encoding")
    return Entry(body.number, body.wall_ns, body.mono_ns, fact)


def _encoded(number: int, wall_ns: int, mono_ns: int, fact: Fact) -> bytes:
    members = msgspec.Raw(_encode(fact))
    return _encode(_Body(VERSION, number, wall_ns, mono_ns, type(fact).__name__, members))


def _parts(data: bytes) -> tuple[_Body, Fact]:
    """Whatever its spelling; raises :class:`LedgerFormatError`."""
    if len(data) > MAX_ENTRY_BYTES:
        raise LedgerFormatError(f"a record of {len(data)} bytes, at most {MAX_ENTRY_BYTES}")
    try:
        body = _decode_body(data)
        if body.v != VERSION:
            raise LedgerFormatError(f"record version {body.v}, this software reads {VERSION}")
        if body.kind not in KINDS:
            raise LedgerFormatError(f"kind {body.kind[:40]!r} is not one of {', '.join(sorted(KINDS))}")
        return body, _decode_fact[body.kind](body.members)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerFormatError(f"record: {error}") from error


@dataclass(frozen=True, slots=True)
class Signed(Generic[_T]):
    """A head or checkpoint with the device's signature, **not verified** by decoding."""

    value: _T
    signature: bytes

    def encode(self) -> bytes:
        """Its bytes."""
        return msgspec.msgpack.encode((VERSION, self.value, self.signature))

    def verify(self, public_key: bytes) -> None:
        """Check the signature by a raw Ed25519 key of 32 bytes; raises :class:`LedgerSignatureError`."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(self.signature, _signed_bytes(self.value))
        except InvalidSignature as error:
            raise LedgerSignatureError(f"not signed by device key {key_id_of(public_key)}") from error


def sign_value(value: _T, sign: Callable[[bytes], bytes]) -> Signed[_T]:
    """Sign a head or checkpoint with the device's key (``ports.vehicle_keys``)."""
    return Signed(value, sign(_signed_bytes(value)))


def sign_checkpoint(
    checkpoint: Checkpoint, live: Iterable[LiveClip], sign: Callable[[bytes], bytes]
) -> bytes:
    """``checkpoint``, which has no clips yet, over these ones too, signed and encoded.

    What :func:`sign_value` and :meth:`Signed.encode` make, byte for byte; but the clips, which are its last member, are
    encoded one by one: there may be tens of thousands.
    """
    domain = _DOMAINS[Checkpoint]
    clips, count, encoder = bytearray(), 0, msgspec.msgpack.Encoder()
    for clip in live:
        encoder.encode_into(clip, clips, -1)
        count += 1
    members = encoder.encode(checkpoint).removesuffix(encoder.encode(()))
    signed = b"".join((domain, members, _array_of(count), clips))
    del clips
    signature = encoder.encode(sign(signed))
    return b"".join((b"\x93", encoder.encode(VERSION), memoryview(signed)[len(domain) :], signature))


def _array_of(count: int) -> bytes:
    """How an array of so many begins."""
    return msgspec.msgpack.encode((None,) * count)[: -count or None]


def decode_head(data: bytes) -> Signed[Head]:
    """Read a signed head; raises :class:`LedgerFormatError`."""
    return _decode(data, Head, "head", MAX_HEAD_BYTES)


def decode_checkpoint(data: bytes) -> Signed[Checkpoint]:
    """Read a signed checkpoint; raises :class:`LedgerFormatError`."""
    return _decode(data, Checkpoint, "checkpoint", MAX_CHECKPOINT_BYTES)


def decode_checkpoint_apart(data: bytes) -> tuple[Signed[Checkpoint], Iterator[LiveClip]]:
    """(what :func:`decode_checkpoint` reads, but without clips; the clips), for who wants no object of each.

    Raises :class:`LedgerFormatError` as that does; of what is wrong with a clip, or with their number, when it is their turn.
    """
    apart = _decode_form(data, _APART, "checkpoint", MAX_CHECKPOINT_BYTES)
    members = {name: getattr(apart[1], name) for name in _MEMBERS}
    signed = Signed(Checkpoint(**members, live=()), apart[2])
    signature = msgspec.msgpack.encode(signed.signature)
    start, clips = signed.encode().removesuffix(b"\x90" + signature), apart[1].live
    if not data.startswith(start) or len(data) != len(start) + len(clips) + len(signature):
        raise LedgerFormatError("checkpoint: not the canonical encoding")
    return signed, _clips(clips)


def _clips(data: msgspec.Raw) -> Iterator[LiveClip]:
    try:
        parts = msgspec.msgpack.decode(data, type=list[msgspec.Raw])
        if len(data) != len(_array_of(len(parts))) + sum(map(len, parts)):
            raise LedgerFormatError("checkpoint: not the canonical encoding")
        for part in parts:
            clip = _decode_clip(part)
            if msgspec.msgpack.encode(clip) != bytes(part):
                raise LedgerFormatError(f"checkpoint: clip {clip.clip_id}: not the canonical encoding")
            yield clip
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerFormatError(f"checkpoint: {error}") from error


def _decode(data: bytes, kind: type[_T], name: str, most: int) -> Signed[_T]:
    # The parameters are run-time types: mypy can't follow them.
    form: Any = tuple[int, kind, _Signature]  # type: ignore[valid-type]
    _, value, signature = _decode_form(data, form, name, most)
    signed: Signed[_T] = Signed(value, signature)
    if signed.encode() != data:
        raise LedgerFormatError(f"{name}: not the canonical encoding")
    return signed


def _decode_form(data: bytes, form: Any, name: str, most: int) -> tuple[int, Any, bytes]:
    """Version, value and signature."""
    if len(data) > most:
        raise LedgerFormatError(f"a {name} of {len(data)} bytes, at most {most}")
    try:
        found: tuple[int, Any, bytes] = msgspec.msgpack.decode(data, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerFormatError(f"{name}: {error}") from error
    if found[0] != VERSION:
        raise LedgerFormatError(f"{name}: version {found[0]}, this software reads {VERSION}")
    return found


def _signed_bytes(value: Head | Checkpoint) -> bytes:
    return _DOMAINS[type(value)] + msgspec.msgpack.encode(value)
