"""Writing drives: what may be written in which order, and that a name means a whole file."""

from __future__ import annotations

import random
import resource
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader

from fsd_firmware.can.build import Field, build_table
from fsd_firmware.catalogue import Catalogue
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.description import decode_description, encode_description
from fsd_firmware.drive.format import CELL_NS, DriveError
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.drive.writer import REORDER_NS, DriveWriter
from fsd_firmware.samples import DriveMode, EncodedPacket, ModeChange, Signals


def _writer(kit: Any, path: Path, attachments: dict[str, bytes] | None = None) -> DriveWriter:
    return DriveWriter(
        path,
        kit.description(),
        name="x",
        wall_minus_mono_ns=0,
        origin={},
        attachments=attachments or {},
    )


def _speed(*t_ns: int) -> Signals:
    return Signals(np.array(t_ns, np.int64), np.zeros(len(t_ns), np.int32), np.ones(len(t_ns)))


def _write_then_fail(writer: DriveWriter, folder: Path) -> None:
    writer.write_signals(_speed(1, 2))
    assert [p.name for p in folder.iterdir()] == ["drive.mcap.part"]
    writer.write_signals(_speed(1))


def test_an_error_inside_leaves_nothing(kit: Any, tmp_path: Path) -> None:
    path = tmp_path / "drive.mcap"
    with pytest.raises(ValueError, match="backwards"), _writer(kit, path) as writer:
        _write_then_fail(writer, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(kit: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(DriveError, match=r"no/drive\.mcap: can't be written"),
        _writer(kit, tmp_path / "no" / "drive.mcap"),
    ):
        pass


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may pass 200 kB while the test runs, which fails like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("seconds", [1.5, 5.0])
def test_a_full_disk_leaves_nothing(kit: Any, tmp_path: Path, small_files: None, seconds: float) -> None:
    """Both when it fills on the way and when it fills at the end, in which everything is still held back."""
    noise = [
        EncodedPacket(
            "front", kit.start_ns + i * 50_000_000, "av1", i == 0, random.Random(i).randbytes(20_000)
        )
        for i in range(round(20 * seconds))
    ]
    what = kit.content(seconds, codec_packets=noise)
    with pytest.raises(DriveError, match=r"drive\.mcap: can't be written: .*File too large"):
        kit.write(tmp_path / "drive.mcap", what)
    assert list(tmp_path.iterdir()) == []


def test_the_same_samples_give_the_same_bytes_however_they_are_sliced(kit: Any, tmp_path: Path) -> None:
    what = kit.content(3.0, seed=4)
    one = kit.write(tmp_path / "one.mcap", what).read_bytes()
    other = kit.write(tmp_path / "other.mcap", what, slice_ns=70_000_000).read_bytes()
    assert one == other


def test_channels_may_lag_but_no_more_than_stated(kit: Any, tmp_path: Path) -> None:
    path = tmp_path / "drive.mcap"
    with _writer(kit, path) as writer:
        writer.write_signals(_speed(10 * CELL_NS, REORDER_NS + 10 * CELL_NS))
        writer.write_mode(ModeChange(10 * CELL_NS + 5, DriveMode.MANUAL))
        with pytest.raises(ValueError, match=r"/camera/front: .*older than other channels"):
            writer.write_packet(EncodedPacket("front", 10 * CELL_NS - 1, "av1", True, b""))
    assert len(kit.collect(DriveReader(path).chunks()).modes) == 1


@pytest.mark.parametrize("times", [(5, 4), (-1,), (4, 5)])
def test_time_never_runs_backwards_on_a_channel(kit: Any, tmp_path: Path, times: tuple[int, ...]) -> None:
    with _writer(kit, tmp_path / "drive.mcap") as writer:
        writer.write_signals(_speed(5))
        with pytest.raises(ValueError, match="/signals: time runs backwards"):
            writer.write_signals(_speed(*times))


def test_what_the_description_does_not_know_is_refused(kit: Any, tmp_path: Path) -> None:
    with _writer(kit, tmp_path / "drive.mcap") as writer:
        with pytest.raises(ValueError, match="camera 'side'"):
            writer.write_packet(EncodedPacket("side", 1, "av1", True, b""))
        with pytest.raises(ValueError, match="codec 'mjpeg'"):
            writer.write_packet(EncodedPacket("front", 1, "mjpeg", True, b""))
        with pytest.raises(ValueError, match="rows 0 to 1"):
            writer.write_signals(Signals(_speed(1).t_ns, np.array([2], np.int32), _speed(1).value))
    with pytest.raises(ValueError, match="inside its with block"):
        _writer(kit, tmp_path / "y.mcap").write_signals(_speed(1))
    with pytest.raises(ValueError, match=r"vehicle_description\.msgpack is written by the writer"):
        _writer(kit, tmp_path / "y.mcap", {"vehicle_description.msgpack": b""})


def test_other_software_reads_it_in_order_of_time(drive: Any) -> None:
    path, what = drive
    with path.open("rb") as file:
        reader = make_reader(file)
        summary = reader.get_summary()
        found = Counter(channel.topic for _, channel, _ in reader.iter_messages())
        times = [message.log_time for _, _, message in reader.iter_messages(log_time_order=False)]
    assert times == sorted(times)
    assert found["/camera/front"] + found["/camera/rear"] == len(what.packets)
    assert found["/gnss"] == len(what.gnss)
    assert {s.name for s in summary.schemas.values()} == {"foxglove.CompressedVideo", "foxglove.LocationFix"}


def test_descriptions_come_back(kit: Any) -> None:
    there = kit.description()
    back = decode_description(encode_description(there))
    assert (back.cameras, back.catalogue) == (there.cameras, there.catalogue)
    assert back.signal_table.to_bytes() == there.signal_table.to_bytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cameras": (CameraDescription("a/b", 1, 1, 1.0),)}, "camera 'a/b'"),
        ({"cameras": (CameraDescription("a", 1, 1, 1.0),) * 2}, "camera 'a'"),
        ({"cameras": (CameraDescription("a", 0, 1, 1.0),)}, "camera a: size"),
        ({"catalogue": Catalogue(())}, "past the catalogue's end"),
    ],
)
def test_an_unsound_description_is_refused(kit: Any, change: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode_description(replace(kit.description(), **change))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc1", encode_description.__doc__.encode()])
def test_bytes_that_are_no_description_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="vehicle description"):
        decode_description(data)


def test_a_table_row_past_the_catalogue_is_refused() -> None:
    table = build_table([Field(0, 1, 7, 8, True, False, 1.0, 0.0, catalogue_row=0)])
    with pytest.raises(ValueError, match="signal_table"):
        encode_description(VehicleDescription((), Catalogue(()), table))
