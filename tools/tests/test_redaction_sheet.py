"""The sheet of rendered pictures before and after redaction, and the command that looks at clips again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fsd_agent.records.clip import Clip, RedactedClip
from fsd_agent.records.redaction import RedactionRecord
from fsd_agent.testing.streams import row
from fsd_agent.wire.clip import encode_clip
from fsd_firmware.codec_pyav import PyAvCodec
from fsd_firmware.pyav_frames import frame_from_bgr
from fsd_firmware.samples import empty_gnss, empty_signals
from fsd_models.testing.marker_model import COLOURS, write_marker_package
from fsd_tools.clip.redaction_sheet import GAP_PX, HEADER_PX, MARGIN_PX, SHOWN_PX
from fsd_tools.main import main

STEP = 40_000_000


def test_each_line_shows_one_picture_as_it_is_and_painted_more_and_more(tmp_path: Path) -> None:
    out = tmp_path / "sheet.jpg"
    assert main(["clip", "redaction", "-o", str(out)]) == 0
    assert out.stat().st_size < 300_000
    with Image.open(out) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    width, height = SHOWN_PX
    top = MARGIN_PX + HEADER_PX
    columns = [
        pixels[top : top + height, left : left + width]
        for left in (MARGIN_PX + n * (width + GAP_PX) for n in range(3))
    ]
    before, standard, strict = (float((one.max(axis=2) < 12).mean()) for one in columns)
    assert before < 0.005
    assert before + 0.01 < standard < strict < 0.2


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clip", "redaction", "-o", str(tmp_path / "no" / "sheet.jpg")]) == 1
    assert "No such file" in capsys.readouterr().err


def clip_with(patch: tuple[int, int, int, int] | None, path: Path) -> Path:
    bgr = np.full((192, 192, 3), 60, np.uint8)
    if patch is not None:
        bgr[patch[1] : patch[3], patch[0] : patch[2]] = COLOURS["person"]
    frames = [frame_from_bgr(n * STEP, bgr) for n in range(3)]
    packets = tuple(PyAvCodec().encode("front", frames, fps=25, keyframe_every=3))
    clip = Clip(
        row(0, 3 * STEP, cameras=("front",), signals=()),
        (),
        (),
        empty_signals(),
        packets,
        (),
        empty_gnss(),
        (),
    )
    record = RedactionRecord(("faces=head_zone",), ("firmware",), 3, 0, 0.0, "dropped")
    path.write_bytes(encode_clip(RedactedClip(clip, record), vehicle="veh-7", provenance={}))
    return path


def test_region_check_says_of_each_clip_what_it_still_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tiny model calls whole cells of red persons: on 64 x 64 of input a cell of 32 is 96 pixels of this picture."""
    package = str(write_marker_package(tmp_path / "marker"))
    clean = str(clip_with(None, tmp_path / "clean.mcap"))
    open_ = str(clip_with((0, 0, 192, 192), tmp_path / "open.mcap"))
    assert main(["region", "check", clean, "--package", package]) == 0
    assert f"{clean}: 3 frames looked at, passed" in capsys.readouterr().out
    assert main(["region", "check", clean, open_, "--package", package]) == 3
    text = capsys.readouterr().out
    assert f"{open_}: 3 frames looked at" in text
    assert "head in front at 0.000 s" in text
    assert main(["region", "check", clean, open_, "--package", package, "--json"]) == 3
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["passed"], first["frames"], first["findings"]) == (True, 3, [])
    assert second["passed"] is False
    assert second["findings"][0]["miss"] == "head"


def test_a_package_that_can_t_check_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = str(clip_with(None, tmp_path / "clean.mcap"))
    assert main(["region", "check", clean, "--package", str(tmp_path / "none")]) == 1
    assert "can't be read" in capsys.readouterr().err
