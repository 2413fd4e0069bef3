"""One cell of 100 ms on its way into a file: samples gather, then leave as messages in order of time."""

from __future__ import annotations

from dataclasses import dataclass, field

from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
from foxglove_schemas_protobuf.LocationFix_pb2 import LocationFix
from google.protobuf.descriptor import Descriptor

from fsd_firmware.can_frames import CanFrames
from fsd_firmware.drive import format as fmt
from fsd_firmware.drive.columns import join, join_detections
from fsd_firmware.drive.features import encode_features, join_features
from fsd_firmware.samples import Detections, EncodedPacket, Features, GnssFixes, ModeChange, Signals


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message."""

    topic: str
    t_ns: int
    data: bytes
    sequence: int = 0
    schema: Descriptor | None = None
    """The protobuf message's type; None for msgpack."""


@dataclass(slots=True)
class Cell:
    """What has been written for one cell so far, each list in order of time."""

    can: list[CanFrames] = field(default_factory=list)
    signals: list[Signals] = field(default_factory=list)
    gnss: list[GnssFixes] = field(default_factory=list)
    detections: list[Detections] = field(default_factory=list)
    features: list[Features] = field(default_factory=list)
    packets: list[tuple[EncodedPacket, int]] = field(default_factory=list)
    """With the number of packets since the key frame."""
    modes: list[ModeChange] = field(default_factory=list)

    def messages(self) -> list[Outgoing]:
        """All messages of the cell by ``t_ns``; a channel's messages at one instant keep their order."""
        found: list[Outgoing] = []
        if self.can:
            can = join(self.can)
            found.append(Outgoing(fmt.TOPIC_CAN, int(can.t_ns[0]), fmt.encode_can(can)))
        if self.signals:
            signals = join(self.signals)
            found.append(Outgoing(fmt.TOPIC_SIGNALS, int(signals.t_ns[0]), fmt.encode_signals(signals)))
        for seen in join_detections(self.detections):
            topic = fmt.DETECTIONS_PREFIX + seen.camera
            found.append(Outgoing(topic, int(seen.frame_t_ns[0]), fmt.encode_detections(seen)))
        for known in join_features(self.features):
            topic = fmt.FEATURES_PREFIX + known.camera
            found.append(Outgoing(topic, int(known.t_ns[0]), encode_features(known)))
        found += [Outgoing(fmt.TOPIC_MODE, mode.t_ns, fmt.encode_mode(mode)) for mode in self.modes]
        found += self._protobuf()
        return sorted(found, key=lambda message: message.t_ns)

    def _protobuf(self) -> list[Outgoing]:
        video, fix = CompressedVideo.DESCRIPTOR, LocationFix.DESCRIPTOR
        found = [
            Outgoing(fmt.CAMERA_PREFIX + packet.camera, packet.t_ns, fmt.encode_packet(packet), since, video)
            for packet, since in self.packets
        ]
        if self.gnss:
            fixes = join(self.gnss)
            found += [
                Outgoing(fmt.TOPIC_GNSS, t_ns, fmt.encode_fix(fixes, row), schema=fix)
                for row, t_ns in enumerate(fixes.t_ns.tolist())
            ]
        return found
