"""Pictures in FFmpeg's memory, through PyAV: painted, converted, and read from any video file. An optional part.

Pictures are planar 4:2:0 with 8 bits; others are converted.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from fsd_firmware.codec import CodecError
from fsd_firmware.pixelate import cells_in, pairs_of, pixelate

BLACK_LUMA, GREY_CHROMA = 16, 128
"""Black in video range (ITU-T H.273, MatrixCoefficients 1 and 6)."""
PIXEL_FORMAT = "yuv420p"


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
        luma, *chroma = self._own_planes(boxes)
        for left, top, right, bottom in pairs_of(boxes, self.width, self.height):
            luma[2 * top : 2 * bottom, 2 * left : 2 * right] = BLACK_LUMA
            for plane in chroma:
                plane[top:bottom, left:right] = GREY_CHROMA

    def pixelate(self, boxes: NDArray[np.int32]) -> None:
        """Make rectangles a few flat cells each; see the contract."""
        luma, *chroma = self._own_planes(boxes)
        for down, across in cells_in(boxes, self.width, self.height):
            pixelate(luma, 2 * down, 2 * across)
            for plane in chroma:
                pixelate(plane, down, across)

    def _own_planes(self, boxes: NDArray[np.int32]) -> list[NDArray[np.uint8]]:
        """To be written to, where there is something to write.

        The decoder still predicts from its own memory: without a copy, later frames would break.
        """
        if len(boxes):
            self._picture.make_writable()
        return [_plane(self._picture, index) for index in range(3)]


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


def _plane(picture: VideoFrame, index: int) -> NDArray[np.uint8]:
    """One plane as a writable view of (rows, columns) without the padding."""
    plane = picture.planes[index]
    memory = memoryview(plane)
    view: NDArray[np.uint8] = np.frombuffer(memory, np.uint8).reshape(-1, plane.line_size)
    return view[: plane.height, : plane.width]
