"""Raw frames for perception out of a drive's encoded video.

Every packet is decoded, because pictures build on each other, but only pictures that are looked at are copied
out: on each camera the first one in every slot of ``interval_ns`` of time. Which those are depends on their
times alone, not on the ticks.

A decoder may want packets ahead of the picture it gives. Ticks are then read ahead and held, with their
samples, until their turn comes; how many is bounded by the decoder's delay.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from fsd_firmware.codec import CodecError, DecodedFrame, VideoCodec
from fsd_firmware.contract import FirmwareError
from fsd_firmware.samples import EncodedPacket, Frame, SensedBatch


class FrameTap:
    """Adds raw frames to a stream of ticks. Packets before a camera's first key frame give none.

    ``name`` stands in messages. Iterating raises what ``ticks`` raises, after the last tick before it, and :class:`FirmwareError` when a
    packet can't be decoded.
    """

    def __init__(
        self, ticks: Iterator[SensedBatch], codec: VideoCodec, interval_ns: int, *, name: str
    ) -> None:
        self._name = name
        self._ticks = ticks
        self._codec = codec
        self._interval_ns = interval_ns
        self._ahead: deque[SensedBatch] = deque()
        self._failure: FirmwareError | None = None
        self._queues: dict[str, deque[EncodedPacket]] = {}
        self._streams: dict[str, Iterator[DecodedFrame]] = {}
        self._last_slot: dict[str, int] = {}

    def batches(self) -> Iterator[SensedBatch]:
        """The ticks with their frames."""
        while self._ahead or self._pull():
            batch = self._ahead.popleft()
            yield replace(batch, frames=self._frames(batch)) if batch.packets else batch
        if self._failure is not None:
            raise self._failure

    def _pull(self) -> bool:
        """Read one tick ahead and hand its packets to the decoders; False at the end."""
        if self._failure is not None:
            return False
        try:
            batch = next(self._ticks, None)
        except FirmwareError as error:
            self._failure = error
            return False
        if batch is None:
            return False
        self._ahead.append(batch)
        for packet in batch.packets:
            queue = self._queues.get(packet.camera)
            if queue is None and packet.keyframe:
                queue = self._queues[packet.camera] = deque()
                self._streams[packet.camera] = iter(self._codec.decode(self._feed(packet.camera)))
            if queue is not None:
                queue.append(packet)
        return True

    def _feed(self, camera: str) -> Iterator[EncodedPacket]:
        queue = self._queues[camera]
        while queue or self._pull():
            if queue:
                yield queue.popleft()

    def _frames(self, batch: SensedBatch) -> tuple[Frame, ...]:
        frames: list[Frame] = []
        for packet in batch.packets:
            if packet.camera not in self._streams or not (
                packet.keyframe or packet.camera in self._last_slot
            ):
                continue
            try:
                picture = next(self._streams[packet.camera])
            except (CodecError, StopIteration) as error:
                raise FirmwareError(f"{self._name}: {error or 'the decoder ended early'}") from error
            slot = packet.t_ns // self._interval_ns
            if slot > self._last_slot.get(packet.camera, -1):
                frames.append(Frame(packet.camera, picture.t_ns, picture.bgr()))
            self._last_slot[packet.camera] = slot
        return tuple(frames)
