"""The video codec contract: decode, look, paint, encode.

Hardware codecs of a driving computer implement :class:`VideoCodec`; ``codec_pyav`` is the software fallback
and an optional part (its wheel bundles GPL encoders, none of which it ever selects).

Memory. Everything is a generator over frames, so memory does not grow with the length of a clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fsd_firmware.samples import EncodedPacket


class CodecError(Exception):
    """A packet can't be decoded or a frame can't be encoded; the message names camera, time and reason."""


class CodecStalledError(Exception):
    """The codec has given nothing for far too long, and was left behind. The same frames may well pass another time."""


class DecodedFrame(Protocol):
    """One picture in the codec's own memory."""

    @property
    def t_ns(self) -> int:
        """Time of the packet it came from."""
        ...

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...

    def bgr(self) -> NDArray[np.uint8]:
        """A copy as (height, width, 3)."""
        ...

    def luma(self) -> NDArray[np.uint8]:
        """A copy of the brightness alone as (height, width): 16 black to 235 white, as cameras' encoders have it."""
        ...

    def fill(self, boxes: NDArray[np.int32]) -> None:
        """Paint solid black rectangles.

        ``boxes`` has shape (n, 4): x1, y1, x2, y2, x2 and y2 exclusive. They are clipped to the picture and
        widened to even pixels, so that chroma of a covered pixel never shows.
        """
        ...

    def pixelate(self, boxes: NDArray[np.int32]) -> None:
        """Make rectangles, as ``fill`` takes them, a few flat cells each, as :mod:`fsd_firmware.pixelate` says."""
        ...


class VideoCodec(Protocol):
    """Decodes and encodes whole streams. One stream is used by one thread at a time."""

    def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[DecodedFrame]:
        """One frame for each packet, in order. The first packet must be a key frame.

        Raises :class:`CodecError` on a packet that can't be decoded, and when fewer frames come out than
        packets went in.
        """
        ...

    def encode(
        self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
    ) -> Iterator[EncodedPacket]:
        """One packet for each frame, in order, times kept; the codec is the implementation's own choice.

        Raises :class:`CodecError` on a frame that can't be encoded, :class:`CodecStalledError` instead of waiting for ever.
        """
        ...
