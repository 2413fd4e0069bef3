"""A package that isn't exactly what its manifest says is refused before a session exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsd_models.errors import ModelPackageError
from fsd_models.kinds import ModelKind
from fsd_models.package import load_manifest, load_package
from fsd_models.shipped import shipped_manifest, shipped_names, shipped_path
from fsd_models.testing.marker_model import write_marker_package


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_marker_package(tmp_path / "marker")


def edit(package: Path, old: str, new: str) -> Path:
    path = package / "model.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return package


def test_a_whole_package_loads_with_the_bytes_that_were_checked(package: Path) -> None:
    loaded = load_package(package)
    assert loaded.weights == (package / "weights.onnx").read_bytes()
    assert loaded.manifest.source == "marker@1"
    assert loaded.manifest.kind_of_class() == (ModelKind.PEDESTRIAN, ModelKind.BICYCLE, ModelKind.NONE)


@pytest.mark.parametrize("place", [0, 700, -1])
def test_one_flipped_bit_of_the_weights_is_refused(package: Path, place: int) -> None:
    weights = bytearray((package / "weights.onnx").read_bytes())
    weights[place] ^= 1
    (package / "weights.onnx").write_bytes(weights)
    with pytest.raises(ModelPackageError, match=r"weights\.onnx: weights\.sha256: .* the manifest says"):
        load_package(package)


def test_truncated_weights_are_refused(package: Path) -> None:
    weights = (package / "weights.onnx").read_bytes()
    (package / "weights.onnx").write_bytes(weights[:-1])
    with pytest.raises(ModelPackageError, match=rf"weights\.bytes: {len(weights) - 1} bytes found"):
        load_package(package)


def test_weights_with_something_appended_are_refused(package: Path) -> None:
    with (package / "weights.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelPackageError, match="longer than"):
        load_package(package)


def test_missing_weights_are_named(package: Path) -> None:
    (package / "weights.onnx").unlink()
    with pytest.raises(ModelPackageError, match=r"weights\.onnx: can't be read: No such file"):
        load_package(package)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "nanodet"', 'kind = "oracle"', r"Invalid enum value 'oracle' - at `\$\.kind`"),
        ('licence = "Apache-2.0"\n', "", "missing required field `licence`"),
        ("width = 64", 'width = "64"', r"Expected `int`, got `str` - at `\$\.input\.width`"),
        ("width = 64", "width = 60", r"multiple of 16 - at `\$\.input\.width`"),
        ("score = 0.5", "score = 1.5", r"at `\$\.thresholds\.score`"),
        ("std = [255, 255, 255]", "std = [255, 255, 0]", r"at `\$\.input\.std\[2\]`"),
        ("std = [255, 255, 255]", "std = [255, 255, inf]", "mean and std must be finite"),
        ("mean = [0, 0, 0]", "mean = [0, 0]", r"at `\$\.input\.mean`"),
        ('file = "weights.onnx"', 'file = "../weights.onnx"', r"at `\$\.weights\.file`"),
        ('sha256 = "', 'sha256 = "A', r"at `\$\.weights\.sha256`"),
        ('layout = "nchw"', 'layout = "nchw"\ntypo = 1', r"unknown field `typo` - at `\$\.input`"),
        ('bicycle = "bicycle"', 'bicycle = "cyclist"', r"Invalid enum value 'cyclist'"),
        ('bicycle = "bicycle"', 'tricycle = "bicycle"', "kinds: not among classes: tricycle"),
        ('"bicycle", "chair"', '"person", "chair"', "classes: named more than once: person"),
        ("format = 1", "format = 2", r"at `\$\.format`"),
        ("format = 1", "format =", "not TOML"),
    ],
)
def test_a_bad_manifest_is_refused_by_file_and_field(package: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ModelPackageError, match=message) as caught:
        load_package(edit(package, old, new))
    assert str(package / "model.toml") in str(caught.value)


def test_a_manifest_that_is_no_text_is_refused(package: Path) -> None:
    (package / "model.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelPackageError, match="not UTF-8"):
        load_package(package)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelPackageError, match=r"model\.toml: can't be read"):
        load_package(tmp_path)


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_manifests_are_sound_and_come_without_weights(name: str) -> None:
    manifest = shipped_manifest(name)
    assert manifest.name == name
    first, last, count = {"yunet": ("face", "face", 1), "lpd-yunet": ("plate", "plate", 1)}.get(
        manifest.kind, ("person", "toothbrush", 80)
    )
    assert (manifest.classes[0], manifest.classes[-1], len(manifest.classes)) == (first, last, count)
    assert [path.name for path in shipped_path(name).parent.iterdir()] == ["model.toml"]
    assert manifest == load_manifest(shipped_path(name))


def test_an_unknown_shipped_name_lists_those_there_are() -> None:
    with pytest.raises(ModelPackageError, match=r"'yolo'.*nanodet-m-416, nanodet-m-416-int8"):
        shipped_manifest("yolo")
