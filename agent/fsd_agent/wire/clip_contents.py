"""Reading a clip back, every checksum verified. The format: ``wire/clip.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, Any, Final

import numpy as np
import zstandard
from mcap.reader import SeekingReader
from mcap.records import Attachment, Channel, Chunk, DataEnd, Message
from mcap.stream_reader import StreamReader

from fsd_agent.wire import clip_messages as messages
from fsd_agent.wire.clip_messages import ClipMessageError
from fsd_agent.wire.clip_seen import SeenFrame, decode_annotations
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.drive.format import decode_fix, decode_packet
from fsd_firmware.samples import EncodedPacket, GnssFixes, Signals

MAX_RECORD_BYTES: Final = 256 << 20
"""No record of a clip is larger, also not a chunk once it is unpacked; a length beyond it is damage."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipContents:
    """A clip as it was read back. Times are vehicle time; add ``wall_minus_mono_ns`` for Unix time."""

    clip_id: str
    region_id: str
    vehicle: str
    """Pseudonym."""
    start_ns: int
    end_ns: int
    wall_minus_mono_ns: int
    cut: bool
    packets: tuple[EncodedPacket, ...]
    frames: tuple[SeenFrame, ...]
    """Annotations, camera by camera."""
    catalogue: tuple[CatalogueEntry, ...]
    signals: Signals
    """Its ``signal`` column indexes ``catalogue``."""
    gnss: GnssFixes
    firings: tuple[dict[str, Any], ...]
    provenance: dict[str, Any]


def read_clip(stream: IO[bytes]) -> ClipContents:
    """Everything in ``stream``. Raises :class:`ClipMessageError`, and whatever the library raises on damage."""
    reader = SeekingReader(stream, validate_crcs=True, record_size_limit=MAX_RECORD_BYTES)
    about = messages.decode_about(
        {record.name: record.metadata for record in reader.iter_metadata()}.get(messages.META_FSD)
    )
    _check_data(stream)
    summary = reader.get_summary()
    if summary is None:
        raise ClipMessageError("no summary section")
    found = _Found(about.wall_minus_mono_ns, {})
    for channel in sorted(summary.channels.values(), key=lambda one: one.id):
        found.declare(channel)
    for _, channel, message in reader.iter_messages():
        found.take(channel, message)
    if found.provenance is None:
        raise ClipMessageError("/provenance: missing")
    return ClipContents(
        clip_id=about.clip,
        region_id=about.region,
        vehicle=about.vehicle,
        start_ns=about.start_ns,
        end_ns=about.end_ns,
        wall_minus_mono_ns=about.wall_minus_mono_ns,
        cut=about.cut,
        packets=tuple(found.packets),
        frames=tuple(sorted(found.frames, key=lambda one: one.camera)),
        catalogue=tuple(found.rows),
        signals=_signals(found.samples),
        gnss=_fixes(found.fixes),
        firings=tuple(found.firings),
        provenance=found.provenance,
    )


def _check_data(stream: IO[bytes]) -> None:
    """Verify the data section as a whole, and that every chunk can be unpacked without harm.

    A chunk's own checksum covers its content, not its header.
    """
    stream.seek(0)
    whole = False
    for record in StreamReader(
        stream, emit_chunks=True, validate_crcs=True, record_size_limit=MAX_RECORD_BYTES
    ).records:
        if isinstance(record, Chunk):
            _check_chunk(record)
        elif isinstance(record, Attachment):  # Its bytes could hide a chunk from the check above
            raise ClipMessageError("an attachment, which no clip has")
        whole = whole or (isinstance(record, DataEnd) and record.data_section_crc != 0)
    if not whole:
        raise ClipMessageError("no checksum over the data section")


def _check_chunk(chunk: Chunk) -> None:
    """Refuse what would take more memory than any clip needs: 16 KiB of zstd may claim to hold a terabyte."""
    if chunk.compression not in {"", "zstd"}:
        raise ClipMessageError(f"a chunk in {chunk.compression!r}")
    size = chunk.uncompressed_size
    if chunk.compression == "zstd":
        size = max(size, zstandard.get_frame_parameters(chunk.data).content_size)
    if size > MAX_RECORD_BYTES:
        raise ClipMessageError(f"a chunk of {size} bytes, packed into {len(chunk.data)}")


@dataclass(slots=True)
class _Found:
    """What the messages so far have given."""

    offset_ns: int
    rows: dict[CatalogueEntry, int]
    packets: list[EncodedPacket] = field(default_factory=list)
    frames: list[SeenFrame] = field(default_factory=list)
    samples: list[tuple[int, int, float]] = field(default_factory=list)
    fixes: list[tuple[int, float, float, float, float, float]] = field(default_factory=list)
    firings: list[dict[str, Any]] = field(default_factory=list)
    provenance: dict[str, Any] | None = None
    _row_of_channel: dict[int, int] = field(default_factory=dict)

    def declare(self, channel: Channel) -> None:
        """Learn a signal from its channel."""
        if channel.topic.startswith(messages.SIGNALS):
            path = channel.topic.removeprefix(messages.SIGNALS)
            row = self.rows.setdefault(messages.decode_entry(path, channel.metadata), len(self.rows))
            self._row_of_channel[channel.id] = row

    def take(self, channel: Channel, message: Message) -> None:
        """File one message. Raises :class:`ClipMessageError` on a topic that no clip has."""
        t_ns = message.publish_time - self.offset_ns
        topic = channel.topic
        if channel.id in self._row_of_channel:
            row = self._row_of_channel[channel.id]
            self.samples.append((t_ns, row, messages.decode_value(message.data)))
        elif topic.startswith(messages.CAMERA) and topic.endswith(messages.VIDEO):
            self.packets.append(decode_packet(message.data, t_ns, message.sequence))
        elif topic.startswith(messages.CAMERA) and topic.endswith(messages.ANNOTATIONS):
            camera = topic.removeprefix(messages.CAMERA).removesuffix(messages.ANNOTATIONS)
            self.frames.append(decode_annotations(message.data, camera, t_ns))
        elif topic == messages.GNSS:
            self.fixes.append((t_ns, *decode_fix(message.data)))
        elif topic == messages.FIRING:
            self.firings.append(messages.decode_json(message.data))
        elif topic == messages.PROVENANCE:
            self.provenance = messages.decode_json(message.data)
        else:
            raise ClipMessageError(f"{topic}: no clip has this topic")


def _signals(samples: list[tuple[int, int, float]]) -> Signals:
    t_ns, signal, value = zip(*samples, strict=True) if samples else ((), (), ())
    return Signals(np.array(t_ns, np.int64), np.array(signal, np.int32), np.array(value, np.float64))


def _fixes(fixes: list[tuple[int, float, float, float, float, float]]) -> GnssFixes:
    columns = list(zip(*fixes, strict=True)) or [()] * 6
    return GnssFixes(np.array(columns[0], np.int64), *(np.array(one, np.float64) for one in columns[1:]))
