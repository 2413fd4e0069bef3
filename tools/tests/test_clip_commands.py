"""What ``fsdctl clip`` says and draws of a clip, and what it says when there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.firing import Firing, JudgedFiring
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.records.worth import Valued, Worth
from fsd_agent.testing.streams import looks, row
from fsd_agent.wire.clip import decode_clip, encode_clip
from fsd_agent.wire.clip_seen import COLOURS
from fsd_firmware.catalogue import CatalogueEntry
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import Kind, Signals, empty_gnss
from fsd_tools.clip.info import facts_of
from fsd_tools.clip.sheet import FEW, MANY, make_sheet
from fsd_tools.errors import ToolError
from fsd_tools.main import main

STEP = 100_000_000
FRAMES = 60
FIRED = 25
WIDTH, HEIGHT = 160, 128
WORTH = Worth(0.625, Valued.NO_MOTION, (("begins_to_cross", 0.75), ("rarity", 0.2)))
VALUED = "value 0.625, no motion: begins_to_cross 0.75, rarity 0.20"


def clip_bytes(
    *, video: bool = True, kept_of: tuple[int, int] | None = None, zone_h: int | None = None
) -> bytes:
    """Six seconds at 10 fps; frame n is grey of value 3 n, so that a picture tells its number."""
    frames = [
        frame_from_bgr(n * STEP, np.full((HEIGHT, WIDTH, 3), 20 + 3 * n, np.uint8)) for n in range(FRAMES)
    ]
    box = (32.0, 32.0, 64.0, 96.0)
    seen = [(n * STEP, [(int(Kind.PEDESTRIAN), 0.9, box), (int(Kind.CAR), 0.2, box)]) for n in range(FRAMES)]
    evidence: tuple[tuple[str, float | str], ...] = (("Vehicle.Speed", 8.5),)
    clip = Clip(
        row=row(0, FRAMES * STEP, cameras=("front",) if video else (), signals=("Vehicle.Speed",)),
        firings=(JudgedFiring("f1", Firing("crossing", 3, FIRED * STEP, evidence), 1, "0" * 32, None),),
        catalogue=(CatalogueEntry("Vehicle.Speed", "double", "m/s", 0, 100, ""),),
        signals=Signals(np.arange(5), np.zeros(5, np.int32), np.arange(5.0)),
        packets=tuple(PyAvCodec().encode("front", frames, fps=10, keyframe_every=20)) if video else (),
        detections=(looks("front", "firmware", seen),) if video else (),
        gnss=empty_gnss(),
        modes=(),
        kept_of=kept_of,
    )
    clip = replace(clip, row=replace(clip.row, worth=WORTH))
    record = RedactionRecord(
        ("faces=head_zone",), ("firmware",), FRAMES, 120, 0.25, "dropped", utc_offset_h=zone_h
    )
    return encode_clip(RedactedClip(clip, record), vehicle="veh-7", provenance={"agent": "0.1.0"})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mcap"
    path.write_bytes(clip_bytes())
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_info_as_json(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clip", "info", str(clip), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["vehicle"], facts["region"], facts["seconds"], facts["cut"]) == ("veh-7", "cn", 6.0, False)
    (camera,) = facts["cameras"]
    assert (camera["name"], camera["codec"], camera["frames"], camera["fps"]) == (
        "front",
        "vp9",
        FRAMES,
        10.0,
    )
    assert camera["keyframes"] == 3
    assert facts["annotations"]["boxes"] == {"pedestrian": FRAMES, "car": FRAMES}
    assert facts["signals"] == [{"path": "Vehicle.Speed", "unit": "m/s", "samples": 5}]
    assert facts["firings"] == [
        {"campaign": "crossing", "version": 3, "at_s": 2.5, "evidence": {"Vehicle.Speed": 8.5}}
    ]
    assert facts["redaction"]["boxes"] == 120
    assert facts["value"] == {
        "v": 1,
        "value": 0.625,
        "why": "no_motion",
        "parts": {"begins_to_cross": 0.75, "rarity": 0.2},
    }
    assert facts["size_bytes"] == clip.stat().st_size


def test_info_for_people(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clip", "info", str(clip)]) == 0
    text = capsys.readouterr().out
    for part in (
        "veh-7, cn",
        "crossing v3 at 2.50 s",
        "[m/s]: 5 samples",
        "25.0%",
        "60 frames at 10.0",
        VALUED,
    ):
        assert part in " ".join(text.split())


@pytest.mark.parametrize(
    ("zone_h", "local"),
    [
        (8, "2023-11-15 06:13:20.000+08:00"),
        (-8, "2023-11-14 14:13:20.000-08:00"),
        (0, "2023-11-14 22:13:20.000+00:00"),
    ],
)
def test_local_time_is_told_beside_utc(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], zone_h: int, local: str
) -> None:
    path = tmp_path / "clip.mcap"
    path.write_bytes(clip_bytes(video=False, zone_h=zone_h))
    assert main(["clip", "info", str(path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["start"], facts["local_start"]) == ("2023-11-14 22:13:20.000Z", local)
    assert facts["utc_offset_h"] == zone_h
    assert main(["clip", "info", str(path)]) == 0
    assert f"local time {local} (nautical" in " ".join(capsys.readouterr().out.split())


def test_where_no_zone_is_known_no_local_time_is_told(clip: Path) -> None:
    contents = decode_clip(clip.read_bytes())
    facts = facts_of(contents, 1)
    assert facts["utc_offset_h"] is None
    assert facts["local_start"] is None
    record = {name: told for name, told in contents.provenance["redaction"].items() if name != "utc_offset_h"}
    before = {**contents.provenance, "redaction": record}
    assert facts_of(replace(contents, provenance=before), 1)["local_start"] is None


def test_what_was_kept_of_the_window_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clip.mcap"
    path.write_bytes(clip_bytes(kept_of=(-4 * STEP * 10, FRAMES * STEP + 20 * STEP)))
    assert main(["clip", "info", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "kept the most promising seconds, 4.00 to 10.00 of 12.00 captured" in text
    facts = facts_of(decode_clip(path.read_bytes()), 1)
    assert facts["kept"]["of_end_ns"] == 80 * STEP
    contents = decode_clip(clip_bytes(video=False))
    before = {name: told for name, told in contents.provenance.items() if name != "kept"}
    assert facts_of(replace(contents, provenance=before), 1)["kept"] is None


def test_a_clip_of_before_says_nothing_of_its_value() -> None:
    contents = decode_clip(clip_bytes(video=False))
    told = facts_of(contents, 1)
    assert told["value"] is not None
    before = {name: told for name, told in contents.provenance.items() if name != "value"}
    assert facts_of(replace(contents, provenance=before), 1)["value"] is None


@pytest.mark.parametrize("command", [["info"], ["sheet", "-o", "never.png"]])
def test_what_is_no_clip_is_said_plainly(
    command: list[str], tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, cut = tmp_path / "missing.mcap", tmp_path / "cut.mcap"
    cut.write_bytes(clip.read_bytes()[:-100])
    for path, reason in ((missing, "no such file"), (cut, "damaged, or no clip")):
        assert main(["clip", command[0], str(path), *command[1:]]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"fsdctl: error: {path}: ")
        assert reason in error
    assert not Path("never.png").exists()


def test_the_sheet_shows_the_frames_around_the_firing(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    make_sheet([("veh-7 to cn: crossing", clip)] * 4, out)
    picture = pixels(out).astype(int)
    assert picture.shape[1] > 6 * MANY.thumb_px
    middle = picture[20 + 46 + 20]  # a line through the pictures of the first row, above their boxes
    # The third picture is the firing's own; the ones about it are from the times that the sheet names.
    wanted = [FIRED + offset for offset in (-15, -8, 0, 5, 10, 20)]
    for column, number in enumerate(wanted):
        left = 20 + column * (MANY.thumb_px + 8)
        grey = np.median(middle[left : left + MANY.thumb_px])
        assert abs(grey - (20 + 3 * number)) <= 4


def test_strong_boxes_are_drawn_and_weak_ones_are_not(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    make_sheet([("one", clip), ("two", clip)], out)
    picture = pixels(out)

    def pixels_of(kind: Kind) -> int:
        return int((picture == [round(255 * part) for part in COLOURS[kind]]).all(axis=2).sum())

    # Two clips are few: two lines of three frames each.
    assert picture.shape[1] == 2 * 20 + 3 * (FEW.thumb_px + 8) - 8
    outline = 2 * (32 + 64) * FEW.thumb_px / 160  # 32 x 64 pixels of a picture 160 wide
    assert pixels_of(Kind.PEDESTRIAN) == pytest.approx(2 * 6 * outline, rel=0.05)
    assert pixels_of(Kind.CAR) == 0


def test_a_clip_without_video_has_its_caption_only(tmp_path: Path) -> None:
    path, out = tmp_path / "silent.mcap", tmp_path / "sheet.png"
    path.write_bytes(clip_bytes(video=False))
    assert main(["clip", "sheet", str(path), "-o", str(out)]) == 0
    assert pixels(out).shape[0] < 200


def test_a_long_list_is_cut_and_counted(clip: Path, tmp_path: Path) -> None:
    silent, out = tmp_path / "silent.mcap", tmp_path / "sheet.png"
    silent.write_bytes(clip_bytes(video=False))
    make_sheet([("one", silent)] * 41, out)
    tall = pixels(out).shape[0]
    make_sheet([("one", silent)] * 60, out)
    assert pixels(out).shape[0] == tall


def test_a_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="at least one clip"):
        make_sheet([], tmp_path / "sheet.png")
    silent = tmp_path / "silent.mcap"
    silent.write_bytes(clip_bytes(video=False))
    with pytest.raises(ToolError, match="No such file"):
        make_sheet([("one", silent)], tmp_path / "no" / "folder.png")
