"""Writing a clip's messages into an MCAP file in order of time. The format: ``wire/clip.py``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mcap.writer import Writer

from fsd_agent.records.clip import Clip
from fsd_agent.wire import clip_messages as messages
from fsd_agent.wire import clip_schemas as schemas
from fsd_agent.wire.clip_seen import encode_annotations, seen_frames
from fsd_firmware.drive.format import encode_fix, encode_packet


@dataclass(frozen=True, slots=True)
class _Entry:
    """One message waiting for its place in time."""

    log_ns: int
    channel: int
    publish_ns: int
    sequence: int
    data: bytes


class ClipBook:
    """Collects a clip's messages and writes them in order of time."""

    def __init__(self, writer: Writer, clip: Clip) -> None:
        self.writer = writer
        self._clip = clip
        self._offset_ns = clip.row.wall_minus_mono_ns
        self._schemas: dict[str, int] = {}
        self._entries: list[_Entry] = []

    def provenance(self, data: bytes) -> None:
        """The one message that says how the clip came to be."""
        channel = self._channel(messages.PROVENANCE, schemas.PROVENANCE)
        self._add(channel, self._clip.row.start_ns, data)

    def firings(self) -> None:
        """Every firing at its moment; one outside of what is kept is logged at the near end, so that viewers show no empty time."""
        channel, row = self._channel(messages.FIRING, schemas.FIRING), self._clip.row
        for judged in self._clip.firings:
            t_ns = judged.firing.t_ns
            log_ns = max(min(t_ns, row.end_ns - 1), row.start_ns)
            self._add(channel, t_ns, messages.encode_firing(judged), log_ns=log_ns)

    def video(self) -> None:
        """Each camera's packets, counted from their key frames."""
        channels: dict[str, int] = {}
        since_key: dict[str, int] = {}
        for packet in self._clip.packets:
            camera = packet.camera
            if camera not in channels:
                channels[camera] = self._channel(f"{messages.CAMERA}{camera}{messages.VIDEO}", schemas.VIDEO)
            since_key[camera] = 0 if packet.keyframe else since_key.get(camera, 0) + 1
            data = encode_packet(replace(packet, t_ns=packet.t_ns + self._offset_ns))
            self._add(channels[camera], packet.t_ns, data, sequence=since_key[camera])

    def annotations(self) -> None:
        """What was seen, frame by frame."""
        channels: dict[str, int] = {}
        for frame in seen_frames(self._clip.detections):
            if frame.camera not in channels:
                topic = f"{messages.CAMERA}{frame.camera}{messages.ANNOTATIONS}"
                channels[frame.camera] = self._channel(topic, schemas.ANNOTATIONS)
            data = encode_annotations(frame, frame.t_ns + self._offset_ns)
            self._add(channels[frame.camera], frame.t_ns, data)

    def fixes(self) -> None:
        """Positions, where they may leave."""
        gnss = self._clip.gnss
        if not len(gnss):
            return
        channel = self._channel(messages.GNSS, schemas.FIX)
        stamped = replace(gnss, t_ns=gnss.t_ns + self._offset_ns)
        for row in range(len(gnss)):
            self._add(channel, int(gnss.t_ns[row]), encode_fix(stamped, row))

    def signals(self) -> None:
        """Every sample of every signal."""
        channels = [
            self._channel(f"{messages.SIGNALS}{entry.path}", schemas.SIGNAL, messages.encode_entry(entry))
            for entry in self._clip.catalogue
        ]
        samples = self._clip.signals
        columns = (samples.t_ns.tolist(), samples.signal.tolist(), samples.value.tolist())
        for t_ns, signal, value in zip(*columns, strict=True):
            log_ns = max(t_ns, self._clip.row.start_ns)
            self._add(channels[signal], t_ns, messages.encode_value(value), log_ns=log_ns)

    def finish(self) -> None:
        """Hand everything to the file, oldest first, and close it with its indexes."""
        for entry in sorted(self._entries, key=lambda one: one.log_ns):
            self.writer.add_message(entry.channel, entry.log_ns, entry.data, entry.publish_ns, entry.sequence)
        self.writer.finish()  # type: ignore[no-untyped-call]  # the library annotates most but not all of it

    def _channel(self, topic: str, schema: str, metadata: dict[str, str] | None = None) -> int:
        if schema not in self._schemas:
            encoding, data = schemas.schema(schema)
            self._schemas[schema] = self.writer.register_schema(schema, encoding, data)
        encoding = schemas.message_encoding(schema)
        return int(self.writer.register_channel(topic, encoding, self._schemas[schema], metadata or {}))

    def _add(
        self, channel: int, t_ns: int, data: bytes, *, log_ns: int | None = None, sequence: int = 0
    ) -> None:
        at_ns = t_ns if log_ns is None else log_ns
        entry = _Entry(at_ns + self._offset_ns, channel, t_ns + self._offset_ns, sequence, data)
        if entry.publish_ns < 0:
            raise messages.ClipMessageError(
                f"{entry.publish_ns} ns is before 1970, which no MCAP time can be"
            )
        self._entries.append(entry)
