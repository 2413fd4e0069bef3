"""Reading drives: all of a whole one, everything before one instant of a cut one, and no foreign errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcap.records import Chunk
from mcap.stream_reader import StreamReader
from mcap.writer import Writer

from fsd_firmware.drive.format import DriveCut, DriveError
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.ticks import in_ticks
from fsd_firmware.samples import SensedBatch

on_files = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_a_drive_comes_back_whole(kit: Any, drive: Any) -> None:
    path, what = drive
    reader = DriveReader(path)
    assert kit.same(kit.collect(reader.chunks()), what)
    assert (reader.info.name, reader.info.wall_minus_mono_ns) == ("a drive", kit.wall_ns)
    assert reader.info.origin == {"maker": "a test"}
    assert reader.attachments["vehicle.dbc"] == b"VERSION"
    assert reader.description.cameras == kit.description().cameras
    assert all(batch.wall_minus_mono_ns == kit.wall_ns for batch in reader.chunks())


def test_a_drive_can_be_read_twice(kit: Any, drive: Any) -> None:
    reader = DriveReader(drive[0])
    assert kit.same(kit.collect(reader.chunks()), kit.collect(reader.chunks()))


@on_files
@given(st.integers(1, 3_000_000_000))
def test_ticks_change_nothing(kit: Any, drive: Any, tick_ns: int) -> None:
    path, what = drive
    tick_ns = max(tick_ns, 500_000)
    batches: list[SensedBatch] = []
    assert kit.same(kit.collect(DriveReader(path).batches(tick_ns), batches), what)
    edges = [batch.until_ns for batch in batches]
    assert all(edge % tick_ns == 0 for edge in edges[:-1])
    assert all(np.diff(edges[:-1]) == tick_ns)
    assert batches[0].until_ns - tick_ns <= kit.start_ns + 1_000_000_000


def test_ticks_of_nothing(kit: Any, tmp_path: Path) -> None:
    assert list(DriveReader(kit.write(tmp_path / "empty.mcap", kit.Content())).batches(9_000_000)) == []
    with pytest.raises(ValueError, match="tick_ns"):
        in_ticks([], 0)


@on_files
@given(st.data())
def test_a_cut_file_is_everything_before_one_instant(
    kit: Any, drive: Any, tmp_path: Path, data: st.DataObject
) -> None:
    path, what = drive
    whole = path.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    batches: list[SensedBatch] = []
    with pytest.raises(DriveError, match=r"cut\.mcap: ") as caught:
        kit.collect(DriveReader(cut).batches(data.draw(st.sampled_from([9_000_000, 2_000_000_000]))), batches)
    assert isinstance(caught.value, DriveCut)
    assert caught.value.byte <= len(whole)
    ends_ns = caught.value.ends_ns
    assert (ends_ns is None) == (not batches)
    if ends_ns is not None:
        assert batches[-1].until_ns == ends_ns
        assert kit.same(kit.joined(batches), what.before(ends_ns))


def _chunk_starts(path: Path) -> list[int]:
    starts, at = [], 0
    with path.open("rb") as file:
        for record in StreamReader(file, emit_chunks=True).records:
            if isinstance(record, Chunk):
                starts.append(at)
            at = file.tell()
    return starts


def test_every_complete_chunk_is_recovered(kit: Any, drive: Any, tmp_path: Path) -> None:
    path = drive[0]
    starts = _chunk_starts(path)
    assert len(starts) >= 4
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(path.read_bytes()[: starts[3] + 100])
    batches: list[SensedBatch] = []
    with pytest.raises(DriveCut, match=f"byte {starts[3]}") as caught:
        kit.collect(DriveReader(cut).chunks(), batches)
    assert len(batches) == 3
    assert caught.value.byte == starts[3]


def test_a_chunk_that_was_taken_out_is_missed(kit: Any, drive: Any, tmp_path: Path) -> None:
    path = drive[0]
    whole, starts = path.read_bytes(), _chunk_starts(path)
    gone = tmp_path / "gone.mcap"
    gone.write_bytes(whole[: starts[1]] + whole[starts[2] :])
    with pytest.raises(DriveError, match=r"gone\.mcap: damaged: crc"):
        kit.collect(DriveReader(gone).chunks())


@on_files
@given(st.data())
def test_a_flipped_byte_is_found(kit: Any, drive: Any, tmp_path: Path, data: st.DataObject) -> None:
    """In the data section, which the checksums cover; whatever was given is true."""
    path, what = drive
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, _data_end(path) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    bad = tmp_path / "bad.mcap"
    bad.write_bytes(whole)
    batches: list[SensedBatch] = []
    with pytest.raises(DriveError, match=r"bad\.mcap: "):
        kit.collect(DriveReader(bad).chunks(), batches)
    expected = kit.collect(DriveReader(path).chunks())
    for batch in batches:
        first = batch.can.t_ns
        assert set(first.tolist()) <= set(expected.can.t_ns.tolist())
        assert {p.data for p in batch.packets} <= {p.data for p in what.packets}


def _data_end(path: Path) -> int:
    at = 0
    with path.open("rb") as file:
        for record in StreamReader(file, emit_chunks=True).records:
            if type(record).__name__ == "DataEnd":
                return at
            at = file.tell()
    raise AssertionError("no DataEnd")


def _mcap(path: Path, profile: str, metadata: dict[str, str] | None) -> Path:
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile=profile)
        if metadata is not None:
            writer.add_metadata("fsd-drive", metadata)
        writer.finish()
    return path


@pytest.mark.parametrize(
    ("profile", "metadata", "reason"),
    [
        ("ros2", None, "profile is 'ros2'"),
        ("fsd-drive", None, "metadata 'fsd-drive' is missing"),
        ("fsd-drive", {"version": "2"}, "version: '2'"),
        ("fsd-drive", {"version": "1", "name": "x"}, "wall_minus_mono_ns"),
        ("fsd-drive", {"version": "1", "name": "x", "wall_minus_mono_ns": "1.5"}, "invalid literal"),
        (
            "fsd-drive",
            {"version": "1", "name": "x", "wall_minus_mono_ns": "1"},
            r"vehicle_description\.msgpack is missing",
        ),
    ],
)
def test_an_mcap_that_is_no_drive_is_refused(
    tmp_path: Path, profile: str, metadata: dict[str, str] | None, reason: str
) -> None:
    with pytest.raises(DriveError, match=reason):
        DriveReader(_mcap(tmp_path / "x.mcap", profile, metadata))


def test_a_file_that_is_no_mcap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.mcap"
    with pytest.raises(DriveError, match="No such file"):
        DriveReader(path)
    path.write_bytes(b"hello, this is text")
    with pytest.raises(DriveError, match="not a drive"):
        DriveReader(path)
    with pytest.raises(DriveError, match="can't be read"):
        DriveReader(tmp_path)
