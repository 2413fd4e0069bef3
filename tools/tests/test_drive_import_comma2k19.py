"""The real minute as a drive: counts, values against the data set's own decoding, camera, and bad folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.drive.columns import join
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.replay import DriveReplay
from fsd_firmware.samples import DriveMode, SensedBatch
from fsd_tools.data import data_dir
from fsd_tools.main import main

FOLDER = data_dir() / "comma2k19"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no comma2k19 segment at {FOLDER}")

ALL_FRAMES = 135_468
SENT = 36_668
VIN = 120


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The minute without a camera."""
    path = tmp_path_factory.mktemp("minute") / "minute.mcap"
    assert main(["drive", "import", "comma2k19", str(FOLDER), "-o", str(path)]) == 0
    return path


def _batches(path: Path) -> list[SensedBatch]:
    return list(DriveReader(path).chunks())


def test_all_received_frames_are_there_and_no_vin(minute: Path) -> None:
    can = join([batch.can for batch in _batches(minute)])
    assert len(can) == ALL_FRAMES - SENT - VIN
    assert not np.isin(can.can_id, (0x580, 0x581, 0x582)).any()
    assert set(can.bus.tolist()) == {0, 1}
    t = np.load(FOLDER / "processed_log/CAN/raw_can/t")
    assert abs(int(can.t_ns[0]) - t[0] * 1e9) < 1000


def test_values_equal_the_data_sets_own(minute: Path) -> None:
    reader = DriveReader(minute)
    table = reader.description.signal_table
    assert table is not None
    signals = Decoder(table).decode(join([batch.can for batch in reader.chunks()]))
    rows = reader.description.catalogue.rows

    def of(path: str) -> np.ndarray:
        return signals.value[signals.signal == rows[path]]

    log = FOLDER / "processed_log/CAN"
    wheels = np.stack(
        [
            of(f"Vehicle.Chassis.Axle.{row}.Wheel.{side}.Speed")
            for row in ("Row1", "Row2")
            for side in ("Left", "Right")
        ],
        axis=1,
    )
    assert np.allclose(wheels / 3.6, np.load(log / "wheel_speed/value"), atol=1e-6)
    steering = of("Vehicle.Chassis.SteeringWheel.Angle") + of("Vehicle.FSD.SteeringWheel.AngleFraction")
    assert np.allclose(steering, np.load(log / "steering_angle/value").ravel(), atol=1e-6)


def test_fixes_and_the_wall_clock(minute: Path) -> None:
    gnss = join([batch.gnss for batch in _batches(minute)])
    value = np.load(FOLDER / "processed_log/GNSS/live_gnss_ublox/value")
    assert len(gnss) == len(value) == 579
    assert np.allclose(gnss.lat_deg, value[:, 0])
    assert np.allclose(gnss.lon_deg, value[:, 1])
    assert np.allclose(gnss.speed_mps, value[:, 2])
    assert np.allclose(gnss.alt_m, value[:, 4])
    assert np.allclose(gnss.heading_deg, value[:, 5])
    late_ns = gnss.t_ns + DriveReader(minute).info.wall_minus_mono_ns - value[:, 3].astype(np.int64) * 10**6
    assert late_ns.min() == 0
    assert late_ns.max() < 500_000_000


def test_modes_follow_the_cruise_control(minute: Path) -> None:
    modes = [mode for batch in _batches(minute) for mode in batch.modes]
    assert [mode.mode for mode in modes] == [DriveMode.MANUAL, DriveMode.ASSISTED]


def test_it_says_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drive", "import", "comma2k19", str(FOLDER), "-o", str(tmp_path / "x.mcap")]) == 0
    printed = capsys.readouterr().out
    assert f"left out {SENT} sent" in printed
    assert f"dropped {VIN} frames with the vehicle identification number" in printed


