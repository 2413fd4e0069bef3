"""What ``fsdctl drive info`` says of a drive: counts, gaps, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fsd_firmware.can_frames import CAN_EFF_FLAG, CanFrames
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import Detections, DriveMode, EncodedPacket, Kind, ModeChange
from fsd_tools.main import main

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds: 10 fps with a pause, ids at 10 and 5 Hz on two buses, one box in every second frame."""
    path = tmp_path_factory.mktemp("info") / "drive.mcap"
    description = VehicleDescription((CameraDescription("front", 128, 96, 10.0),), Catalogue(()), None)
    with DriveWriter(
        path,
        description,
        name="a drive",
        wall_minus_mono_ns=1_780_000_000 * SECOND,
        origin={"maker": "a test"},
        attachments={},
    ) as writer:
        writer.write_mode(ModeChange(10 * SECOND, DriveMode.MANUAL))
        for second in range(10, 18):
            _second(writer, second * SECOND)
    return path


def _second(writer: DriveWriter, at: int) -> None:
    tenths = at + np.arange(10) * SECOND // 10
    frames = tenths if at != 13 * SECOND else tenths[:4]
    rng = np.random.default_rng(at)
    for i, t_ns in enumerate(frames.tolist()):
        writer.write_packet(EncodedPacket("front", t_ns, "av1", i == 0, rng.bytes(100)))
    can_t = np.repeat(tenths, 2)
    bus = np.tile(np.array([0, 1], np.uint8), 10)
    ids = np.where(bus == 0, 0x123, 0x123 | CAN_EFF_FLAG).astype(np.uint32)
    writer.write_can(CanFrames(can_t, bus, ids, np.full(20, 8, np.uint8), np.zeros((20, 8), np.uint8)))
    boxes = np.arange(0, 10, 2).astype(np.int32)
    n = len(boxes)
    writer.write_detections(
        Detections(
            "front",
            "firmware",
            tenths,
            boxes,
            np.full(n, Kind.CYCLIST, np.uint8),
            np.ones(n, np.float32),
            np.ones((n, 4), np.float32),
            np.ones(n, np.float32),
            np.ones(n, np.int32),
            np.ones(n, np.float32),
        )
    )


def _info(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    code = main(["drive", "info", str(path), "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out), printed.err


def test_it_counts_what_is_there(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, error = _info(drive, capsys)
    assert (code, error, found["truncated"]) == (0, "", False)
    assert found["name"] == "a drive"
    assert found["origin"] == {"maker": "a test"}
    assert found["starts"] == "2026-05-28T20:26:50.000Z"
    assert found["duration_s"] == pytest.approx(7.9)
    channels = {channel["name"]: channel for channel in found["channels"]}
    assert channels["camera/front"]["count"] == 74
    assert channels["camera/front"]["gaps"] == 1
    assert channels["can bus 0"]["count"] == channels["can bus 1"]["count"] == 80
    assert channels["detections/front of firmware"]["rate_hz"] == pytest.approx(10)
    assert [(bus["bus"], bus["ids"]) for bus in found["buses"]] == [
        (0, {"0x123": 80}),
        (1, {"0x00000123": 80}),
    ]
    assert found["detections"] == {"cyclist": 40}
    (camera,) = found["cameras"]
    assert (camera["codec"], camera["key_frames"], camera["bytes"]) == ("av1", 8, 7400)
    assert camera["key_frame_interval_s"] == pytest.approx(1)
    (gap,) = found["worst_gaps"]
    assert gap == {"series": "camera/front", "at_s": pytest.approx(3.3), "length_s": pytest.approx(0.7)}


def test_people_read_the_same(drive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drive", "info", str(drive)]) == 0
    printed = capsys.readouterr().out
    for part in ("whole", "av1, a key frame every 1.00 s", "0x123 80", "cyclist 40", "0.700 s at 3.3 s"):
        assert part in printed


def test_a_cut_drive_is_printed_and_fails(
    drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(drive.read_bytes()[: drive.stat().st_size // 2])
    code, found, error = _info(cut, capsys)
    assert code == 1
    assert found["truncated"]
    assert 0 < found["duration_s"] < 7
    assert f"fsdctl: error: {cut}: cut off or damaged" in error
    assert main(["drive", "info", str(cut)]) == 1
    assert "CUT OFF" in capsys.readouterr().out


def test_what_is_no_drive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.mcap"
    assert main(["drive", "info", str(path)]) == 1
    path.write_bytes(b"text, not a drive")
    assert main(["drive", "info", str(path)]) == 1
    error = capsys.readouterr().err
    assert "No such file" in error
    assert "not a drive" in error
