"""``fsdctl campaign heads`` from the outside, over a drive that carries features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fsd_firmware.catalogue import Catalogue
from fsd_firmware.contract import CameraDescription, VehicleDescription
from fsd_firmware.drive.writer import DriveWriter
from fsd_firmware.samples import Features
from fsd_tools.main import main

SECOND = 1_000_000_000
WALL = 1_780_000_000 * SECOND
"""2026, when the campaign is valid."""
START = 7 * SECOND + 300_000_000
CAMPAIGN = """\
id: seen
version: 1
purpose: safety
description: A head that says what the features say.
condition: head("sum") > 1.0
capture: {before: 1s, after: 1s}
valid: {from: 2026-01-01, until: 2026-12-31}
heads:
  sum:
    source: firmware:vision
    camera: front
    weights: [{weights: [[1.0, 1.0]], biases: [0.5]}]
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    path = tmp_path / "seen.yaml"
    path.write_text(CAMPAIGN)
    return path


def drive(folder: Path, value: list[list[float]], source: str = "firmware:vision") -> Path:
    """Four pictures a second."""
    path = folder / "drive.mcap"
    t_ns = START + np.arange(len(value), dtype=np.int64) * (SECOND // 4)
    what = VehicleDescription((CameraDescription("front", 64, 64, 4.0),), Catalogue(()), None)
    with DriveWriter(path, what, name="x", wall_minus_mono_ns=WALL, origin={}, attachments={}) as writer:
        writer.write_features(Features("front", source, t_ns, np.array(value, np.float32)))
    return path


def test_what_a_head_is(campaign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["campaign", "heads", str(campaign), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["heads"]
    assert found["name"] == "sum"
    assert found["layers"] == [2, 1]
    assert found["input_bits"] == 11
    assert found["loss"] < 0.001
    assert (found["tried"], found["from_sample"], found["seconds"]) == (256, False, [])
    assert main(["campaign", "heads", str(campaign)]) == 0
    assert "firmware:vision on front" in capsys.readouterr().out


def test_scores_of_a_drive_second_by_second(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = drive(tmp_path, [[0, 0], [1, 1], [float("nan"), 0], [0, 0.25], [3, 3]])
    assert main(["campaign", "heads", str(campaign), "--drive", str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["heads"]
    assert found["unknown"] == 1
    assert found["refused"] is None
    assert [(one["drive_s"], one["pictures"]) for one in found["seconds"]] == [(0, 3), (1, 1)]
    assert [one["highest"] for one in found["seconds"]] == pytest.approx([2.5, 6.5], abs=1e-3)
    assert main(["campaign", "heads", str(campaign), "--drive", str(path)]) == 0
    said = capsys.readouterr().out
    assert "sum: no score for 1 pictures" in said
    assert "sum  0 s  0.5 to 2.5  3 pictures" in said


def test_a_backtest_fires_on_the_features_of_a_drive(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = drive(tmp_path, [[0, 0], [1, 1], [0, 0], [3, 3], [3, 4]])
    assert main(["campaign", "backtest", str(campaign), "--drives", str(path), "--json"]) == 0
    fired = json.loads(capsys.readouterr().out)["firings"]
    assert [one["t_ns"] for one in fired] == [START + SECOND // 4, START + 3 * SECOND // 4]


def test_features_that_don_t_fit_are_named(
    campaign: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["campaign", "heads", str(campaign), "--drive", str(drive(tmp_path, [[1, 2, 3]]))]) == 0
    said = capsys.readouterr().out
    assert "refused: head sum: takes 2 features, firmware:vision gives 3 on camera front" in said
    other = drive(tmp_path, [[1, 2]], source="firmware:other")
    assert main(["campaign", "heads", str(campaign), "--drive", str(other)]) == 1
    assert "no features for these heads; there are: firmware:other on front" in capsys.readouterr().err


def test_a_file_without_heads_or_with_a_wrong_one_is_refused(
    campaign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign.write_text(CAMPAIGN.replace("biases: [0.5]", "biases: [0.5, 1]"))
    assert main(["campaign", "heads", str(campaign)]) == 1
    assert "seen.yaml: heads.sum: layer 0: weights (1, 2) and biases (2,)" in capsys.readouterr().err
    campaign.write_text(
        CAMPAIGN[: CAMPAIGN.index("heads:")].replace('head("sum") > 1.0', "detections.size() > 0")
    )
    assert main(["campaign", "heads", str(campaign)]) == 1
    assert "heads: there is none" in capsys.readouterr().err
    assert main(["campaign", "heads", str(campaign), "--drive", "none.mcap"]) == 1
