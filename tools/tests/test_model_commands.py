"""``fsdctl model`` from the outside."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from fsd_models.package import load_package
from fsd_models.shipped import shipped_manifest
from fsd_models.testing.marker_model import write_marker_package
from fsd_tools.data import data_dir
from fsd_tools.errors import ToolError
from fsd_tools.main import main
from fsd_tools.model.assemble import assemble_package, find_weights

WEIGHTS = data_dir() / "models"
NAME = "nanodet-m-416-int8"
with_weights = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no real weights in {WEIGHTS} (FSD_DATA)")


@with_weights
@pytest.mark.parametrize("link", [False, True])
def test_assemble_then_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str], link: bool) -> None:
    out = tmp_path / "packages" / "nanodet"
    weights = tmp_path / "weights"
    weights.mkdir()
    source = find_weights(shipped_manifest(NAME), WEIGHTS)
    (weights / "any-name.bin").write_bytes(source.read_bytes())
    argv = ["model", "assemble", NAME, "--weights-from", str(weights), "-o", str(out)]
    assert main(argv + ["--link"] * link) == 0
    assert sorted(path.name for path in out.iterdir()) == ["model.toml", "weights.onnx"]
    assert (out / "weights.onnx").stat().st_nlink == 1 + link
    assert [path.name for path in out.parent.iterdir()] == ["nanodet"]
    capsys.readouterr()
    assert main(["model", "verify", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == NAME
    assert facts["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert main(argv) == 0, "a second time changes nothing"


@with_weights
def test_assemble_never_replaces_something_else(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(ToolError, match="exists and isn't this package"):
        assemble_package(NAME, WEIGHTS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_assemble_says_which_weights_it_misses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoy = tmp_path / "decoy.onnx"
    decoy.write_bytes(bytes(shipped_manifest(NAME).weights.bytes))
    argv = ["model", "assemble", NAME, "--weights-from", str(tmp_path), "-o", str(tmp_path / "out")]
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert shipped_manifest(NAME).weights.sha256 in said
    assert "1 of that size" in said
    assert not (tmp_path / "out").exists()


def test_assemble_refuses_unknown_names_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no manifest named 'yolo'"):
        assemble_package("yolo", tmp_path, tmp_path / "out")
    with pytest.raises(ToolError, match="not a folder"):
        assemble_package(NAME, tmp_path / "missing", tmp_path / "out")


def test_verify_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = write_marker_package(tmp_path / "marker")
    assert main(["model", "verify", str(package)]) == 0
    assert "marker@1 (nanodet, Apache-2.0) is whole and loads" in capsys.readouterr().out
    weights = bytearray(load_package(package).weights)
    weights[100] ^= 1
    (package / "weights.onnx").write_bytes(weights)
    assert main(["model", "verify", str(package)]) == 1
    assert "weights.onnx: weights.sha256" in capsys.readouterr().err


def test_list_is_machine_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    detectors, checkers = ["fastestdet-352", "nanodet-m-416", "nanodet-m-416-int8"], ["lpd-yunet", "yunet-n"]
    assert [one["name"] for one in listed] == sorted(detectors + checkers)
    assert main(["model", "list"]) == 0
    assert "nanodet-m-416-int8" in capsys.readouterr().out
