"""SVT-AV1 through PyAV: one stream, how it is opened, and what it is given and gives. An optional part.

AV1 by SVT-AV1 alone: PyAV's wheel also bundles x264 and x265 under the GPL, and nothing here can select them.

Form of the stream. Low delay without reordering: one frame in, one temporal unit out, at once and in order; a
key frame opens with its sequence header. So each packet is a message as ``foxglove.CompressedVideo`` wants it
(AV1 specification 7.5, "temporal unit"), and decoding may begin at any key frame.

Stalls. SVT-AV1 (4.1.0) now and then waits for itself for ever: its caller and all of its threads on semaphores. So each call has a
limit.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from fsd_firmware.codec import CodecError, CodecStalledError
from fsd_firmware.in_time import in_time
from fsd_firmware.pyav_frames import PIXEL_FORMAT
from fsd_firmware.samples import EncodedPacket

MIN_SIDE_PX = 64
"""SVT-AV1 encodes nothing smaller."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """What SVT-AV1 is asked for."""

    preset: int = 12
    """0 slow and small to 13 fast."""
    crf: int = 36
    """Quality, 1 best to 63. Constant, so that bytes don't depend on what came before the stream."""
    threads: int = 1
    """Level of parallelism. The bytes don't depend on it."""
    patience_s: float = 30.0
    """A frame takes some hundredths of a second. SVT-AV1 was seen waiting for itself for ever, once in a thousand streams."""


OpenEncoder = Callable[[str, VideoFrame, float, int, EncoderSettings], VideoCodecContext]
"""Opens an encoder for a camera and pictures like this one; frames a second, frames a key frame."""


class EncodedStream:
    """What one encoder is given and gives."""

    def __init__(self, camera: str, context: VideoCodecContext, patience_s: float) -> None:
        self._camera, self._context, self._patience_s = camera, context, patience_s
        self._numbers = itertools.count()
        self._times: deque[int] = deque()
        """Of frames that gave no packet yet."""

    @property
    def lags(self) -> bool:
        """Whether a frame gave no packet yet."""
        return bool(self._times)

    def encode(self, t_ns: int, picture: VideoFrame) -> Iterator[EncodedPacket]:
        """What comes of one more picture."""
        context = self._context
        if (picture.width, picture.height) != (context.width, context.height):
            raise CodecError(f"camera {self._camera}: {t_ns} ns: picture size changes inside the stream")
        picture.pts, picture.time_base = next(self._numbers), context.time_base
        picture.pict_type = 0  # a decoded picture carries its old type, which would force key frames
        self._times.append(t_ns)
        yield from self._packets(picture)

    def end(self) -> Iterator[EncodedPacket]:
        """The rest; raises :class:`CodecError` where a frame gave no packet."""
        yield from self._packets(None)
        if times := self._times:
            raise CodecError(f"camera {self._camera}: {times[0]} ns: {len(times)} frames gave no packet")

    def _packets(self, picture: VideoFrame | None) -> Iterator[EncodedPacket]:
        times, camera = self._times, self._camera
        try:
            packets = in_time(
                lambda: self._context.encode(picture), within_s=self._patience_s, name="video encoder"
            )
        except av.FFmpegError as error:
            raise CodecError(
                f"camera {camera}: {times[-1] if times else 0} ns: can't be encoded: {error}"
            ) from None
        except TimeoutError as error:
            raise CodecStalledError(f"camera {camera}: {times[-1] if times else 0} ns: {error}") from None
        for packet in packets:
            if not times:
                raise CodecError(f"camera {camera}: the encoder gave more packets than frames")
            yield EncodedPacket(camera, times.popleft(), "av1", packet.is_keyframe, bytes(packet))


def context_of(name: str, mode: Any) -> VideoCodecContext:
    """FFmpeg's codec of that name, to read (``r``) or write (``w``)."""
    context = CodecContext.create(name, mode)
    if not isinstance(context, VideoCodecContext):
        raise TypeError(f"{name} is no video codec")
    return context


def open_encoder(
    camera: str, picture: VideoFrame, fps: float, keyframe_every: int, settings: EncoderSettings
) -> VideoCodecContext:
    """SVT-AV1 for pictures of this size; raises :class:`CodecError`."""
    width, height = picture.width, picture.height
    if width % 2 or height % 2 or min(width, height) < MIN_SIDE_PX:
        raise CodecError(
            f"camera {camera}: AV1 needs even sides of at least {MIN_SIDE_PX} px, not {width}x{height}"
        )
    if fps <= 0 or keyframe_every < 1:
        raise CodecError(f"camera {camera}: fps {fps} and keyframe_every {keyframe_every} must be positive")
    # The encoder prints a banner per stream to stderr unless told otherwise; 1 leaves errors.
    os.environ.setdefault("SVT_LOG", "1")
    context = context_of("libsvtav1", "w")
    rate = Fraction(fps).limit_denominator(1001)
    context.width, context.height, context.pix_fmt = width, height, PIXEL_FORMAT
    context.framerate, context.time_base = rate, 1 / rate
    parameters = {
        "pred-struct": 1,  # low delay: no reordering
        "lookahead": 0,
        "scd": 0,  # key frames where we ask for them, not at cuts
        "keyint": keyframe_every,
        "lp": settings.threads,
        "rtc": 1,
    }
    context.options = {
        "preset": str(settings.preset),
        "crf": str(settings.crf),
        "svtav1-params": ":".join(f"{name}={value}" for name, value in parameters.items()),
    }
    with _at_ordinary_priority():
        _open(camera, context)
    return context


def _open(camera: str, context: VideoCodecContext) -> None:
    try:
        context.open()
    except av.FFmpegError as error:
        raise CodecError(f"camera {camera}: the encoder can't be opened: {error}") from None


@contextmanager
def _at_ordinary_priority() -> Iterator[None]:
    """Leave this thread, and those that begin inside, as this thread is scheduled now.

    SVT-AV1 puts its threads, and the one that opens it, at SCHED_FIFO 99 where it may: as root, or with CAP_SYS_NICE.
    There they would go before everything else on the computer, the driving stack included.
    """
    before, policy, parameters = _threads(), os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in (0, *(_threads() - before)):
            # A thread that has ended meanwhile takes no time from anybody.
            with suppress(ProcessLookupError):
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}
