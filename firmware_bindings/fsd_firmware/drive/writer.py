"""Writing a drive: samples come in about in order, cells leave in order, and only a whole file gets the name.

Callers write slices of at most about a second, all channels of one second before the next: a sample may be up
to ``REORDER_NS`` older than the newest one, and on its own channel never older than the one before.

The file grows as ``<name>.part`` beside its place. A clean end of the ``with`` block syncs it, gives it its
name and syncs the folder; an exception removes it. There is never a half file under the final name.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
from mcap.writer import CompressionType, Writer

from fsd_firmware.can_frames import CanFrames
from fsd_firmware.contract import VehicleDescription
from fsd_firmware.drive import format as fmt
from fsd_firmware.drive.cell import Cell, Outgoing
from fsd_firmware.drive.columns import detection_rows, rows, spans
from fsd_firmware.drive.description import encode_description
from fsd_firmware.drive.descriptors import descriptor_set
from fsd_firmware.drive.features import feature_rows
from fsd_firmware.samples import Detections, EncodedPacket, Features, GnssFixes, ModeChange, Signals

REORDER_NS: Final = 2_000_000_000
"""Cells are held back this long for channels that lag: a slice of a second, twice."""
UNCHUNKED: Final = 1 << 62
"""The library must not close chunks by itself, because chunks hold whole cells."""


class DriveWriter:
    """Writes one drive; a context manager, used by one thread.

    ``origin`` and ``attachments`` go into the file as they are; the description's attachment is added here.
    Raises ``ValueError`` for samples that break the rules above or the description, :class:`DriveError` when
    the file can't be written.
    """

    def __init__(
        self,
        path: Path,
        description: VehicleDescription,
        *,
        name: str,
        wall_minus_mono_ns: int,
        origin: Mapping[str, str],
        attachments: Mapping[str, bytes],
    ) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._signal_count = len(description.catalogue.entries)
        self._cameras = frozenset(camera.name for camera in description.cameras)
        self._name = name
        self._origin = dict(origin)
        self._wall_minus_mono_ns = wall_minus_mono_ns
        self._attachments = {fmt.ATTACHMENT_DESCRIPTION: encode_description(description), **attachments}
        if fmt.ATTACHMENT_DESCRIPTION in attachments:
            raise ValueError(
                f"{path}: attachment {fmt.ATTACHMENT_DESCRIPTION} is written by the writer itself"
            )
        self._cells: dict[int, Cell] = {}
        self._next_cell = 0
        self._latest_ns = -1
        self._last_ns: dict[str, int] = {}
        self._since_key: dict[str, int] = {}
        self._channels: dict[str, int] = {}
        self._chunk_cells = 0
        self._chunk_bytes = 0
        self._file: IO[bytes] | None = None
        self._mcap: Writer | None = None

    def __enter__(self) -> Self:
        with self._translated():
            if self._path.is_dir():  # now, not after an hour of writing
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._file = self._part.open("wb")
            self._mcap = Writer(
                self._file,
                chunk_size=UNCHUNKED,
                compression=CompressionType.ZSTD,
                enable_data_crcs=True,
            )
            self._mcap.start(profile=fmt.PROFILE)
            digests = {
                fmt.SHA256_KEY + name: hashlib.sha256(data).hexdigest()
                for name, data in self._attachments.items()
            }
            head = {
                "version": str(fmt.VERSION),
                "name": self._name,
                "wall_minus_mono_ns": str(self._wall_minus_mono_ns),
            }
            self._mcap.add_metadata(fmt.META_DRIVE, {**head, **digests})
            self._mcap.add_metadata(fmt.META_ORIGIN, self._origin)
            for name, data in self._attachments.items():
                self._mcap.add_attachment(0, 0, name, _media_type(name), data)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            file, self._file, self._mcap = self._file, None, None
            if file is not None:
                # A full disk makes closing fail too, on bytes that are thrown away in any case.
                with suppress(OSError):
                    file.close()
            self._part.unlink(missing_ok=True)

    def write_can(self, frames: CanFrames) -> None:
        """Add received frames, of either width."""
        fmt.check_can_lengths(frames)
        self._put(
            fmt.TOPIC_CAN, frames.t_ns, lambda cell, low, high: cell.can.append(rows(frames, low, high))
        )

    def write_signals(self, signals: Signals) -> None:
        """Add samples that the vehicle gives already decoded."""
        if len(signals) and not (signals.signal.min() >= 0 and signals.signal.max() < self._signal_count):
            raise ValueError(f"signals: the catalogue has rows 0 to {self._signal_count - 1}")
        self._put(
            fmt.TOPIC_SIGNALS,
            signals.t_ns,
            lambda cell, low, high: cell.signals.append(rows(signals, low, high)),
        )

    def write_gnss(self, fixes: GnssFixes) -> None:
        """Add fixes."""
        self._put(
            fmt.TOPIC_GNSS, fixes.t_ns, lambda cell, low, high: cell.gnss.append(rows(fixes, low, high))
        )

    def write_detections(self, detections: Detections) -> None:
        """Add what one source saw on one camera, frames without boxes included."""
        self._check_camera(detections.camera)
        self._put(
            f"{fmt.DETECTIONS_PREFIX}{detections.camera} of {detections.source}",
            detections.frame_t_ns,
            lambda cell, low, high: cell.detections.append(detection_rows(detections, low, high)),
        )

    def write_features(self, features: Features) -> None:
        """Add what one network knew of one camera's pictures."""
        self._check_camera(features.camera)
        self._put(
            f"{fmt.FEATURES_PREFIX}{features.camera} of {features.source}",
            features.t_ns,
            lambda cell, low, high: cell.features.append(feature_rows(features, low, high)),
        )

    def write_packet(self, packet: EncodedPacket) -> None:
        """Add one encoded video frame."""
        self._check_camera(packet.camera)
        if packet.codec not in fmt.CODECS:
            raise ValueError(f"camera {packet.camera}: codec {packet.codec!r} is not one a drive holds")
        since = 0 if packet.keyframe else self._since_key.get(packet.camera, 0) + 1
        self._put(
            fmt.CAMERA_PREFIX + packet.camera,
            np.array([packet.t_ns], np.int64),
            lambda cell, _low, _high: cell.packets.append((packet, since)),
        )
        self._since_key[packet.camera] = since

    def write_mode(self, change: ModeChange) -> None:
        """Add a change of mode."""
        self._put(
            fmt.TOPIC_MODE,
            np.array([change.t_ns], np.int64),
            lambda cell, _low, _high: cell.modes.append(change),
        )

    def _check_camera(self, camera: str) -> None:
        if camera not in self._cameras:
            raise ValueError(f"camera {camera!r} is not in the vehicle's description")

    def _put(self, channel: str, t_ns: Any, add: Callable[[Cell, int, int], None]) -> None:
        if self._mcap is None:
            raise ValueError(f"{self._path}: a drive is written inside its with block")
        if not len(t_ns):
            return
        first, last = int(t_ns[0]), int(t_ns[-1])
        if first < self._last_ns.get(channel, 0) or (np.diff(t_ns) < 0).any():
            raise ValueError(f"{channel}: time runs backwards or is negative at {first} ns")
        if first // fmt.CELL_NS < self._next_cell:
            raise ValueError(f"{channel}: {first} ns is more than {REORDER_NS} ns older than other channels")
        self._last_ns[channel] = last
        for number, low, high in spans(t_ns, fmt.CELL_NS):
            add(self._cells.setdefault(number, Cell()), low, high)
        self._latest_ns = max(self._latest_ns, last)
        self._emit((self._latest_ns - REORDER_NS) // fmt.CELL_NS)

    def _emit(self, before_cell: int) -> None:
        """Write all cells before ``before_cell``."""
        ready = sorted(number for number in self._cells if number < before_cell)
        with self._translated():
            for number in ready:
                for message in self._cells.pop(number).messages():
                    self._add(message)
                self._chunk_cells += 1
                if self._chunk_cells >= fmt.CHUNK_CELLS or self._chunk_bytes >= fmt.CHUNK_BYTES:
                    self._close_chunk()
        self._next_cell = max(self._next_cell, before_cell)

    def _add(self, message: Outgoing) -> None:
        assert self._mcap is not None
        channel = self._channels.get(message.topic)
        if channel is None:
            channel = self._channels[message.topic] = self._register(message)
        self._mcap.add_message(
            channel,
            log_time=message.t_ns,
            data=message.data,
            publish_time=max(0, message.t_ns + self._wall_minus_mono_ns),
            sequence=message.sequence,
        )
        self._chunk_bytes += len(message.data)

    def _register(self, message: Outgoing) -> int:
        assert self._mcap is not None
        if message.schema is None:
            return self._mcap.register_channel(message.topic, "msgpack", 0)
        schema = self._mcap.register_schema(
            message.schema.full_name, "protobuf", descriptor_set(message.schema.file)
        )
        return self._mcap.register_channel(message.topic, "protobuf", schema)

    def _close_chunk(self) -> None:
        assert self._mcap is not None
        self._mcap.flush()  # type: ignore[no-untyped-call]  # half of the library is annotated
        self._chunk_cells = self._chunk_bytes = 0

    def _finish(self) -> None:
        assert self._mcap is not None
        assert self._file is not None
        self._emit(max(self._cells, default=-1) + 1)
        with self._translated():
            self._mcap.finish()  # type: ignore[no-untyped-call]  # as above
            self._file.flush()
            os.fsync(self._file.fileno())
            self._part.rename(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise fmt.DriveError(f"{self._path}: can't be written: {error.strerror or error}") from error


def _media_type(name: str) -> str:
    return "application/msgpack" if name.endswith(".msgpack") else "text/plain"
