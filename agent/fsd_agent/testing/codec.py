"""A video codec without video: pictures as compressed differences, with a real codec's manners.

A key frame's packet is the deflated picture; every other packet is the deflated difference to the picture
before, so that a missing or damaged packet breaks what follows it. Painting a decoded frame is copy-on-write, as
the contract asks. It loses nothing, so tests may compare pixels exactly.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.codec import CodecError, DecodedFrame
from fsd_firmware.pixelate import cells_in, pairs_of, pixelate
from fsd_firmware.samples import EncodedPacket

_HEADER = struct.Struct("<HH")


class PictureFrame:
    """One picture in memory."""

    __slots__ = ("_bgr", "_t_ns")

    def __init__(self, t_ns: int, bgr: NDArray[np.uint8]) -> None:
        self._t_ns, self._bgr = t_ns, bgr

    @property
    def t_ns(self) -> int:
        """Time of the packet it came from."""
        return self._t_ns

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._bgr.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._bgr.shape[0])

    def bgr(self) -> NDArray[np.uint8]:
        """A copy as (height, width, 3)."""
        return self._bgr.copy()

    def luma(self) -> NDArray[np.uint8]:
        """Brightness alone, 16 to 235 (ITU-R BT.601)."""
        weighted = self._bgr @ np.array([0.114, 0.587, 0.299])
        return np.asarray(np.rint(16 + weighted * (219 / 255)), np.uint8)

    def fill(self, boxes: NDArray[np.int32]) -> None:
        """Paint black rectangles, clipped and widened to even pixels."""
        self._bgr = self._bgr.copy()
        for left, top, right, bottom in pairs_of(boxes, self.width, self.height):
            self._bgr[2 * top : 2 * bottom, 2 * left : 2 * right] = 0

    def pixelate(self, boxes: NDArray[np.int32]) -> None:
        """Make rectangles a few flat cells each, all of them grey."""
        self._bgr = self._bgr.copy()
        for down, across in cells_in(boxes, self.width, self.height):
            luma = self.luma()
            pixelate(luma, 2 * down, 2 * across)
            inside = (slice(2 * down[0], 2 * down[-1]), slice(2 * across[0], 2 * across[-1]))
            grey = np.rint((luma[inside].astype(np.float64) - 16) * (255 / 219))
            self._bgr[inside] = np.clip(grey, 0, 255).astype(np.uint8)[:, :, None]


class PictureCodec:
    """Implements :class:`fsd_firmware.codec.VideoCodec`. Breaks where it is told to, as a codec does."""

    def __init__(self, *, fail_decode_at: int | None = None, fail_encode_at: int | None = None) -> None:
        """``fail_...``: number of the packet or frame in a stream at which a :class:`CodecError` is raised."""
        self._fail_decode_at, self._fail_encode_at = fail_decode_at, fail_encode_at

    def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[PictureFrame]:
        """One frame for each packet, in order. Raises :class:`CodecError`."""
        last: NDArray[np.uint8] | None = None
        for number, packet in enumerate(packets):
            where = f"camera {packet.camera}: {packet.t_ns} ns"
            if number == self._fail_decode_at:
                raise CodecError(f"{where}: can't be decoded: told to fail")
            try:
                raw = zlib.decompress(packet.data)
            except zlib.error as error:
                raise CodecError(f"{where}: can't be decoded: {error}") from None
            width, height = _HEADER.unpack_from(raw)
            body = np.frombuffer(raw, np.uint8, offset=_HEADER.size).reshape(height, width, 3)
            if packet.keyframe:
                last = body
            elif last is None or last.shape != body.shape:
                raise CodecError(f"{where}: no key frame to begin from")
            else:
                last = last ^ body
            yield PictureFrame(packet.t_ns, last)

    def encode(
        self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
    ) -> Iterator[EncodedPacket]:
        """One packet for each frame, in order, times kept. Raises :class:`CodecError`."""
        if fps <= 0 or keyframe_every < 1:
            raise CodecError(
                f"camera {camera}: fps {fps} and keyframe_every {keyframe_every} must be positive"
            )
        last: NDArray[np.uint8] | None = None
        for number, frame in enumerate(frames):
            if number == self._fail_encode_at:
                raise CodecError(f"camera {camera}: {frame.t_ns} ns: can't be encoded: told to fail")
            picture = frame.bgr()
            keyframe = last is None or number % keyframe_every == 0
            body = picture if keyframe or last is None else picture ^ last
            header = _HEADER.pack(frame.width, frame.height)
            data = zlib.compress(header + body.tobytes(), level=1)
            yield EncodedPacket(camera, frame.t_ns, "picture", keyframe, data)
            last = picture
