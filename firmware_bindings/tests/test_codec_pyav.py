"""The software codec on real streams: one packet a frame, black boxes that stay, damage that is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

av = pytest.importorskip("av", reason="the video part is not installed")

from av.video.frame import VideoFrame  # noqa: E402  # after the check that it is there

from fsd_firmware.codec import CodecError, VideoCodec  # noqa: E402
from fsd_firmware.codec_pyav import PyAvCodec  # noqa: E402
from fsd_firmware.pyav_frames import PyAvFrame, file_fps, frame_from_bgr, frames_of_file  # noqa: E402
from fsd_firmware.samples import EncodedPacket  # noqa: E402

W, H, N = 160, 128, 25
OPTIONS = {
    "libvpx-vp9": {"deadline": "good", "cpu-used": "5", "lag-in-frames": "0"},
    "libsvtav1": {"preset": "12", "svtav1-params": "pred-struct=1:lp=1"},
}
"""Of other encoders: no reordering, so that a frame is a packet."""
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


def test_encoding_begins_no_thread() -> None:
    """Threads of a library may get priorities of their own, and wait for each other."""

    def threads() -> set[int]:
        return {int(task.name) for task in Path("/proc/self/task").iterdir()}

    before = threads()
    frames = (frame_from_bgr(i * STEP_NS, picture) for i, picture in enumerate(_pictures()))
    packets = PyAvCodec().encode("front", frames, fps=20, keyframe_every=10)
    next(packets)
    assert threads() == before, "in the middle of a stream"
    assert len(list(packets)) == N - 1


def _foreign(encoder: str, name: str) -> list[EncodedPacket]:
    """The same pictures from another encoder, as firmware would deliver them."""
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = W, H, "yuv420p"
    context.time_base, context.framerate, context.gop_size = Fraction(1, 20), Fraction(20), 10
    context.options = OPTIONS[encoder]
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
    assert {packet.codec for packet in stream} == {"vp9"}


def test_each_packet_is_one_whole_frame(stream: list[EncodedPacket]) -> None:
    """Not a superframe, which would bring a hidden frame (VP9 bitstream specification 1.0, annex B)."""
    for packet in stream:
        assert packet.data[0] >> 6 == 0b10, "frame marker"
        assert packet.data[-1] >> 5 != 0b110, "marker of a superframe's index"
        assert (packet.data[0] >> 2 & 1 == 0) == packet.keyframe, "frame type"


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
    pairs = list(zip(PyAvCodec().decode(_foreign(encoder, name)), _pictures(), strict=True))
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


@pytest.mark.parametrize("lost", [1, 2, 10, 100])
@pytest.mark.parametrize("at", [0, 4, 10])
def test_a_truncated_packet_is_named(stream: list[EncodedPacket], at: int, lost: int) -> None:
    packets = list(stream)
    packets[at] = replace(stream[at], data=stream[at].data[:-lost])
    with pytest.raises(CodecError, match=f"camera front: {stream[at].t_ns} ns: can't be decoded"):
        list(PyAvCodec().decode(packets))


def test_an_unknown_codec_and_a_change_of_codec_are_refused(stream: list[EncodedPacket]) -> None:
    with pytest.raises(CodecError, match="no decoder for codec 'mjpeg'"):
        list(PyAvCodec().decode([replace(stream[0], codec="mjpeg")]))
    with pytest.raises(CodecError, match="changes from vp9 to av1"):
        list(PyAvCodec().decode([stream[0], replace(stream[1], codec="av1")]))


def test_what_cannot_be_encoded_is_refused() -> None:
    def frame(width: int, height: int) -> PyAvFrame:
        return frame_from_bgr(0, np.zeros((height, width, 3), np.uint8))

    with pytest.raises(CodecError, match="size changes"):
        list(PyAvCodec().encode("front", [frame(64, 64), frame(96, 64)], fps=20, keyframe_every=10))
    for fps, every in ((0, 10), (20, 0)):
        with pytest.raises(CodecError, match="must be positive"):
            list(PyAvCodec().encode("front", [frame(64, 64)], fps=fps, keyframe_every=every))


@pytest.mark.parametrize(("width", "height"), [(2, 2), (8, 6), (65, 63), (1, 3)])
def test_pictures_of_any_size_are_encoded_and_painted_to_their_edges(width: int, height: int) -> None:
    frames = [frame_from_bgr(n * STEP_NS, np.full((height, width, 3), 200, np.uint8)) for n in range(5)]
    for frame in frames[2:]:
        frame.fill(np.array([[0, 0, width, height]], np.int32))
    packets = list(PyAvCodec().encode("front", frames, fps=20, keyframe_every=4))
    assert [packet.keyframe for packet in packets] == [True, False, False, False, True]
    found = [frame.luma() for frame in PyAvCodec().decode(packets)]
    assert {one.shape for one in found} == {(height, width)}
    assert min(int(one.min()) for one in found[:2]) > 160
    assert max(int(one.max()) for one in found[2:]) <= 20


def test_a_large_picture_at_a_high_rate_is_encoded() -> None:
    """The rate that is asked for would not fit into FFmpeg's 32 bits."""
    picture = frame_from_bgr(0, np.full((2160, 3840, 3), 90, np.uint8))
    (packet,) = PyAvCodec().encode("front", [picture], fps=120, keyframe_every=120)
    assert packet.keyframe


@pytest.mark.parametrize("every", [1, 2, 7])
def test_key_frames_come_as_often_as_asked_for_and_not_at_cuts(every: int) -> None:
    """Pictures of noise, of which none resembles the one before: a cut at each, and more bytes than any street."""
    rng = np.random.default_rng(5)
    frames = [frame_from_bgr(n * STEP_NS, rng.integers(0, 255, (96, 128, 3), np.uint8)) for n in range(15)]
    packets = list(PyAvCodec().encode("front", frames, fps=20, keyframe_every=every))
    assert [n for n, packet in enumerate(packets) if packet.keyframe] == list(range(0, 15, every))


def test_nothing_in_nothing_out() -> None:
    assert list(PyAvCodec().decode([])) == []
    assert list(PyAvCodec().encode("front", [], fps=20, keyframe_every=10)) == []


def test_a_file_gives_its_pictures_and_times(tmp_path: Path, stream: list[EncodedPacket]) -> None:
    path = tmp_path / "street.ivf"
    header = b"DKIF" + (0).to_bytes(2, "little") + (32).to_bytes(2, "little") + b"VP90"
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