def _video(path: Path) -> Path:
    """15 frames at 10 fps, each with its own grey."""
    av = pytest.importorskip("av", reason="the video part is not installed")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for i in range(15):
            picture = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 15 * i, np.uint8), format="bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_a_video_becomes_the_camera(tmp_path: Path) -> None:
    from fsd_firmware.codec_pyav import PyAvCodec

    video, path = _video(tmp_path / "grey.mp4"), tmp_path / "x.mcap"
    arguments = ["drive", "import", "comma2k19", str(FOLDER), "-o", str(path), "--camera", str(video)]
    assert main([*arguments, "--camera-at", "20"]) == 0
    reader = DriveReader(path)
    (camera,) = reader.description.cameras
    assert (camera.name, camera.width, camera.height, camera.fps) == ("front", 128, 96, 10.0)
    batches = list(reader.chunks())
    packets = [packet for batch in batches for packet in batch.packets]
    begin_ns = int(batches[0].can.t_ns[0]) + 20_000_000_000
    assert [packet.t_ns - begin_ns for packet in packets] == [i * 100_000_000 for i in range(15)]
    assert [i for i, packet in enumerate(packets) if packet.keyframe] == [0, 10]
    greys = [frame.bgr().mean() for frame in PyAvCodec().decode(packets)]
    assert greys == pytest.approx([15 * i for i in range(15)], abs=8)


def test_a_video_can_repeat_to_the_end(tmp_path: Path) -> None:
    from fsd_firmware.codec_pyav import PyAvCodec

    video, path = _video(tmp_path / "grey.mp4"), tmp_path / "x.mcap"
    arguments = ["drive", "import", "comma2k19", str(FOLDER), "-o", str(path), "--camera", str(video)]
    assert main([*arguments, "--camera-loop"]) == 0
    packets = [packet for batch in _batches(path) for packet in batch.packets]
    assert len(packets) == 600
    assert set(np.diff([packet.t_ns for packet in packets]).tolist()) == {100_000_000}
    source = DriveReplay(path, speed="max", frames_hz=2.0, codec=PyAvCodec())
    frames = 0
    while (batch := source.poll()) is not None:
        frames += len(batch.frames)
    assert 119 <= frames <= 121


def _linked(tmp_path: Path) -> Path:
    """The folder again, as links, so that one file of it can be another."""
    folder = tmp_path / "segment"
    for name in ("processed_log/CAN/raw_can", "processed_log/GNSS/live_gnss_ublox", "dbc"):
        shutil.copytree(FOLDER / name, folder / name, copy_function=lambda a, b: Path(b).symlink_to(a))
        (folder / name).chmod(0o755)
    return folder


def _replace(path: Path, array: np.ndarray) -> None:
    path.unlink()
    with path.open("wb") as file:
        np.save(file, array)


def _refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    output = tmp_path / "x.mcap"
    assert main(["drive", "import", "comma2k19", str(folder), "-o", str(output), *more]) in {1, 2}
    assert not output.exists()
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("CAN/raw_can/address", np.zeros(3, np.int64), "expected shape (135468,)"),
        ("CAN/raw_can/data", np.zeros(ALL_FRAMES, "S4"), "expected values of 8 bytes"),
        ("CAN/raw_can/src", np.full(ALL_FRAMES, 128), "no received CAN frames"),
        ("CAN/raw_can/t", np.full(ALL_FRAMES, np.nan), "times must be finite"),
        ("GNSS/live_gnss_ublox/value", np.zeros((579, 5)), "expected shape (579, 6)"),
    ],
)
def test_an_array_that_does_not_fit_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, array: np.ndarray, reason: str
) -> None:
    folder = _linked(tmp_path)
    _replace(folder / "processed_log" / name, array)
    error = _refused(folder, tmp_path, capsys)
    assert reason in error
    assert str(folder) in error


def test_missing_parts_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "dbc/toyota_new_mc_pt_generated.dbc: can't be read" in _refused(
        tmp_path / "none", tmp_path, capsys
    )
    folder = _linked(tmp_path)
    (folder / "processed_log/CAN/raw_can/t").unlink()
    assert "raw_can/t: can't be read" in _refused(folder, tmp_path, capsys)


def test_a_camera_that_can_not_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert "text.mp4" in _refused(FOLDER, tmp_path, capsys, "--camera", str(text))
    assert "--camera-at -1: from 0 on" in _refused(FOLDER, tmp_path, capsys, "--camera-at=-1")
    late = _refused(FOLDER, tmp_path, capsys, "--camera", str(text), "--camera-at", "99")
    assert "after the drive's end" in late
