"""Consent document: what the user consents to, as firmware writes it down. Nobody signs it: it is the user's own word.

Format, version 1: one JSON object (RFC 8259, UTF-8, at most 4 KiB) with these members and nothing else::

    {"v": 1, "revision": 7, "given": ["automated_driving", "safety"]}

``revision`` grows with every change, so that a restored backup brings no consent back. ``given`` holds purposes of
``records.purpose``, each once; what is not in it is not consented to. A purpose that is unknown makes the whole
document unreadable: nobody can tell what the person was asked. A member given twice is refused.

Firmware replaces the file whole (write another, rename it). Half a document is none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from fsd_agent.records.consent import ConsentFault, ConsentSetting
from fsd_agent.records.purpose import Purpose

MAX_CONSENT_BYTES = 4096
MAX_REVISION = 2**53 - 1
"""Whole in every JSON reader."""


class ConsentError(Exception):
    """The document can't be used; ``fault`` says why for machines, the message names the member for people."""

    def __init__(self, message: str, fault: ConsentFault = ConsentFault.BAD) -> None:
        super().__init__(message)
        self.fault = fault


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    revision: Annotated[int, msgspec.Meta(ge=1, le=MAX_REVISION)]
    given: tuple[Purpose, ...]


def encode_consent(setting: ConsentSetting) -> bytes:
    """The document; raises :class:`ConsentError` if it would be refused."""
    document = _Document(1, setting.revision, tuple(sorted(setting.given)))
    data = msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    decode_consent(data)
    return data


def decode_consent(data: bytes) -> ConsentSetting:
    """Read a document; raises :class:`ConsentError`."""
    if len(data) > MAX_CONSENT_BYTES:
        raise ConsentError(f"more than {MAX_CONSENT_BYTES} bytes", ConsentFault.TOO_LARGE)
    try:
        raw = json.loads(data.decode("utf-8"), object_pairs_hook=_members_once)
    except (ValueError, RecursionError) as error:  # json and UTF-8 errors are ValueErrors
        raise ConsentError(f"not JSON: {error}") from error
    try:
        document = msgspec.convert(raw, _Document)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # JSON can spell half a character
        raise ConsentError(str(error)) from error
    given = frozenset(document.given)
    if len(given) != len(document.given):
        raise ConsentError("given: a purpose is named twice")
    return ConsentSetting(document.revision, given)


def _members_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ConsentError("a member is given twice")
    return members
