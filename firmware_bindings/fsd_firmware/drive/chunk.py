"""One chunk of a drive, from its bytes to columns."""

from __future__ import annotations

import numpy as np
from mcap.records import Channel, Chunk, Message
from mcap.stream_reader import breakup_chunk

from fsd_firmware.can_frames import CanFrames, empty_can
from fsd_firmware.drive import format as fmt
from fsd_firmware.drive.columns import join, join_detections
from fsd_firmware.drive.features import decode_features, join_features
from fsd_firmware.samples import (
    Detections,
    EncodedPacket,
    Features,
    GnssFixes,
    ModeChange,
    SensedBatch,
    Signals,
    empty_gnss,
    empty_signals,
)


class ChunkDecoder:
    """Decodes the chunks of one file in their order; channels are declared in one chunk and used in later ones.

    Raises :class:`BadMessage` naming topic, time and field, and what the library raises on damaged bytes.
    """

    def __init__(self, *, wall_minus_mono_ns: int, signal_count: int, cameras: frozenset[str]) -> None:
        self._wall_minus_mono_ns = wall_minus_mono_ns
        self._signal_count = signal_count
        self._cameras = cameras
        self._topics: dict[int, str] = {}
        self._until_ns = 0

    def decode(self, chunk: Chunk) -> SensedBatch | None:
        """All samples of ``chunk``; None when it holds no message that this version knows."""
        found = _Found()
        last_ns = -1
        for record in breakup_chunk(chunk, validate_crc=True):
            if isinstance(record, Channel):
                self._topics[record.id] = record.topic
            elif isinstance(record, Message):
                topic = self._topics.get(record.channel_id, "")
                if record.log_time < max(self._until_ns, last_ns):
                    raise fmt.BadMessage(
                        f"{topic} at {record.log_time} ns: messages are not in order of time"
                    )
                try:
                    known = self._take(found, topic, record)
                except fmt.BadMessage as error:
                    raise fmt.BadMessage(f"{topic} at {record.log_time} ns: {error}") from error
                last_ns = record.log_time if known else last_ns
        if last_ns < 0:
            return None
        self._until_ns = (last_ns // fmt.CELL_NS + 1) * fmt.CELL_NS
        return found.batch(self._until_ns, self._wall_minus_mono_ns)

    def _take(self, found: _Found, topic: str, message: Message) -> bool:
        """Decode one message into ``found``; False for a topic of a later version."""
        t_ns, data = message.log_time, message.data
        if topic.startswith(fmt.CAMERA_PREFIX):
            packet = fmt.decode_packet(data, t_ns, message.sequence)
            self._check_camera(packet.camera)
            found.packets.append(packet)
        elif topic == fmt.TOPIC_CAN:
            can = fmt.decode_can(data)
            _check_first(can.t_ns, t_ns)
            found.can.append(can)
        elif topic == fmt.TOPIC_SIGNALS:
            signals = fmt.decode_signals(data, self._signal_count)
            _check_first(signals.t_ns, t_ns)
            found.signals.append(signals)
        elif topic.startswith(fmt.DETECTIONS_PREFIX):
            detections = fmt.decode_detections(data)
            self._check_camera(detections.camera)
            _check_first(detections.frame_t_ns, t_ns)
            found.detections.append(detections)
        elif topic.startswith(fmt.FEATURES_PREFIX):
            features = decode_features(data)
            self._check_camera(features.camera)
            _check_first(features.t_ns, t_ns)
            found.features.append(features)
        elif topic == fmt.TOPIC_GNSS:
            found.fixes.append((t_ns, *fmt.decode_fix(data)))
        elif topic == fmt.TOPIC_MODE:
            found.modes.append(fmt.decode_mode(data, t_ns))
        else:
            return False
        return True

    def _check_camera(self, camera: str) -> None:
        if camera not in self._cameras:
            raise fmt.BadMessage(f"camera {camera!r} is not in the vehicle's description")


class _Found:
    """The messages of one chunk by channel."""

    def __init__(self) -> None:
        self.can: list[CanFrames] = []
        self.signals: list[Signals] = []
        self.detections: list[Detections] = []
        self.features: list[Features] = []
        self.packets: list[EncodedPacket] = []
        self.fixes: list[tuple[int, float, float, float, float, float]] = []
        self.modes: list[ModeChange] = []

    def batch(self, until_ns: int, wall_minus_mono_ns: int) -> SensedBatch:
        """Joined per channel."""
        return SensedBatch(
            until_ns=until_ns,
            wall_minus_mono_ns=wall_minus_mono_ns,
            can=join(self.can) if self.can else empty_can(),
            signals=join(self.signals) if self.signals else empty_signals(),
            packets=tuple(self.packets),
            frames=(),
            detections=join_detections(self.detections),
            gnss=self._gnss() if self.fixes else empty_gnss(),
            modes=tuple(self.modes),
            features=join_features(self.features),
        )

    def _gnss(self) -> GnssFixes:
        # Times don't go through float64: it would round nanoseconds of a clock that counts from 1970.
        t_ns = np.array([fix[0] for fix in self.fixes], np.int64)
        values = np.array([fix[1:] for fix in self.fixes], np.float64)
        return GnssFixes(t_ns, *(np.ascontiguousarray(column) for column in values.T))


def _check_first(t_ns: np.ndarray[tuple[int], np.dtype[np.int64]], log_time: int) -> None:
    if int(t_ns[0]) != log_time:
        raise fmt.BadMessage("t_ns: the first sample is not at the message's log_time")
