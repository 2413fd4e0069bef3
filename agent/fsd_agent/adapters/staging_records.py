"""Format of a staging file: a header and encrypted records, readable up to wherever a power cut left it.

    header   magic "FSDSTG" | version u16 | clip id 16 | file nonce 32 | check 16
    record   mark 8 | index u32 | sequence u32 | synced u32 | length u32 | AES-256-GCM ciphertext with tag

Integers are big-endian. ``check``, ``mark`` and the file's AES key come from HKDF-SHA256 (RFC 5869) over the
staging key of the clip's compartment (``wire.compartment``), salted with the file nonce and bound to the clip id; a header whose check differs is
damaged or another clip's, compartment's or device's. ``index`` counts records from 0. ``sequence`` is the GCM nonce and grows with every
attempt to write, so that a record written again after a full disk never reuses one. ``synced`` is how many
records were known to be on the medium when this one was written. The prefix is authenticated with the part.

Reading stops at the first record that is short or does not authenticate. That is a torn end, as a power cut
leaves it - pages that were not synced may be missing in any order - unless a later, authentic record says that
the bad one had been synced: then the medium has lost what it confirmed. Later records are found by ``mark``,
which nobody without the key can place, so that damage to a length can't hide them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = 1
NONCE_BYTES = 32
MAX_PART_BYTES = 256 << 20
"""A part is held in memory whole; a second of eight cameras is far below."""
_MAGIC = b"FSDSTG"
_HEADER = struct.Struct(">6sH16s32s16s")
_PREFIX = struct.Struct(">8sIIII")
_TAG_BYTES = 16
HEADER_BYTES = _HEADER.size

_SEARCH_BYTES = 1 << 20


class RandomAccess(Protocol):
    """A staging file. Not a memory map: a bad sector under a map kills the process, here it is an error."""

    size: int

    def at(self, offset: int, length: int) -> bytes:
        """``length`` bytes, fewer at the end of the file."""
        ...


class DamagedError(ValueError):
    """What the medium had confirmed can't be read; says what."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read. ``end`` is the offset after it."""

    index: int
    synced: int
    part: bytes
    end: int


class RecordCipher:
    """Keys of one staging file, and its header."""

    def __init__(self, staging_key: bytes, clip_id: str, nonce: bytes) -> None:
        """``staging_key`` 32 bytes, ``nonce`` 32 random bytes of this file."""
        self._clip = bytes.fromhex(clip_id)
        info = b"fsd staging v1\x00" + self._clip
        derived = HKDF(algorithm=SHA256(), length=56, salt=nonce, info=info).derive(staging_key)
        self._gcm = AESGCM(derived[:32])
        self._mark = derived[32:40]
        self.header = _HEADER.pack(_MAGIC, VERSION, self._clip, nonce, derived[40:])

    def encode(self, part: bytes, *, index: int, sequence: int, synced: int) -> bytes:
        """One record."""
        prefix = _PREFIX.pack(self._mark, index, sequence, synced, len(part) + _TAG_BYTES)
        return prefix + self._gcm.encrypt(_nonce(sequence), part, self._clip + prefix)

    def decode(self, file: RandomAccess, offset: int) -> Record | None:
        """The record at ``offset``; None when it is short, not authentic, or the file ends there."""
        prefix = file.at(offset, _PREFIX.size)
        if len(prefix) < _PREFIX.size:
            return None
        mark, index, sequence, synced, length = _PREFIX.unpack(prefix)
        start = offset + _PREFIX.size
        end = start + length
        if mark != self._mark or length > MAX_PART_BYTES + _TAG_BYTES or end > file.size:
            return None
        try:
            part = self._gcm.decrypt(_nonce(sequence), file.at(start, length), self._clip + prefix)
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            return None
        return Record(index, synced, part, end)

    def claimed_later(self, file: RandomAccess, offset: int, index: int) -> bool:
        """Whether an authentic record from ``offset`` on says that record ``index`` had been synced."""
        for at in self._marks_from(file, offset):
            record = self.decode(file, at)
            if record is not None and record.synced > index:
                return True
        return False

    def _marks_from(self, file: RandomAccess, offset: int) -> Iterator[int]:
        """Offsets from ``offset`` on at which the file's mark stands."""
        start = offset
        while start < file.size:
            window = file.at(start, _SEARCH_BYTES)
            found = window.find(self._mark)
            if found >= 0:
                yield start + found
                start += found + 1
            else:  # a mark may lie across the edge
                start += max(len(window) - len(self._mark) + 1, 1)


def read_records(file: RandomAccess, staging_key: bytes, clip_id: str) -> Iterator[bytes]:
    """Every whole part of a staging file; see the module. Raises :class:`DamagedError`."""
    header = file.at(0, HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return  # the header is synced before anything else: nothing was ever confirmed here
    magic, version, _, nonce, _ = _HEADER.unpack(header)
    if magic == _MAGIC and version > VERSION:
        raise DamagedError(f"staging format {version} is newer than {VERSION}: written by a newer agent")
    cipher = RecordCipher(staging_key, clip_id, nonce)
    if header != cipher.header:
        raise DamagedError("the header is damaged, or of another clip, compartment or device")
    offset, index = HEADER_BYTES, 0
    while offset < file.size:
        record = cipher.decode(file, offset)
        if record is None or record.index != index:
            if cipher.claimed_later(file, offset, index):
                raise DamagedError(f"record {index} at byte {offset} was synced and is damaged")
            return
        yield record.part
        offset, index = record.end, index + 1


def _nonce(sequence: int) -> bytes:
    """96-bit GCM nonce; unique for as long as ``sequence`` is unique under one file's key."""
    return sequence.to_bytes(12, "big")
