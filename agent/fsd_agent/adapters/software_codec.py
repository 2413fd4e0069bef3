"""The software codec, loaded at its first use: an agent that only listens does without its libraries (15 MB)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator

from fsd_firmware.codec import CodecError, DecodedFrame, VideoCodec
from fsd_firmware.samples import EncodedPacket


def software_codec() -> VideoCodec | None:
    """None where the optional part ``video`` is not installed."""
    return SoftwareCodec() if importlib.util.find_spec("av") is not None else None


class SoftwareCodec:
    """Implements :class:`fsd_firmware.codec.VideoCodec`; libraries that can't be loaded are a ``CodecError``."""

    def decode(self, packets: Iterable[EncodedPacket]) -> Iterator[DecodedFrame]:
        """See the contract."""
        return _loaded().decode(packets)

    def encode(
        self, camera: str, frames: Iterable[DecodedFrame], *, fps: float, keyframe_every: int
    ) -> Iterator[EncodedPacket]:
        """See the contract."""
        return _loaded().encode(camera, frames, fps=fps, keyframe_every=keyframe_every)


def _loaded() -> VideoCodec:
    try:
        from fsd_firmware.codec_pyav import PyAvCodec
    except ImportError as error:
        raise CodecError(f"the software codec can't be loaded: {error}") from error
    return PyAvCodec()
