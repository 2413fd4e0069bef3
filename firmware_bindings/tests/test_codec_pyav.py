"""The software codec on real streams: one packet a frame, black boxes that stay, damage that is named."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

av = pytest.importorskip("av", reason="the video part is not installed")

from av.video.frame import VideoFrame  # noqa: E402  # after the check that it is there

from fsd_firmware.codec import CodecError, CodecStalledError, VideoCodec  # noqa: E402
from fsd_firmware.codec_pyav import PyAvCodec  # noqa: E402
from fsd_firmware.pyav_encoder import EncoderSettings, open_encoder  # noqa: E402
from fsd_firmware.pyav_frames import PyAvFrame, file_fps, frame_from_bgr, frames_of_file  # noqa: E402
from fsd_firmware.samples import EncodedPacket  # noqa: E402

W, H, N = 160, 128, 25
STEP_NS = 50_000_000


def _pictures() -> Iterator[NDArray[np.uint8]]:
    """A textured background that pans, with one bright square on it."""
    texture = np.random.default_rng(3).integers(40, 200, (H // 8, W // 8, 3), dtype=np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    for i in range(N):
        picture = np.roll(texture, 2 * i, 1)
        picture[40:60, 3 * i : 3 * i + 20] = (20, 220, 240)
        yield picture


def _encode(keyframe_every: int = 10) -> list[EncodedPacket]:
    frames = (frame_from_bgr(i * STEP_NS, picture) for i, picture in enumerate(_pictures()))
    return list(PyAvCodec().encode("front", frames, fps=20, keyframe_every=keyframe_every))


@pytest.fixture(scope="module")
def stream() -> list[EncodedPacket]:
    return _encode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's threads are given real-time priority by SVT-AV1")
def test_encoding_leaves_no_thread_at_real_time_priority() -> None:
    """At SCHED_FIFO 99 a video of ours would go before the driving stack."""

    def policies() -> set[int]:
        return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}

    frames = (frame_from_bgr(i * STEP_NS, picture) for i, picture in enumerate(_pictures()))
    packets = PyAvCodec().encode("front", frames, fps=20, keyframe_every=10)
    next(packets)
    assert policies() == {os.SCHED_OTHER}, "in the middle of a stream"
    assert len(list(packets)) == N - 1
    assert policies() == {os.SCHED_OTHER}


def _foreign(encoder: str, name: str) -> list[EncodedPacket]:
    """The same pictures from another encoder, as firmware would deliver them."""
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = W, H, "yuv420p"
    context.time_base, context.framerate, context.gop_size = Fraction(1, 20), Fraction(20), 10
    context.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    out = []
    for i, picture in enumerate(_pictures()):
        frame = VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = i
        out += context.encode(frame)
    out += context.encode(None)
    return [
        EncodedPacket("front", i * STEP_NS, name, packet.is_keyframe, bytes(packet))
        for i, packet in enumerate(out)
    ]


def test_one_packet_a_frame_in_order_with_key_frames_where_asked(stream: list[EncodedPacket]) -> None:
    assert [packet.t_ns for packet in stream] == [i * STEP_NS for i in range(N)]
    assert [i for i, packet in enumerate(stream) if packet.keyframe] == [0, 10, 20]
    assert {packet.codec for packet in stream} == {"av1"}


def _obus(data: bytes) -> list[int]:
    """Types of the open bitstream units of one temporal unit (AV1 specification 5.3)."""
    types, at = [], 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        assert sized, "a unit without its size can't be split"
        at += 1 + extended
        size = shift = 0
        while True:
            byte = data[at]
            size |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if not byte & 128:
                break
        types.append(kind)
        at += size
    return types


def test_each_packet_is_a_whole_temporal_unit(stream: list[EncodedPacket]) -> None:
    delimiter, sequence_header, frame_header, frame = 2, 1, 3, 6
    for packet in stream:
        types = _obus(packet.data)
        assert types.count(delimiter) <= 1
        assert (sequence_header in types) == packet.keyframe
        assert types.count(frame) + types.count(frame_header) == 1


def test_decodes_packet_by_packet_without_delay(stream: list[EncodedPacket]) -> None:
    asked: list[int] = []

    def feed() -> Iterator[EncodedPacket]:
        for packet in stream:
            asked.append(packet.t_ns)
            yield packet

    for frame, picture in zip(PyAvCodec().decode(feed()), _pictures(), strict=True):
        assert asked[-1] == frame.t_ns, "the decoder waited for a later packet"
        assert np.abs(frame.bgr().astype(int) - picture).mean() < 12


def test_decoding_may_begin_at_any_key_frame(stream: list[EncodedPacket]) -> None:
    assert [f.t_ns for f in PyAvCodec().decode(stream[10:])] == [i * STEP_NS for i in range(10, N)]
    with pytest.raises(CodecError, match=r"camera front: 550000000 ns: .*key frame"):
        list(PyAvCodec().decode(stream[11:]))


@pytest.mark.parametrize(("encoder", "name"), [("libvpx-vp9", "vp9"), ("libsvtav1", "av1")])
def test_decodes_what_other_encoders_made(encoder: str, name: str) -> None:
    if encoder not in av.codec.codecs_available:
        pytest.skip(f"{encoder} is not in this build")
    packets = _foreign(encoder, name) if name == "vp9" else _encode(5)
    pairs = list(zip(PyAvCodec().decode(packets), _pictures(), strict=True))
    assert all(np.abs(frame.bgr().astype(int) - picture).mean() < 12 for frame, picture in pairs)


def test_filled_boxes_are_black_and_later_frames_are_whole(stream: list[EncodedPacket]) -> None:
    """Painting a decoded frame must not leak into the frames predicted from it."""
    clean = [frame.bgr() for frame in PyAvCodec().decode(stream)]
    box = np.array([[33, 21, 60, 50]], np.int32)
    for i, frame in enumerate(PyAvCodec().decode(stream)):
        if i % 3 == 0:
            frame.fill(box)
            painted = frame.bgr()
            assert painted[20:50, 32:60].max() <= 4
            assert np.array_equal(painted[:18], clean[i][:18])
        else:
            assert np.array_equal(frame.bgr(), clean[i])


def test_luma_is_a_copy_of_the_brightness_in_video_range() -> None:
    grey = np.repeat(np.array([0, 128, 255], np.uint8).repeat(W)[None], H, axis=0)[:, : 3 * W]
    frame = frame_from_bgr(0, np.repeat(grey[:, :, None], 3, axis=2))
    luma = frame.luma()
    assert luma.shape == (H, 3 * W)
    assert [int(luma[50, at * W + W // 2]) for at in range(3)] == pytest.approx([16, 126, 235], abs=1)
    luma[:] = 0
    assert frame.luma().max() > 230
    frame.fill(np.array([[0, 0, W, H]], np.int32))
    assert frame.luma()[:, :W].max() == 16


def test_boxes_are_widened_to_even_pixels_and_clipped() -> None:
    frame = frame_from_bgr(0, np.full((64, 64, 3), 200, np.uint8))
    frame.fill(np.array([[-5, -7, 3, 3], [61, 61, 900, 900], [10, 10, 10, 30], [30, 30, 20, 40]], np.int32))
    picture = frame.bgr().astype(int)
    assert picture[:4, :4].max() <= 4
    assert picture[60:, 60:].max() <= 4
    assert picture[8:58, 8:58].min() > 180
    frame.fill(np.empty((0, 4), np.int32))


def test_the_same_pictures_give_the_same_bytes(stream: list[EncodedPacket]) -> None:
    assert [packet.data for packet in _encode()] == [packet.data for packet in stream]


def test_frames_of_another_codec_are_encoded_through_their_picture(stream: list[EncodedPacket]) -> None:
    class Plain:
        def __init__(self, inner: PyAvFrame) -> None:
            self.t_ns, self.width, self.height = inner.t_ns, inner.width, inner.height
            self.bgr, self.fill = inner.bgr, inner.fill

    codec: VideoCodec = PyAvCodec()
    packets = list(
        codec.encode("front", map(Plain, PyAvCodec().decode(stream[:3])), fps=20, keyframe_every=10)
    )
    assert [packet.t_ns for packet in packets] == [0, STEP_NS, 2 * STEP_NS]


def test_decoded_frames_can_be_encoded_again(stream: list[EncodedPacket]) -> None:
    again = list(PyAvCodec().encode("front", PyAvCodec().decode(stream), fps=20, keyframe_every=7))
    assert [i for i, packet in enumerate(again) if packet.keyframe] == [0, 7, 14, 21]


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, bytes(range(200))])
def test_a_damaged_packet_is_named(stream: list[EncodedPacket], damage: bytes) -> None:
    packets = [*stream[:4], replace(stream[4], data=damage), *stream[5:9]]
    with pytest.raises(CodecError, match="camera front: "):
        list(PyAvCodec().decode(packets))


def test_a_truncated_packet_is_named(stream: list[EncodedPacket]) -> None:
    packets = [replace(stream[0], data=stream[0].data[:-100]), *stream[1:]]
    with pytest.raises(CodecError, match="camera front: 0 ns: can't be decoded"):
        list(PyAvCodec().decode(packets))


def test_an_unknown_codec_and_a_change_of_codec_are_refused(stream: list[EncodedPacket]) -> None:
    with pytest.raises(CodecError, match="no decoder for codec 'mjpeg'"):
        list(PyAvCodec().decode([replace(stream[0], codec="mjpeg")]))
    with pytest.raises(CodecError, match="changes from av1 to vp9"):
        list(PyAvCodec().decode([stream[0], replace(stream[1], codec="vp9")]))


def test_what_cannot_be_encoded_is_refused() -> None:
    def frame(width: int, height: int) -> PyAvFrame:
        return frame_from_bgr(0, np.zeros((height, width, 3), np.uint8))

    with pytest.raises(CodecError, match="65x64"):
        list(PyAvCodec().encode("front", [frame(65, 64)], fps=20, keyframe_every=10))
    with pytest.raises(CodecError, match="size changes"):
        list(PyAvCodec().encode("front", [frame(64, 64), frame(96, 64)], fps=20, keyframe_every=10))
    with pytest.raises(CodecError, match="must be positive"):
        list(PyAvCodec().encode("front", [frame(64, 64)], fps=0, keyframe_every=10))


class StallsOnce:
    """Opens encoders, of which the first never comes back from its picture number ``at``."""

    def __init__(self, at: int) -> None:
        self.at, self.opened, self.release = at, 0, threading.Event()

    def __call__(
        self, camera: str, picture: VideoFrame, fps: float, every: int, settings: EncoderSettings
    ) -> Any:
        self.opened += 1
        context = open_encoder(camera, picture, fps, every, settings)
        return _Stalls(context, self.at, self.release) if self.opened == 1 else context


class _Stalls:
    def __init__(self, context: Any, at: int, release: threading.Event) -> None:
        self._context, self._at, self._release, self._count = context, at, release, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def encode(self, picture: VideoFrame | None) -> Any:
        if self._count == self._at:
            self._release.wait()
        self._count += 1
        return self._context.encode(picture)


@pytest.mark.parametrize("at", [0, 9, 10, 15])
def test_another_encoder_takes_over_from_one_that_stalls_with_the_same_bytes(at: int) -> None:
    def pictures() -> Iterator[PyAvFrame]:
        rng = np.random.default_rng(3)
        return (frame_from_bgr(5 * n, rng.integers(0, 255, (96, 128, 3), np.uint8)) for n in range(24))

    stalls = StallsOnce(at)
    codec = PyAvCodec(EncoderSettings(patience_s=2.0), stalls)
    found = list(codec.encode("front", pictures(), fps=20, keyframe_every=10))
    assert stalls.opened == 2
    assert found == list(PyAvCodec().encode("front", pictures(), fps=20, keyframe_every=10))
    stalls.release.set()


def test_encoders_that_stall_again_are_given_up() -> None:
    picture = frame_from_bgr(5, np.zeros((720, 1280, 3), np.uint8))
    codec = PyAvCodec(EncoderSettings(patience_s=0.0))
    with pytest.raises(CodecStalledError, match=r"^camera front: 5 ns: video encoder: not back after 0 s$"):
        list(codec.encode("front", [picture], fps=20, keyframe_every=20))


def test_nothing_in_nothing_out() -> None:
    assert list(PyAvCodec().decode([])) == []
    assert list(PyAvCodec().encode("front", [], fps=20, keyframe_every=10)) == []


def test_a_file_gives_its_pictures_and_times(tmp_path: Path, stream: list[EncodedPacket]) -> None:
    path = tmp_path / "street.ivf"
    header = b"DKIF" + (0).to_bytes(2, "little") + (32).to_bytes(2, "little") + b"AV01"
    header += W.to_bytes(2, "little") + H.to_bytes(2, "little")
    header += b"".join(v.to_bytes(4, "little") for v in (20, 1, N, 0))
    body = b"".join(
        len(p.data).to_bytes(4, "little") + i.to_bytes(8, "little") + p.data for i, p in enumerate(stream)
    )
    path.write_bytes(header + body)
    assert file_fps(path) == 20
    assert [f.t_ns for f in frames_of_file(path, 7)] == [7 + i * STEP_NS for i in range(N)]
    path.write_bytes(b"no video")
    with pytest.raises(CodecError, match=r"street\.ivf"):
        list(frames_of_file(path))
