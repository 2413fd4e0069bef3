"""The software video codec: FFmpeg's decoders and SVT-AV1 through PyAV. An optional part.

Decoding takes av1, h264, h265 and vp9. Encoding is AV1 by SVT-AV1 alone: the wheel also bundles x264 and
x265 under the GPL, and nothing here can select them.

Form of the stream. Low delay without reordering: one frame in, one temporal unit out, at once and in order; a
key frame opens with its sequence header. So each packet is a message as ``foxglove.CompressedVideo`` wants it
(AV1 specification 7.5, "temporal unit"), and decoding may begin at any key frame.

Pictures are planar 4:2:0 with 8 bits; others are converted when they are decoded.

Stalls. SVT-AV1 (4.1.0) now and then waits for itself for ever: its caller and all of its threads on semaphores. So each call has a
limit, and the pictures since the last key frame are kept for another encoder.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from fsd_firmware.codec import CodecError, CodecStalledError, DecodedFrame
from fsd_firmware.in_time import in_time
from fsd_firmware.samples import EncodedPacket

DECODERS = {"av1": "libdav1d", "h264": "h264", "h265": "hevc", "vp9": "vp9"}
"""``foxglove.CompressedVideo.format`` to FFmpeg's decoder."""
BLACK_LUMA, GREY_CHROMA = 16, 128
"""Black in video range (ITU-T H.273, MatrixCoefficients 1 and 6)."""
PIXEL_FORMAT = "yuv420p"
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


class PyAvFrame:
    """One picture in FFmpeg's memory, as :class:`fsd_firmware.codec.DecodedFrame` says."""

    __slots__ = ("_picture", "_t_ns")

    def __init__(self, t_ns: int, picture: VideoFrame) -> None:
        if picture.format.name != PIXEL_FORMAT:
            picture = picture.reformat(format=PIXEL_FORMAT)
        self._t_ns, self._picture = t_ns, picture

    @property
    def t_ns(self) -> int:
        """Time of the packet it came from."""
        return self._t_ns

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._picture.width)

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._picture.height)

    @property
    def picture(self) -> VideoFrame:
        """FFmpeg's frame, for this module's encoder."""
        return self._picture

    def bgr(self) -> NDArray[np.uint8]:
        """A copy as (height, width, 3)."""
        return np.asarray(self._picture.to_ndarray(format="bgr24"), dtype=np.uint8)

    def luma(self) -> NDArray[np.uint8]:
        """A copy of the brightness alone as (height, width): nothing is converted."""
        return _plane(self._picture, 0).copy()

    def fill(self, boxes: NDArray[np.int32]) -> None:
        """Paint solid black rectangles, widened to even pixels and clipped; see the contract."""
        if not len(boxes):
            return
        # The decoder still predicts from this memory: without a copy of our own, later frames would break.
        self._picture.make_writable()
        luma, *chroma = (_plane(self._picture, i) for i in range(3))
        limits = np.array([self.width, self.height, self.width, self.height])
        for x1, y1, x2, y2 in np.clip(boxes, 0, limits).tolist():
            if x2 <= x1 or y2 <= y1:
                continue
            left, top, right, bottom = x1 // 2, y1 // 2, (x2 + 1) // 2, (y2 + 1) // 2
            luma[2 * top : 2 * bottom, 2 * left : 2 * right] = BLACK_LUMA
            for plane in chroma:
                plane[top:bottom, left:right] = GREY_CHROMA


def _plane(picture: VideoFrame, index: int) -> NDArray[np.uint8]:
    """One plane as a writable view of (rows, columns) without the padding."""
    plane = picture.planes[index]
    memory = memoryview(plane)
    view: NDArray[np.uint8] = np.frombuffer(memory, np.uint8).reshape(-1, plane.line_size)
    return view[: plane.height, : plane.width]


def frame_from_bgr(t_ns: int, bgr: NDArray[np.uint8]) -> PyAvFrame:
    """A picture of shape (height, width, 3) as a frame that can be encoded."""
    return PyAvFrame(t_ns, VideoFrame.from_ndarray(bgr, format="bgr24"))


