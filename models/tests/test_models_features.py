"""Pooled features: one more output, put behind weights that stay as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from fsd_models.errors import ModelPackageError
from fsd_models.features import joined, pooled_output
from fsd_models.nanodet import Nanodet
from fsd_models.package import FeatureSpec, ModelPackage, load_package
from fsd_models.session import Session, SessionLimits
from fsd_models.testing.marker_model import write_marker_package
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "pedestrian_cyclist_1.mp4"


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return load_package(write_marker_package(tmp_path / "marker"))


def with_features(package: ModelPackage, spec: FeatureSpec | None) -> ModelPackage:
    return replace(package, manifest=msgspec.structs.replace(package.manifest, features=spec))


def noise(seed: int, width: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, width, 3)).astype(np.uint8)


def test_features_are_the_mean_over_the_picture(package: ModelPackage) -> None:
    bgr = noise(1)
    found = Nanodet(package).look(bgr, 0.5).features
    assert found is not None
    assert found.shape == (3,)
    assert np.allclose(found, bgr.reshape(-1, 3).mean(axis=0) / 255, atol=1e-6)


def test_of_two_halves_the_larger_counts(package: ModelPackage) -> None:
    """Left half dark, right half blue: not thinned by the dark one."""
    model, bgr = Nanodet(package), np.zeros((64, 128, 3), np.uint8)
    bgr[:, 64:, 0] = 255
    whole, halves = (model.look(bgr, 0.5, halves=halves).features for halves in (False, True))
    right = model.look(bgr[:, 58:], 0.5).features
    assert whole is not None
    assert halves is not None
    assert halves.tolist() == pytest.approx(np.asarray(right).tolist())
    assert halves[0] > whole[0]
    assert joined(np.float32([1, 2]), np.float32([2, 1])).tolist() == [2, 2]


def test_a_package_without_features_gives_none(package: ModelPackage) -> None:
    plain = Nanodet(with_features(package, None))
    assert plain.look(noise(2), 0.5).features is None
    assert plain.look(noise(2), 0.5, halves=True).features is None


def test_the_extension_changes_no_other_output(package: ModelPackage) -> None:
    picture = np.random.default_rng(3).random((1, 3, 64, 64), np.float32)
    limits, spec = SessionLimits(), package.manifest.features
    assert spec is not None
    plain, more = Session(package, limits), Session(package, limits, pooled_output(spec))
    before, after = plain.run({"image": picture}), more.run({"image": picture})
    assert more.outputs[:-1] == plain.outputs
    assert more.outputs[-1].shape == (1, 3, 1, 1)
    assert all(np.array_equal(a, b) for a, b in zip(before, after[:-1], strict=True))


@pytest.mark.parametrize(
    ("tensor", "size", "reason"),
    [
        ("mean32", 4, r"weights\.onnx: features\.size: the manifest says 4, mean32 gives \[\(1, 3, 1, 1\)\]"),
        ("elsewhere", 3, r"weights\.onnx: the ONNX runtime can't load it: .*elsewhere"),
    ],
)
def test_a_tensor_that_is_not_there_or_of_another_size_is_refused(
    package: ModelPackage, tensor: str, size: int, reason: str
) -> None:
    with pytest.raises(ModelPackageError, match=reason):
        Nanodet(with_features(package, FeatureSpec(tensor, size, 1.0)))


@pytest.mark.skipif(
    not (WEIGHTS.is_dir() and VIDEO.is_file()), reason=f"no real weights and video in {data_dir()} (FSD_DATA)"
)
@pytest.mark.parametrize("name", ["nanodet-m-416", "nanodet-m-416-int8"])
def test_real_weights_give_features_that_move_and_stay_below_the_limit(tmp_path: Path, name: str) -> None:
    package = load_package(assemble_package(name, WEIGHTS, tmp_path / name))
    spec, model = package.manifest.features, Nanodet(package)
    assert spec is not None
    video, found = cv2.VideoCapture(str(VIDEO)), []
    for _ in range(3):
        more, bgr = video.read()
        assert more
        look = model.look(bgr, 0.35)
        assert look.features is not None
        assert len(look.boxes)
        found.append(look.features)
    columns = np.array(found)
    assert columns.shape == (3, spec.size)
    assert 0.05 < np.abs(columns).max() < spec.limit
    assert (np.ptp(columns, axis=0) > 0).mean() > 0.5
