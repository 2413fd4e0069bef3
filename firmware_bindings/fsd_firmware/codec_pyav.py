"""The software video codec: FFmpeg's decoders and libvpx through PyAV. An optional part.

Decoding takes av1, h264, h265 and vp9. Encoding is VP9 (:mod:`.pyav_encoder`). Pictures are :mod:`.pyav_frames`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from fsd_firmware.codec import CodecError, DecodedFrame
from fsd_firmware.pyav_encoder import EncoderSettings, context_of, encoded
from fsd_firmware.pyav_frames import PyAvFrame, frame_from_bgr
from fsd_firmware.samples import EncodedPacket

DECODERS = {"av1": "libdav1d", "h264": "h264", "h265": "hevc", "vp9": "libvpx-vp9"}
"""``foxglove.CompressedVideo.format`` to a decoder of FFmpeg's. Its own for VP9 takes most cut packets for whole ones; libvpx' finds them,
in the same time."""


class PyAvCodec:
    """Implements :class:`fsd_firmware.codec.VideoCodec`. Streams are independent of each other."""

    def __init__(self, settings: EncoderSettings | None = None) -> None:
        self._settings = settings or EncoderSettings()

    def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[PyAvFrame]:
        """One frame for each packet, in order. Raises :class:`CodecError`; see the contract."""
        context: VideoCodecContext | None = None
        pending: deque[EncodedPacket] = deque()
        codec = ""
        for packet in packets:
            if context is None:
                context, codec = _decoder(packet), packet.codec
            elif packet.codec != codec:
                raise _refusal(packet, f"the stream changes from {codec} to {packet.codec}")
            pending.append(packet)
            yield from _pictures(context, packet, pending)
        if context is not None:
            yield from _pictures(context, None, pending)
        if pending:
            raise _refusal(pending[0], f"{len(pending)} packets gave no frame")

    def encode(
        self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
    ) -> Iterator[EncodedPacket]:
        """VP9, one packet for each frame, in order, times kept. Raises as in the contract."""
        pictures = ((frame.t_ns, _picture_of(frame)) for frame in frames)
        return encoded(camera, pictures, fps=fps, keyframe_every=keyframe_every, settings=self._settings)


def _refusal(packet: EncodedPacket, reason: object) -> CodecError:
    return CodecError(f"camera {packet.camera}: {packet.t_ns} ns: {reason}")


def _decoder(first: EncodedPacket) -> VideoCodecContext:
    if first.codec not in DECODERS:
        raise _refusal(first, f"no decoder for codec {first.codec!r}")
    if not first.keyframe:
        raise _refusal(first, "the stream doesn't begin with a key frame")
    context = context_of(DECODERS[first.codec], "r")
    context.thread_count = 1
    # Without these FFmpeg conceals damage, and dav1d waits for frames that a live stream hasn't sent.
    options = {"err_detect": "explode"}
    if first.codec == "av1":
        options["max_frame_delay"] = "1"
    context.options = options
    return context


def _pictures(
    context: VideoCodecContext, packet: EncodedPacket | None, pending: deque[EncodedPacket]
) -> Iterator[PyAvFrame]:
    try:
        pictures = context.decode(av.Packet(packet.data) if packet is not None else None)
    except av.FFmpegError as error:
        raise _refusal(packet or pending[0], f"can't be decoded: {error}") from None
    for picture in pictures:
        if not pending:
            raise CodecError("more frames than packets: the stream has hidden frames of its own")
        source = pending.popleft()
        if picture.is_corrupt:
            raise _refusal(source, "the decoded frame is damaged")
        yield PyAvFrame(source.t_ns, picture)


def _picture_of(frame: DecodedFrame) -> VideoFrame:
    if isinstance(frame, PyAvFrame):
        return frame.picture
    return frame_from_bgr(frame.t_ns, frame.bgr()).picture
