r"""A ledger segment as a file: a signed checkpoint, then frames.

Format, version 1, integers big-endian::

    magic       "FSDLEDG1"
    checkpoint  u32 length, signed checkpoint (``wire/ledger.py``): everything before this segment
    frame ...   mark f5 1e d6 e7 | kind u8 | length u24 | confirmed u64 | body | check 32

``kind`` 1 is a record, 2 a signed head over every record above it. ``check`` chains: for a record it is
``SHA-256("fsd-ledger-1 record\0" || check of the record before || frame without check)``, the first record going on from
the checkpoint's chain; for a head the same with ``"fsd-ledger-1 signed\0"``, but the next record does not go on from it.
``confirmed`` is the number of the first record that the medium had not yet confirmed when the frame was written.

A frame is taken as whole only if its body can be read, or the next mark or the end of the file follows it directly, so
damage to a length can't hide its neighbours: reading goes on at the next mark behind which a frame makes sense, and says
what it passed over.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fsd_agent.records.ledger import Checkpoint, LiveClip
from fsd_agent.wire.ledger import (
    MAX_CHECKPOINT_BYTES,
    MAX_ENTRY_BYTES,
    MAX_HEAD_BYTES,
    LedgerFormatError,
    Signed,
    decode_checkpoint,
    decode_checkpoint_apart,
    decode_entry,
    decode_head,
)

MAGIC = b"FSDLEDG1"
MARK = b"\xf5\x1e\xd6\xe7"
RECORD = 1
HEAD = 2
CHECK_BYTES = 32

_LENGTH = struct.Struct(">I")
_PREFIX = struct.Struct(">4sIQ")
_DOMAINS = {RECORD: b"fsd-ledger-1 record\0", HEAD: b"fsd-ledger-1 signed\0"}

START_CHAIN = bytes(CHECK_BYTES)
"""Chain before record 0."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it stands in a file; neither its check nor its body is judged."""

    offset: int
    kind: int
    confirmed: int
    signed: bytes
    """The frame without its check."""
    check: bytes

    @property
    def body(self) -> bytes:
        """Record or signed head."""
        return self.signed[_PREFIX.size :]

    @property
    def end(self) -> int:
        """Offset behind it."""
        return self.offset + len(self.signed) + CHECK_BYTES

    def continues(self, chain: bytes) -> bool:
        """Whether the check is what follows from the check of the record before."""
        return self.check == frame_check(self.kind, chain, self.signed)


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes between or behind frames that are none."""

    offset: int
    length: int
    last: bool
    """Nothing whole follows: what a power cut leaves, where the bytes were not confirmed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A file, read but not judged."""

    checkpoint: Signed[Checkpoint]
    start_bytes: int
    """What comes before the first frame."""
    frames: tuple[Frame, ...]
    gaps: tuple[Gap, ...]


def frame_check(kind: int, chain: bytes, signed: bytes) -> bytes:
    """See the module."""
    return hashlib.sha256(_DOMAINS[kind] + chain + signed).digest()


def encode_start(checkpoint: Signed[Checkpoint]) -> bytes:
    """How a segment begins."""
    return b"".join(start_parts(checkpoint.encode()))


def start_parts(checkpoint: bytes) -> tuple[bytes, bytes]:
    """The same in two parts, of an encoded checkpoint, which may be large."""
    return MAGIC + _LENGTH.pack(len(checkpoint)), checkpoint


def encode_frame(kind: int, body: bytes, chain: bytes, confirmed: int) -> tuple[bytes, bytes]:
    """(frame, its check)."""
    signed = _PREFIX.pack(MARK, kind << 24 | len(body), confirmed) + body
    check = frame_check(kind, chain, signed)
    return signed + check, check


def read_start(data: bytes) -> tuple[Signed[Checkpoint], int]:
    """(checkpoint, offset of the first frame); raises :class:`LedgerFormatError` where a file does not begin so."""
    encoded, start = _checkpoint_in(data)
    return decode_checkpoint(encoded), start


def _checkpoint_in(data: bytes) -> tuple[bytes, int]:
    if not data.startswith(MAGIC):
        raise LedgerFormatError(f"starts with {data[: len(MAGIC)]!r}, a ledger segment with {MAGIC!r}")
    start = len(MAGIC) + _LENGTH.size
    length = _LENGTH.unpack_from(data, len(MAGIC))[0] if len(data) >= start else 0
    if not 0 < length <= MAX_CHECKPOINT_BYTES or len(data) < start + length:
        raise LedgerFormatError(f"ends in its checkpoint, or names a length of {length} bytes for it")
    return data[start : start + length], start + length


def read_segment(data: bytes) -> Segment:
    """Read a whole file; raises :class:`LedgerFormatError` when it does not begin as a segment does."""
    checkpoint, start = read_start(data)
    return _segment(data, checkpoint, start)


def read_segment_apart(data: bytes) -> tuple[Segment, Iterator[LiveClip]]:
    """The same, but its checkpoint has no clips, which come one by one: see ``decode_checkpoint_apart``."""
    encoded, start = _checkpoint_in(data)
    checkpoint, clips = decode_checkpoint_apart(encoded)
    return _segment(data, checkpoint, start), clips


def _segment(data: bytes, checkpoint: Signed[Checkpoint], start: int) -> Segment:
    frames: list[Frame] = []
    gaps: list[Gap] = []
    for part in _parts(data, start):
        if isinstance(part, Frame):
            frames.append(part)
        else:
            gaps.append(part)
    return Segment(checkpoint, start, tuple(frames), tuple(gaps))


def _parts(data: bytes, offset: int) -> Iterator[Frame | Gap]:
    while offset < len(data):
        frame = _frame(data, offset)
        if frame is not None and _whole(data, frame):
            yield frame
            offset = frame.end
            continue
        following = _resume(data, offset + 1)
        end = len(data) if following is None else following
        yield Gap(offset, end - offset, last=following is None)
        offset = end


def _frame(data: bytes, offset: int) -> Frame | None:
    """The frame at ``offset``, if there is room for one."""
    if len(data) < offset + _PREFIX.size:
        return None
    mark, word, confirmed = _PREFIX.unpack_from(data, offset)
    kind, length = word >> 24, word & 0xFFFFFF
    if (
        mark != MARK
        or kind not in _DOMAINS
        or length > (MAX_ENTRY_BYTES if kind == RECORD else MAX_HEAD_BYTES)
    ):
        return None
    end = offset + _PREFIX.size + length
    if len(data) < end + CHECK_BYTES:
        return None
    return Frame(offset, kind, confirmed, data[offset:end], data[end : end + CHECK_BYTES])


def _whole(data: bytes, frame: Frame) -> bool:
    return frame.end == len(data) or data.startswith(MARK, frame.end) or _readable(frame)


def _resume(data: bytes, offset: int) -> int | None:
    """Where the next frame with a readable body begins."""
    while (offset := data.find(MARK, offset)) >= 0:
        frame = _frame(data, offset)
        if frame is not None and _readable(frame):
            return offset
        offset += 1
    return None


def _readable(frame: Frame) -> bool:
    try:
        if frame.kind == RECORD:
            decode_entry(frame.body)
        else:
            decode_head(frame.body)
    except LedgerFormatError:
        return False
    return True
