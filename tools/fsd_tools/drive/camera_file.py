"""A video file as a camera of a drive: decoded, and encoded anew the way drives want it.

Without B-frames and with a key frame about every second, at the file's own frame rate and size. Frames are
encoded as they are asked for, so memory doesn't grow with the file; a file that repeats is encoded once and
its packets are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from fsd_firmware.codec import CodecError
from fsd_firmware.contract import CameraDescription
from fsd_firmware.samples import EncodedPacket
from fsd_tools.errors import ToolError

if TYPE_CHECKING:
    from fsd_firmware.pyav_frames import PyAvFrame


class CameraFile:
    """Packets of ``path`` as camera ``name`` from ``start_ns`` until ``end_ns`` or the file's end.

    Raises :class:`ToolError` naming the file when it can't be decoded or encoded, or never shows.
    """

    def __init__(self, path: Path, *, name: str, start_ns: int, end_ns: int, loop: bool) -> None:
        if start_ns >= end_ns:
            raise ToolError(f"{path}: the video would begin after the drive's end")
        try:
            from fsd_firmware import codec_pyav, pyav_frames
        except ModuleNotFoundError as error:
            raise ToolError(f"{path}: reading video needs the extra 'video' ({error})") from error
        self._path = path
        self._end_ns = end_ns
        self._loop = loop
        self._codec = codec_pyav.PyAvCodec()
        self.written = 0
        """Packets given so far."""
        try:
            fps = pyav_frames.file_fps(path)
            frames = pyav_frames.frames_of_file(path, start_ns)
            first = next(frames, None)
        except CodecError as error:
            raise ToolError(str(error)) from error
        if first is None:
            raise ToolError(f"{path}: the video has no frames")
        self.description = CameraDescription(name, first.width, first.height, fps)
        self._packets = self._all(chain((first,), frames))
        self._next: EncodedPacket | None = None

    def before(self, until_ns: int) -> Iterator[EncodedPacket]:
        """The packets not given yet with ``t_ns < until_ns``."""
        while True:
            try:
                packet = self._next or next(self._packets, None)
            except CodecError as error:
                raise ToolError(f"{self._path}: {error}") from error
            self._next = packet
            if packet is None or packet.t_ns >= until_ns:
                return
            self._next = None
            self.written += 1
            yield packet

    def _all(self, frames: Iterator[PyAvFrame]) -> Iterator[EncodedPacket]:
        kept: list[EncodedPacket] = []
        camera = self.description
        for packet in self._codec.encode(
            camera.name, frames, fps=camera.fps, keyframe_every=max(1, round(camera.fps))
        ):
            if packet.t_ns >= self._end_ns:
                return
            if self._loop:
                kept.append(packet)
            yield packet
        if not kept:
            return
        length_ns = kept[-1].t_ns - kept[0].t_ns + round(1e9 / camera.fps)
        shift_ns = length_ns
        while True:
            for packet in kept:
                if packet.t_ns + shift_ns >= self._end_ns:
                    return
                yield replace(packet, t_ns=packet.t_ns + shift_ns)
            shift_ns += length_ns