def frames_of_file(path: Path, start_ns: int = 0) -> Iterator[PyAvFrame]:
    """The pictures of any video file that FFmpeg reads, in display order; the first is at ``start_ns``.

    Raises :class:`CodecError` naming the file.
    """
    try:
        with av.open(str(path)) as container:
            first: Fraction | None = None
            for picture in container.decode(video=0):
                if picture.pts is None or picture.time_base is None:
                    raise CodecError(f"{path}: a frame has no time")
                at = picture.pts * picture.time_base
                first = at if first is None else first
                yield PyAvFrame(start_ns + round((at - first) * 1_000_000_000), picture)
    except (av.FFmpegError, IndexError) as error:
        raise CodecError(f"{path}: no video that can be decoded: {error}") from None


def file_fps(path: Path) -> float:
    """Average frames per second of the file's first video stream. Raises :class:`CodecError`."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
    except av.FFmpegError as error:
        raise CodecError(f"{path}: no video that can be read: {error.strerror}") from None
    except IndexError:
        raise CodecError(f"{path}: no video that can be read: it has no video stream") from None
    if not rate:
        raise CodecError(f"{path}: frames per second unknown")
    return float(rate)


OpenEncoder = Callable[[str, VideoFrame, float, int, EncoderSettings], VideoCodecContext]
"""Opens an encoder for a camera and pictures like this one; frames a second, frames a key frame."""


class PyAvCodec:
    """Implements :class:`fsd_firmware.codec.VideoCodec`. Streams are independent of each other."""

    def __init__(self, settings: EncoderSettings | None = None, open_with: OpenEncoder | None = None) -> None:
        self._settings = settings or EncoderSettings()
        self._open = open_with or open_encoder

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
        """AV1, one packet for each frame, in order, times kept. Raises as in the contract.

        Where the encoder stalls, another one is given the pictures since the last key frame, and goes on. Where that one
        stalls as well, the stream is given up.
        """
        stream: _Stream | None = None
        since_key: list[tuple[int, VideoFrame]] = []
        given, owed = 0, False
        for number, frame in enumerate(frames):
            if number % max(keyframe_every, 1) == 0:
                since_key.clear()
                given, owed = 0, stream is not None and stream.lags
            since_key.append((frame.t_ns, _picture_of(frame)))
            first = since_key[0][1]
            stream = stream or self._begin(camera, first, fps, keyframe_every)
            try:
                packets = list(stream.encode(*since_key[-1]))
            except CodecStalledError:
                if owed:  # To pictures that are not kept any more
                    raise
                stream = self._begin(camera, first, fps, keyframe_every)
                packets = [packet for one in since_key for packet in stream.encode(*one)][given:]
            given += len(packets)
            yield from packets
        if stream is not None:
            yield from stream.end()

    def _begin(self, camera: str, picture: VideoFrame, fps: float, keyframe_every: int) -> _Stream:
        context = self._open(camera, picture, fps, keyframe_every, self._settings)
        return _Stream(camera, context, self._settings.patience_s)


class _Stream:
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


def _refusal(packet: EncodedPacket, reason: object) -> CodecError:
    return CodecError(f"camera {packet.camera}: {packet.t_ns} ns: {reason}")


def _decoder(first: EncodedPacket) -> VideoCodecContext:
    if first.codec not in DECODERS:
        raise _refusal(first, f"no decoder for codec {first.codec!r}")
    if not first.keyframe:
        raise _refusal(first, "the stream doesn't begin with a key frame")
    context = _context(DECODERS[first.codec], "r")
    context.thread_count = 1
    # Without these FFmpeg conceals damage, and dav1d waits for frames that a live stream hasn't sent.
    options = {"err_detect": "explode"}
    if first.codec == "av1":
        options["max_frame_delay"] = "1"
    context.options = options
    return context


def _context(name: str, mode: Any) -> VideoCodecContext:
    context = CodecContext.create(name, mode)
    if not isinstance(context, VideoCodecContext):
        raise TypeError(f"{name} is no video codec")
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
    context = _context("libsvtav1", "w")
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
