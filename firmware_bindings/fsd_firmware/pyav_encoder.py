"""VP9 by libvpx through PyAV: how it is opened, and what it makes of pictures. An optional part.

VP9 by libvpx alone (BSD-3-Clause, with a patent grant): PyAV's wheel also bundles x264 and x265 under the GPL, and nothing here can
select them. Why VP9: docs/privacy.md, "Encoder".

Form of the stream. No lookahead and no hidden frames: one frame in, one packet out, at once and in order. So each packet is a message
as ``foxglove.CompressedVideo`` wants it, and decoding may begin at any key frame. Everything runs on the caller's thread.

Quality is constant, and yet rate control is set to a constant rate, a far higher one than it gets: only for such a rate does libvpx take
its quickest paths (a quarter less time for the same quality).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from fsd_firmware.codec import CodecError
from fsd_firmware.pyav_frames import PIXEL_FORMAT
from fsd_firmware.samples import EncodedPacket

CODEC = "vp9"
"""As ``foxglove.CompressedVideo.format`` has it."""
SPEED = 9
"""The quickest that libvpx has for VP9."""
RATE_BITS_PX = 8
"""The rate that is asked for, a pixel. Streets take a third of a bit, noise takes four."""
RATE_MOST = 2**31 - 1
"""Bits a second: FFmpeg's limit of the option."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What the encoder is asked for."""

    quantizer: int = 32
    """Quality, 0 best to 63, the same for every frame: so bytes don't depend on what came before the stream."""


def encoded(
    camera: str,
    pictures: Iterable[tuple[int, VideoFrame]],
    *,
    fps: float,
    keyframe_every: int,
    settings: EncoderSettings,
) -> Iterator[EncodedPacket]:
    """One packet for each picture at its time in ns, in order. Raises :class:`CodecError`."""
    context: VideoCodecContext | None = None
    for number, (t_ns, picture) in enumerate(pictures):
        if context is None:
            context = _opened(camera, picture, fps, keyframe_every, settings)
        if (picture.width, picture.height) != (context.width, context.height):
            raise CodecError(f"camera {camera}: {t_ns} ns: picture size changes inside the stream")
        picture.pts, picture.time_base = number, context.time_base
        picture.pict_type = 0  # a decoded picture carries its old type, which would force key frames
        try:
            packets = context.encode(picture)
        except av.FFmpegError as error:
            raise CodecError(f"camera {camera}: {t_ns} ns: can't be encoded: {error}") from None
        if len(packets) != 1:
            raise CodecError(
                f"camera {camera}: {t_ns} ns: the encoder gave {len(packets)} packets for a frame"
            )
        yield EncodedPacket(camera, t_ns, CODEC, packets[0].is_keyframe, bytes(packets[0]))


def context_of(name: str, mode: Any) -> VideoCodecContext:
    """FFmpeg's codec of that name, to read (``r``) or write (``w``)."""
    context = CodecContext.create(name, mode)
    if not isinstance(context, VideoCodecContext):
        raise TypeError(f"{name} is no video codec")
    return context


def _opened(
    camera: str, picture: VideoFrame, fps: float, keyframe_every: int, settings: EncoderSettings
) -> VideoCodecContext:
    """The encoder for pictures of this size."""
    if fps <= 0 or keyframe_every < 1:
        raise CodecError(f"camera {camera}: fps {fps} and keyframe_every {keyframe_every} must be positive")
    context = context_of("libvpx-vp9", "w")
    frame_rate = Fraction(fps).limit_denominator(1001)
    context.width, context.height, context.pix_fmt = picture.width, picture.height, PIXEL_FORMAT
    context.framerate, context.time_base = frame_rate, 1 / frame_rate
    context.thread_count = 1
    rate = min(round(RATE_BITS_PX * picture.width * picture.height * fps), RATE_MOST)
    options: dict[str, object] = {
        "deadline": "realtime",
        "speed": SPEED,
        "lag-in-frames": 0,
        "row-mt": 0,
        "aq-mode": 0,
        # As often as this and never at cuts
        "g": keyframe_every,
        "keyint_min": keyframe_every,
        **dict.fromkeys(("b", "minrate", "maxrate"), rate),
        **dict.fromkeys(("qmin", "qmax"), settings.quantizer),
    }
    context.options = {name: str(value) for name, value in options.items()}
    try:
        context.open()
    except av.FFmpegError as error:
        raise CodecError(f"camera {camera}: the encoder can't be opened: {error}") from None
    return context
