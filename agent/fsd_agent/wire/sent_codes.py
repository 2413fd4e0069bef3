r"""The codes that a vehicle remembers of one compartment, as the journal's state keeps them: under that compartment's key.

``"FSDNOVE1"``, a nonce of 12 random bytes, and AES-256-GCM of msgpack ``[[campaign id, maker, source, camera, code, clip id], ...]``,
oldest first. The key comes from the compartment's (``wire.compartment``, use ``novelty``); associated data is the magic. So it is
noise as soon as the compartment's key is destroyed, and in every other compartment's place.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta

from fsd_agent.records.novelty import SENT_MAX, ClipCode, Maker, SentCode, Subject
from fsd_agent.records.purpose import Compartment
from fsd_agent.wire.compartment import use_key

MAGIC: Final = b"FSDNOVE1"
NONCE_BYTES: Final = 12

_Rows = Annotated[tuple[tuple[str, Maker, str, str, bytes, str], ...], Meta(max_length=SENT_MAX)]


class SentCodesError(ValueError):
    """Not these codes: damaged, or of another compartment or of a key that was destroyed."""


def state_key(compartment: Compartment) -> str:
    """Where in the journal's state."""
    return f"novelty/{compartment}"


def seal_sent(sent: Sequence[SentCode], compartment: Compartment, key: bytes) -> bytes:
    """Bytes to keep; ``key`` is the compartment's."""
    rows = [(*_about(one.code.subject), one.code.values, one.clip_id) for one in sent]
    nonce = os.urandom(NONCE_BYTES)
    cipher = AESGCM(use_key(key, compartment, "novelty"))
    return MAGIC + nonce + cipher.encrypt(nonce, msgspec.msgpack.encode(rows), MAGIC)


def open_sent(data: bytes, compartment: Compartment, key: bytes) -> tuple[SentCode, ...]:
    """What :func:`seal_sent` was given. Raises :class:`SentCodesError`."""
    start = len(MAGIC) + NONCE_BYTES
    if not data.startswith(MAGIC) or len(data) < start:
        raise SentCodesError(f"starts with {data[:8]!r}, remembered codes with {MAGIC!r}")
    cipher = AESGCM(use_key(key, compartment, "novelty"))
    try:
        plain = cipher.decrypt(data[len(MAGIC) : start], data[start:], MAGIC)
        rows = msgspec.msgpack.decode(plain, type=_Rows)
        return tuple(
            SentCode(ClipCode(Subject(campaign, maker, source, camera), values), clip_id)
            for campaign, maker, source, camera, values, clip_id in rows
        )
    except InvalidTag:
        raise SentCodesError("not under this key of this compartment") from None
    except (msgspec.DecodeError, ValueError) as error:
        raise SentCodesError(str(error)) from None


def _about(subject: Subject) -> tuple[str, str, str, str]:
    return subject.campaign_id, str(subject.maker), subject.source, subject.camera
