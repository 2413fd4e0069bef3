"""JAAD tracks as drives: one a clip, equal to the tracks, and files that aren't tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fsd_firmware.drive.columns import join, join_detections
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.samples import Kind
from fsd_tools.data import data_dir
from fsd_tools.main import main

TRACKS = data_dir() / "jaad" / "tracks_dev.npz"

BOXES = [("clip", "<i2"), ("frame", "<i4"), ("track", "<i2"), ("label", "u1")]
BOXES += [(name, "<f4") for name in ("x1", "y1", "x2", "y2")]
CLIPS = [("name", "<U10"), ("frames", "<i4"), ("width", "<i4"), ("height", "<i4")]
CLIPS += [(name, "<U12") for name in ("time_of_day", "weather", "location")]
VEHICLE = [("clip", "<i2"), ("frame", "<i4"), ("action", "u1")]


def _tables() -> dict[str, np.ndarray]:
    """Two clips: one with boxes in odd order and an unknown action, one with nothing in it."""
    place = ("daytime", "clear", "street")
    return {
        "clips": np.array(
            [("video_0001", 70, 1920, 1080, *place), ("video_0002", 31, 1920, 1080, *place)], CLIPS
        ),
        "boxes": np.array(
            [(0, 69, 5, 2, 1, 2, 3, 4), (0, 3, 1, 1, 5, 6, 7, 8), (0, 3, 0, 0, 9, 10, 11, 12)], BOXES
        ),
        "vehicle": np.array([(0, 0, 1), (0, 1, 255), (0, 2, 4)], VEHICLE),
    }


def _saved(path: Path, tables: dict[str, np.ndarray]) -> Path:
    np.savez(path, **tables)
    return path


def _import(tracks: Path, output: Path, *more: str) -> int:
    return main(["drive", "import", "jaad", str(tracks), "-o", str(output), *more])


def test_a_clip_becomes_a_drive(tmp_path: Path) -> None:
    assert _import(_saved(tmp_path / "t.npz", _tables()), tmp_path / "out") == 0
    reader = DriveReader(tmp_path / "out/video_0001.mcap")
    batches = list(reader.chunks())
    (seen,) = join_detections(d for batch in batches for d in batch.detections)
    assert (seen.camera, seen.source) == ("front", "jaad")
    assert seen.frame_t_ns.tolist() == [i * 10**9 // 30 for i in range(70)]
    assert seen.frame.tolist() == [3, 3, 69]
    assert seen.track_id.tolist() == [0, 1, 5]
    assert seen.box[:, 0].tolist() == [9, 5, 1]
    assert set(seen.kind.tolist()) == {int(Kind.PEDESTRIAN)}
    signals = join([batch.signals for batch in batches])
    assert signals.value.tolist() == [1, 4]
    assert signals.t_ns.tolist() == [0, 2 * 10**9 // 30]
    assert reader.info.origin["wall_clock"] == "assumed"
    assert str(np.datetime64(reader.info.wall_minus_mono_ns, "ns")).startswith("2026-01-01T00:00:00")


def test_a_clip_without_anyone_still_looked(tmp_path: Path) -> None:
    arguments = ("--starts", "2015-06-01T12:00:00")
    assert _import(_saved(tmp_path / "t.npz", _tables()), tmp_path / "out", *arguments) == 0
    reader = DriveReader(tmp_path / "out/video_0002.mcap")
    (seen,) = join_detections(d for batch in reader.chunks() for d in batch.detections)
    assert (len(seen.frame_t_ns), len(seen)) == (31, 0)
    assert str(np.datetime64(reader.info.wall_minus_mono_ns, "ns")).startswith("2015-06-01T12:00:00")


def test_a_limit_imports_the_first(tmp_path: Path) -> None:
    tracks = _saved(tmp_path / "t.npz", _tables())
    assert _import(tracks, tmp_path / "out", "--limit", "1") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["video_0001.mcap"]
    assert _import(tracks, tmp_path / "out", "--limit", "0") == 2


@pytest.mark.skipif(not TRACKS.is_file(), reason=f"no JAAD tracks at {TRACKS}")
def test_the_real_tracks(tmp_path: Path) -> None:
    assert _import(TRACKS, tmp_path, "--limit", "4") == 0
    with np.load(TRACKS) as file:
        clips, boxes, vehicle = file["clips"], file["boxes"], file["vehicle"]
    for number in range(4):
        batches = list(DriveReader(tmp_path / f"{clips[number]['name']}.mcap").chunks())
        (seen,) = join_detections(d for batch in batches for d in batch.detections)
        assert len(seen) == (boxes["clip"] == number).sum()
        assert len(seen.frame_t_ns) == clips[number]["frames"]
        actions = vehicle["action"][vehicle["clip"] == number]
        assert join([batch.signals for batch in batches]).value.tolist() == actions[actions != 255].tolist()


def _without(tables: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key: table for key, table in tables.items() if key != name}


def _changed(name: str, field: str, value: int | str) -> dict[str, np.ndarray]:
    tables = _tables()
    tables[name][field][0] = value
    return tables


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        (_without(_tables(), "vehicle"), "vehicle: the table is missing"),
        ({**_tables(), "boxes": _tables()["vehicle"]}, "boxes: fields missing: label, track, x1"),
        (_changed("boxes", "clip", 7), "boxes: clip: must be 0 to 1"),
        (_changed("vehicle", "frame", 70), "vehicle: frame: lies past its clip's end"),
        (_changed("boxes", "label", 3), "boxes: label: 3"),
        (_changed("clips", "name", "../x"), "clips: name"),
    ],
)
def test_tables_that_are_no_tracks_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tables: dict[str, np.ndarray], reason: str
) -> None:
    tracks = _saved(tmp_path / "t.npz", tables)
    assert _import(tracks, tmp_path / "out") == 1
    assert f"{tracks}: {reason}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x03\x04broken", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_no_npz_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    tracks = tmp_path / "t.npz"
    tracks.write_bytes(data)
    assert _import(tracks, tmp_path / "out") == 1
    assert f"{tracks}: no .npz file" in capsys.readouterr().err
    assert _import(tmp_path / "none.npz", tmp_path / "out") == 1
