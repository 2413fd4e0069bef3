r"""Transfers that are not complete yet, on disk, so that a restart of the receiver loses nothing.

Two files a clip in ``incoming/<vehicle>/``::

    <clip id>.part   the sealed file, written at its offsets (sparse until complete)
    <clip id>.have   "FSDHAVE1", size (u64), segment size (u32), both big-endian, what the whole is known by
                     (:mod:`fsd_agent.wire.pieces`), and one byte a segment: 1 once it was written

Nothing here is fsynced: after a power cut a segment may be marked and yet be missing, but the hash of the whole is
checked before anything is believed, and a transfer that fails it starts again. A vehicle can only reach its own
folder, and its clips there are bounded in number (the one untouched for longest makes room) and in size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fsd_agent.wire.pieces import is_known_by
from fsd_agent.wire.transfer import RANGES_MAX, Fin, Init

TRANSFERS_MAX = 16
"""Per vehicle; the agent has at most 12 open."""

_MAGIC = b"FSDHAVE1"
_HEAD = struct.Struct(">8sQI32s")
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Whole:
    """What a transfer is to become."""

    size: int
    segment_bytes: int
    sha256: bytes
    """What it is known by: :mod:`fsd_agent.wire.pieces`."""

    @classmethod
    def of(cls, message: Init | Fin) -> Whole:
        """As a vehicle announced it."""
        return cls(message.size, message.segment_bytes, message.sha256)

    @property
    def segments(self) -> int:
        """Count segments."""
        return -(-self.size // self.segment_bytes)


class Transfer:
    """One clip under way. ``OSError`` passes through: the disk's trouble is the caller's to report."""

    def __init__(self, part: Path, have: Path, whole: Whole, got: bytearray) -> None:
        self.whole = whole
        self._part = part
        self._have = have
        self._got = got
        self._missing = got.count(0)

    @classmethod
    def begin(cls, part: Path, have: Path, whole: Whole) -> Transfer:
        """Make (or make anew) the files of a transfer of which nothing is there."""
        part.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        got = bytearray(whole.segments)
        head = _HEAD.pack(_MAGIC, whole.size, whole.segment_bytes, whole.sha256)
        have.write_bytes(head + got)
        with part.open("wb") as file:
            file.truncate(whole.size)
        return cls(part, have, whole, got)

    @classmethod
    def resume(cls, part: Path, have: Path) -> Transfer | None:
        """Take up what is on disk; None when there is nothing, or nothing that makes sense."""
        try:
            data = have.read_bytes()
            size_on_disk = part.stat().st_size
        except FileNotFoundError:
            return None
        if len(data) < _HEAD.size:
            return None
        magic, size, segment_bytes, sha256 = _HEAD.unpack_from(data)
        if magic != _MAGIC or not size or not segment_bytes or size_on_disk != size:
            return None
        whole = Whole(size, segment_bytes, sha256)
        got = bytearray(data[_HEAD.size :])
        return cls(part, have, whole, got) if len(got) == whole.segments else None

    def write(self, offset: int, data: bytes) -> bool:
        """Keep one segment; False when it is not one of this transfer (offset or length are off the grid)."""
        number, off_grid = divmod(offset, self.whole.segment_bytes)
        expected = min(self.whole.segment_bytes, self.whole.size - offset)
        if off_grid or expected <= 0 or len(data) != expected:
            return False
        if self._got[number]:
            return True
        with self._part.open("r+b", buffering=0) as file:
            _write_at(file.fileno(), offset, data)
        with self._have.open("r+b", buffering=0) as file:
            _write_at(file.fileno(), _HEAD.size + number, b"\1")
        self._got[number] = 1
        self._missing -= 1
        return True

    @property
    def complete(self) -> bool:
        """Every segment was written."""
        return self._missing == 0

    def missing(self) -> tuple[tuple[int, int], ...]:
        """Byte ranges that are not there, joined; the first :data:`RANGES_MAX` of them."""
        ranges: list[tuple[int, int]] = []
        at = self._got.find(0)
        while at >= 0 and len(ranges) < RANGES_MAX:
            end = self._got.find(1, at)
            end = len(self._got) if end < 0 else end
            step = self.whole.segment_bytes
            ranges.append((at * step, min(end * step, self.whole.size)))
            at = self._got.find(0, end)
        return tuple(ranges)

    def intact(self) -> bool:
        """Whether the bytes on disk are the announced ones."""
        return is_known_by(self.whole.sha256, self._read)

    def _read(self) -> Iterator[bytes]:
        with self.open() as file:
            while part := file.read(_READ_BYTES):
                yield part

    def open(self) -> BinaryIO:
        """The sealed file, for reading."""
        return self._part.open("rb")

    def discard(self) -> None:
        """Remove its files."""
        self._have.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)


class Incoming:
    """Every transfer under way. Vehicle and clip ids must be checked names."""

    def __init__(
        self,
        root: Path,
        transfers_max: int = TRANSFERS_MAX,
        on_discard: Callable[[str, str], None] = lambda _vehicle, _clip_id: None,
    ) -> None:
        """``on_discard`` is told (vehicle, clip id) of each transfer that is thrown away."""
        self._root = root
        self._on_discard = on_discard
        self._transfers_max = transfers_max
        self._open: dict[str, dict[str, Transfer]] = {}

    def find(self, vehicle: str, clip_id: str) -> Transfer | None:
        """A transfer under way; it counts as touched."""
        mine = self._of(vehicle)
        transfer = mine.pop(clip_id, None)
        if transfer is not None:
            mine[clip_id] = transfer
        return transfer

    def begin(self, vehicle: str, clip_id: str, whole: Whole) -> Transfer:
        """The transfer of exactly this; one of other content under the same id is thrown away."""
        known = self.find(vehicle, clip_id)
        if known is not None and known.whole == whole:
            return known
        mine = self._of(vehicle)
        if known is None:
            while len(mine) >= self._transfers_max:
                self.discard(vehicle, next(iter(mine)))
        mine[clip_id] = Transfer.begin(*self._paths(vehicle, clip_id), whole)
        return mine[clip_id]

    def discard(self, vehicle: str, clip_id: str) -> None:
        """Throw a transfer away."""
        transfer = self._of(vehicle).pop(clip_id, None)
        if transfer is not None:
            transfer.discard()
            self._on_discard(vehicle, clip_id)

    def _of(self, vehicle: str) -> dict[str, Transfer]:
        """A vehicle's transfers, the one untouched for longest first; read from disk when first asked for."""
        if vehicle not in self._open:
            self._open[vehicle] = self._load(vehicle)
        return self._open[vehicle]

    def _load(self, vehicle: str) -> dict[str, Transfer]:
        folder = self._root / vehicle
        found = list(folder.iterdir()) if folder.is_dir() else []
        loaded: dict[str, Transfer] = {}
        for have in sorted((path for path in found if path.suffix == ".have"), key=_touched):
            transfer = Transfer.resume(have.with_suffix(".part"), have)
            if transfer is not None:
                loaded[have.stem] = transfer
        for path in found:
            if path.stem not in loaded:
                path.unlink(missing_ok=True)
        return loaded

    def _paths(self, vehicle: str, clip_id: str) -> tuple[Path, Path]:
        folder = self._root / vehicle
        return folder / f"{clip_id}.part", folder / f"{clip_id}.have"


def _touched(path: Path) -> int:
    return path.stat().st_mtime_ns


def _write_at(descriptor: int, offset: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], offset + done)
