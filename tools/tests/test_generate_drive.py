"""A generated drive as a file: the same options give the same bytes, and every channel is there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fsd_firmware.can.decoder import Decoder
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.drive.reader import DriveReader
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import DriveMode, Kind
from fsd_tools.drive.generate.drive import START_NS, generate_drive
from fsd_tools.drive.generate.options import GenerateOptions
from fsd_tools.drive.generate.render import Renderer
from fsd_tools.drive.generate.video import ENCODER
from fsd_tools.drive.generate.world import make_world
from fsd_tools.main import main

TINY = GenerateOptions(seconds=4, width=160, height=120, fps=10)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generated") / "city.mcap"
    generate_drive(path, TINY)
    return path


def test_the_same_options_give_the_same_bytes_and_another_seed_does_not(drive: Path, tmp_path: Path) -> None:
    shares: list[float] = []
    generate_drive(tmp_path / "again.mcap", TINY, shares.append)
    assert (tmp_path / "again.mcap").read_bytes() == drive.read_bytes()
    assert shares == sorted(shares)
    assert shares[-1] == 1
    generate_drive(tmp_path / "other.mcap", replace(TINY, seed=2))
    assert (tmp_path / "other.mcap").read_bytes() != drive.read_bytes()


def test_every_channel_is_there_in_full(drive: Path) -> None:
    reader = DriveReader(drive)
    batches = list(reader.chunks())
    end = START_NS + 4_000_000_000
    assert [p.t_ns for b in batches for p in b.packets] == [START_NS + i * 100_000_000 for i in range(40)]
    can = np.concatenate([b.can.t_ns for b in batches])
    assert can.shape[0] == pytest.approx(8000, rel=0.05)
    assert START_NS <= can[0] < START_NS + 20_000_000
    assert end - 20_000_000 < can[-1] < end
    assert sum(len(b.gnss) for b in batches) == 40
    looks = np.concatenate([d.frame_t_ns for b in batches for d in b.detections])
    assert looks.tolist() == [START_NS + i * 100_000_000 for i in range(40)]
    assert [m.mode for b in batches for m in b.modes] == [DriveMode.MANUAL, DriveMode.ASSISTED]


def test_the_files_own_table_decodes_its_frames(drive: Path) -> None:
    reader = DriveReader(drive)
    table, catalogue = reader.description.signal_table, reader.description.catalogue
    assert table is not None
    row = catalogue.rows["Vehicle.Speed"]
    decoder = Decoder(table)
    speeds = [s.value[s.signal == row] for s in (decoder.decode(b.can) for b in reader.chunks())]
    motion = make_world(TINY).motion
    assert np.concatenate(speeds).max() == pytest.approx(
        float(motion.at(motion.speed_mps, np.linspace(0, 4, 400)).max()) * 3.6, abs=0.05
    )


def test_the_video_shows_the_rendered_frames(drive: Path) -> None:
    packets = [p for b in DriveReader(drive).chunks() for p in b.packets]
    assert [i for i, p in enumerate(packets) if p.keyframe] == [0, 10, 20, 30]
    renderer = Renderer(make_world(TINY))
    for frame in list(PyAvCodec().decode(packets))[::9]:
        picture, _ = renderer.frame((frame.t_ns - START_NS) / 1e9)
        assert cv2.PSNR(frame.bgr(), picture) > 26


def test_detections_are_near_the_truth(drive: Path) -> None:
    renderer = Renderer(make_world(TINY))
    near = found = 0
    for batch in DriveReader(drive).chunks():
        for d in batch.detections:
            for i, t_ns in enumerate(d.frame_t_ns.tolist()):
                reported = d.box[d.frame == i]
                for true in renderer.truth((t_ns - START_NS) / 1e9):
                    if true.box[3] - true.box[1] > 18 and true.hidden < 0.1:
                        near += 1
                        found += bool((np.abs(reported - true.box).max(axis=1, initial=0) < 8).any())
    assert near > 50
    assert 0.85 < found / near <= 1
    kinds = {int(k) for b in DriveReader(drive).chunks() for d in b.detections for k in d.kind}
    assert {Kind.CAR, Kind.PEDESTRIAN, Kind.CYCLIST} <= kinds


@pytest.mark.slow
def test_worker_processes_change_nothing(tmp_path: Path) -> None:
    wide = GenerateOptions(seconds=1, width=400, height=300, fps=5)
    generate_drive(tmp_path / "wide.mcap", wide)
    packets = [p for b in DriveReader(tmp_path / "wide.mcap").chunks() for p in b.packets]
    renderer = Renderer(make_world(wide))
    frames = (frame_from_bgr(p.t_ns, renderer.frame((p.t_ns - START_NS) / 1e9)[0]) for p in packets)
    here = list(PyAvCodec(ENCODER).encode("front", frames, fps=5, keyframe_every=5))
    assert here == packets


def test_the_command_prints_json_and_refuses_nonsense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.mcap"
    small = ["--seconds", "1", "--width", "128", "--height", "96", "--fps", "5"]
    assert main(["drive", "generate", "-o", str(path), *small, "--night", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == path.stat().st_size
    assert main(["drive", "generate", "-o", str(path), *small, "--night", "--day"]) == 2
    assert "choose one" in capsys.readouterr().err
    assert main(["drive", "generate", "-o", str(tmp_path / "absent" / "x.mcap"), *small]) == 1
    assert "absent" in capsys.readouterr().err
