"""Reading a drive from its beginning, a chunk (about a second) at a time: memory stays flat.

The file is read as a stream, never through the index at its end, so that a file that is cut off is read like
any other: every complete chunk is given, then :class:`DriveCut` says where the drive ends, and why.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard
from mcap.exceptions import InvalidMagic, McapError
from mcap.records import Attachment, Chunk, DataEnd, Header, McapRecord, Metadata
from mcap.stream_reader import CRCValidationError, StreamReader

from fsd_firmware.contract import VehicleDescription
from fsd_firmware.drive import format as fmt
from fsd_firmware.drive.chunk import ChunkDecoder
from fsd_firmware.drive.description import decode_description
from fsd_firmware.drive.ticks import in_ticks
from fsd_firmware.samples import SensedBatch

_FOREIGN: Final = (
    McapError,
    CRCValidationError,
    struct.error,
    UnicodeDecodeError,
    zstandard.ZstdError,
    MemoryError,
    EOFError,
)
"""What the library raises on bytes that are cut off or damaged; nothing else is taken for damage."""


class _DamagedError(Exception):
    """The record that begins at ``byte`` can't be read."""

    def __init__(self, byte: int, error: BaseException) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.byte = byte


@dataclass(frozen=True, slots=True)
class DriveInfo:
    """What a drive says about itself."""

    name: str
    wall_minus_mono_ns: int
    origin: Mapping[str, str]


class DriveReader:
    """One drive file.

    Opening reads what stands before the first chunk. Raises :class:`DriveError` naming the file when it can't
    be read, isn't a drive, is of another version, or ends before its description does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attachments: dict[str, bytes] = {}
        self.info: DriveInfo
        self.description: VehicleDescription
        self._read_head()

    def chunks(self) -> Iterator[SensedBatch]:
        """The drive, about a second a batch, in time order, without raw frames.

        Raises :class:`DriveCut` after the last complete chunk of a file that is cut off or damaged, and
        :class:`DriveError` when a chunk is whole but isn't what the format says.
        """
        decoder = ChunkDecoder(
            wall_minus_mono_ns=self.info.wall_minus_mono_ns,
            signal_count=len(self.description.catalogue.entries),
            cameras=frozenset(camera.name for camera in self.description.cameras),
        )
        ends_ns: int | None = None
        try:
            for byte, record in self._records():
                if isinstance(record, Chunk):
                    batch = self._decode(decoder, record, byte)
                    if batch is not None:
                        ends_ns = batch.until_ns
                        yield batch
        except _DamagedError as damage:
            raise self._cut(ends_ns, damage) from damage

    def batches(self, tick_ns: int) -> Iterator[SensedBatch]:
        """The drive cut into ticks; raises as :meth:`chunks`, after the last batch that could be read."""
        return in_ticks(self.chunks(), tick_ns)

    def _read_head(self) -> None:
        metadata: dict[str, dict[str, str]] = {}
        try:
            for _byte, record in self._records():
                if isinstance(record, Header) and record.profile != fmt.PROFILE:
                    raise self._bad(f"MCAP profile is {record.profile!r}, not {fmt.PROFILE!r}")
                if isinstance(record, Metadata):
                    metadata[record.name] = record.metadata
                elif isinstance(record, Attachment):
                    self.attachments[record.name] = record.data
                elif isinstance(record, Chunk | DataEnd):
                    break
        except _DamagedError as damage:
            raise self._cut(None, damage) from damage
        head = metadata.get(fmt.META_DRIVE)
        if head is None:
            raise self._bad(f"metadata {fmt.META_DRIVE!r} is missing")
        if head.get("version") != str(fmt.VERSION):
            raise self._bad(f"version: {head.get('version')!r}; this software reads {fmt.VERSION}")
        try:
            wall_minus_mono_ns = int(head["wall_minus_mono_ns"])
            self.info = DriveInfo(head["name"], wall_minus_mono_ns, metadata.get(fmt.META_ORIGIN, {}))
        except (KeyError, ValueError) as error:
            raise self._bad(f"metadata {fmt.META_DRIVE!r}: {error}") from None
        self._check_attachments(head)

    def _check_attachments(self, head: Mapping[str, str]) -> None:
        for name, data in self.attachments.items():
            if head.get(fmt.SHA256_KEY + name) != hashlib.sha256(data).hexdigest():
                raise self._bad(
                    f"attachment {name} is damaged: its SHA-256 differs from what the drive states"
                )
        if fmt.ATTACHMENT_DESCRIPTION not in self.attachments:
            raise self._bad(f"attachment {fmt.ATTACHMENT_DESCRIPTION} is missing")
        try:
            self.description = decode_description(self.attachments[fmt.ATTACHMENT_DESCRIPTION])
        except ValueError as error:
            raise self._bad(str(error)) from error

    def _decode(self, decoder: ChunkDecoder, chunk: Chunk, byte: int) -> SensedBatch | None:
        try:
            return decoder.decode(chunk)
        except _FOREIGN as error:
            raise _DamagedError(byte, error) from error
        except fmt.BadMessage as error:
            raise self._bad(str(error)) from error

    def _records(self) -> Iterator[tuple[int, McapRecord]]:
        """Each record with the byte where it begins; ends after the footer and the closing magic."""
        byte = 0
        try:
            with self.path.open("rb") as file:
                reader = StreamReader(
                    file, emit_chunks=True, validate_crcs=True, record_size_limit=fmt.MAX_RECORD_BYTES
                )
                for record in reader.records:
                    yield byte, record
                    byte = file.tell()
        except CRCValidationError as error:
            # Chunks are checked one by one; this is the sum over the file, such as a chunk that was removed.
            raise self._bad(f"damaged: {error}") from error
        except _FOREIGN as error:
            if byte == 0 and isinstance(error, InvalidMagic):
                raise self._bad("not a drive: it doesn't begin as an MCAP file") from error
            raise _DamagedError(byte, error) from error
        except OSError as error:
            raise self._bad(f"can't be read: {error.strerror or error}") from error

    def _bad(self, reason: str) -> fmt.DriveError:
        return fmt.DriveError(f"{self.path}: {reason}")

    def _cut(self, ends_ns: int | None, damage: _DamagedError) -> fmt.DriveCut:
        if damage.byte == 0:
            message = f"{self.path}: empty or cut off at once, if it is a drive at all"
            return fmt.DriveCut(message, ends_ns=None, byte=0)
        if ends_ns is None:
            upto = "nothing before it can be replayed"
        else:
            upto = f"everything before {ends_ns / 1e9:.1f} s (vehicle time) is there"
        message = f"{self.path}: cut off or damaged in what begins at byte {damage.byte}: {upto} ({damage})"
        return fmt.DriveCut(message, ends_ns=ends_ns, byte=damage.byte)
