"""Spool files as agents from before wrote them, for tests of what reads them: versions 1 to 3 (``wire.spool_file_before``)."""

from __future__ import annotations

import hashlib
from typing import Literal

from fsd_agent.records.clip import SealedFile
from fsd_agent.records.purpose import Compartment
from fsd_agent.wire.pieces import PIECE_BYTES, FileIdentity, count_pieces
from fsd_agent.wire.spool_head import SpoolHead, SpoolHeader

Before = Literal[1, 2, 3]


def encode_as_before(
    file: SealedFile, compartment: Compartment, clip_id: str, *, key: bytes, salt: bytes, version: Before
) -> bytes:
    """The whole file."""
    content = b"".join(file.chunks)
    header = SpoolHeader(version, compartment.region_id, compartment.purpose, clip_id, len(content), salt)
    head, start = SpoolHead.begin(header, file.content_key, key=key)
    parts, last = [start], count_pieces(len(content)) - 1
    for number in range(last + 1):
        chunk = content[number * PIECE_BYTES :][:PIECE_BYTES]
        nonce = bytes(7) + number.to_bytes(4, "big") + bytes([number == last])
        parts.append(head.cipher.encrypt(nonce, chunk, head.bound))
    if version > 1:
        known = identity_before(content, version)
        hashes = known.sha256 if version == 2 else known.pieces
        parts.append(head.cipher.encrypt(bytes(11) + b"\2", hashes, head.bound))
    return b"".join(parts)


def identity_before(content: bytes, version: Before) -> FileIdentity:
    """What files of that version are known by."""
    return FileIdentity.of(content) if version == 3 else FileIdentity(hashlib.sha256(content).digest())
