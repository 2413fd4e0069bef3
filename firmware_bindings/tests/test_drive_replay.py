"""The replay as firmware: pace, loops, limits, registration, raw frames, drives that are cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsd_firmware.contract import Firmware, FirmwareError
from fsd_firmware.drive.format import DriveCut, DriveError
from fsd_firmware.drive.replay import DriveReplay
from fsd_firmware.samples import EncodedPacket, SensedBatch

SECOND = 1_000_000_000
FPS = 20


def _polled(source: Firmware) -> Iterator[SensedBatch]:
    while (batch := source.poll()) is not None:
        yield batch
    source.close()


def test_at_full_speed_it_gives_everything(kit: Any, drive: Any) -> None:
    path, what = drive
    source = DriveReplay(path, speed="max")
    assert source.describe().cameras == kit.description().cameras
    assert kit.same(kit.collect(_polled(source)), what)
    assert source.poll() is None
    source.close()


def test_real_time_is_paced(kit: Any, tmp_path: Path) -> None:
    path = kit.write(tmp_path / "short.mcap", kit.content(0.6, seed=2))
    source = DriveReplay(path, speed="real", tick_ns=20_000_000)
    begun = time.monotonic()
    late = [time.monotonic() - begun - (b.until_ns - kit.start_ns) / SECOND for b in _polled(source)]
    assert time.monotonic() - begun >= 0.55
    assert min(late) > -0.05  # never earlier than the drive itself, to a tick


def test_close_ends_a_waiting_poll(kit: Any, drive: Any) -> None:
    source = DriveReplay(drive[0], speed="real", tick_ns=60 * SECOND)
    threading.Timer(0.1, source.close).start()
    begun = time.monotonic()
    assert source.poll() is None
    assert time.monotonic() - begun < 5


def test_a_loop_goes_on_in_time(kit: Any, drive: Any) -> None:
    path, what = drive
    batches: list[SensedBatch] = []
    found = kit.collect(_polled(DriveReplay(path, speed="max", loop=True, max_seconds=12.0)), batches)
    assert len(found.can) > 2 * len(what.can)
    length = len(what.can)
    assert np.array_equal(found.can.data[:length], found.can.data[length : 2 * length])
    steps = found.can.t_ns[length : 2 * length] - found.can.t_ns[:length]
    assert len(set(steps.tolist())) == 1
    assert 11.9 * SECOND < batches[-1].until_ns - batches[0].until_ns <= 12 * SECOND


def test_a_limit_ends_the_drive(kit: Any, drive: Any) -> None:
    path, what = drive
    batches: list[SensedBatch] = []
    found = kit.collect(_polled(DriveReplay(path, speed="max", max_seconds=2.0)), batches)
    assert kit.same(found, what.before(batches[-1].until_ns))


def test_registration_is_read_anew(tmp_path: Path, drive: Any) -> None:
    file = tmp_path / "registration.json"
    source = DriveReplay(drive[0], registration=file)
    assert source.registration() is None
    file.write_bytes(b'{"jurisdiction": "CN"}')
    assert source.registration() == b'{"jurisdiction": "CN"}'
    file.write_bytes(b"other")
    assert source.registration() == b"other"
    assert DriveReplay(drive[0]).registration() is None
    with pytest.raises(FirmwareError, match="registration can't be read"):
        DriveReplay(drive[0], registration=tmp_path).registration()


@pytest.mark.parametrize("loop", [False, True])
def test_a_cut_drive_gives_its_part_then_says_where_it_ends(
    kit: Any, drive: Any, tmp_path: Path, loop: bool
) -> None:
    path, what = drive
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = DriveReplay(cut, speed="max", loop=loop)
    batches: list[SensedBatch] = []
    with pytest.raises(DriveCut, match=r"cut\.mcap: cut off .* byte .*everything before"):
        kit.collect(_polled(source), batches)
    assert kit.same(kit.joined(batches), what.before(batches[-1].until_ns))
    assert len(batches[0].can) or len(batches) > 1
    assert source.poll() is None


def test_what_can_not_be_asked_is_refused(kit: Any, drive: Any, tmp_path: Path) -> None:
    path = drive[0]
    with pytest.raises(FirmwareError, match="frames_hz"):
        DriveReplay(path, frames_hz=5.0)
    with pytest.raises(ValueError, match="max_seconds"):
        DriveReplay(path, max_seconds=0.0)
    with pytest.raises(ValueError, match="tick_ns"):
        DriveReplay(path, tick_ns=0)
    with pytest.raises(DriveError, match="No such file"):
        DriveReplay(tmp_path / "none.mcap")
    empty = kit.write(tmp_path / "empty.mcap", kit.Content())
    with pytest.raises(DriveError, match="no samples"):
        DriveReplay(empty, speed="max").poll()


@pytest.fixture(scope="module")
def filmed(kit: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds with real video on the front camera, which begins two packets before a key frame."""
    pytest.importorskip("av", reason="the video part is not installed")
    from fsd_firmware.codec_pyav import PyAvCodec
    from fsd_firmware.pyav_frames import frame_from_bgr

    def frames() -> Iterator[object]:
        for i in range(3 * FPS):
            picture = np.full((96, 128, 3), i * 4, np.uint8)
            yield frame_from_bgr(kit.start_ns + i * SECOND // FPS, picture)

    packets = list(PyAvCodec().encode("front", frames(), fps=FPS, keyframe_every=FPS))
    return kit.write(
        tmp_path_factory.mktemp("filmed") / "filmed.mcap",
        kit.content(3.0, seed=5, codec_packets=packets[FPS - 2 :]),
    )


@pytest.mark.parametrize("tick_ns", [9_000_000, 130_000_000, 4 * SECOND])
def test_raw_frames_are_on_a_grid_of_time(kit: Any, filmed: Path, tick_ns: int) -> None:
    from fsd_firmware.codec_pyav import PyAvCodec

    source = DriveReplay(filmed, speed="max", tick_ns=tick_ns, frames_hz=5.0, codec=PyAvCodec())
    batches: list[SensedBatch] = []
    kit.collect(_polled(source), batches)
    frames = [(frame, batch) for batch in batches for frame in batch.frames]
    key_ns = kit.start_ns + SECOND
    packets = [p for batch in batches for p in batch.packets if p.t_ns >= key_ns]
    first_in_slot = {p.t_ns // 200_000_000: p for p in reversed(packets)}
    assert [f.t_ns for f, _ in frames] == sorted(p.t_ns for p in first_in_slot.values())
    for frame, batch in frames:
        assert frame.bgr.shape == (96, 128, 3)
        assert frame.t_ns in {p.t_ns for p in batch.packets}
        shown = (frame.t_ns - kit.start_ns) * FPS // SECOND * 4
        assert abs(float(frame.bgr.mean()) - shown) < 6


def test_video_that_can_not_be_decoded_is_named(kit: Any, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the video part is not installed")
    from fsd_firmware.codec_pyav import PyAvCodec

    noise = [
        EncodedPacket("front", kit.start_ns + i * 50_000_000, "av1", i == 0, b"\x12noise") for i in range(9)
    ]
    path = kit.write(tmp_path / "noise.mcap", kit.content(1.0, codec_packets=noise))
    with pytest.raises(FirmwareError, match=r"noise\.mcap: camera front"):
        list(_polled(DriveReplay(path, speed="max", frames_hz=5.0, codec=PyAvCodec())))
