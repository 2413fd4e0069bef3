"""Decoding against a slow reference, and the whole way through a tiny model."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_models.errors import ModelPackageError, ModelRunError
from fsd_models.nanodet import STRIDES, Level, Nanodet, decode, grid
from fsd_models.package import ModelPackage, load_package
from fsd_models.testing.marker_model import COLOURS, marker_weights, write_marker_package

SIDE, CLASSES, BINS = 64, 5, 8
LEVELS = tuple(Level(s, i, 3 + i, BINS, grid(SIDE, SIDE, s)) for i, s in enumerate(STRIDES))


def synthetic(seed: int) -> list[np.ndarray]:
    """Three score outputs, then three of distributions, as an export orders them."""
    rng = np.random.default_rng(seed)
    cells = [(SIDE // s) ** 2 for s in STRIDES]
    scores = [rng.random((1, n, CLASSES), np.float32) ** 4 for n in cells]
    return scores + [rng.normal(0, 3, (1, n, 4 * BINS)).astype(np.float32) for n in cells]


def plain_decode(outputs: list[np.ndarray], wanted: list[int], min_score: float) -> list[list[float]]:
    """Rows of x1, y1, x2, y2, score, class: one cell, one side, one bin at a time."""
    rows = []
    for i, stride in enumerate(STRIDES):
        across = SIDE // stride
        for cell in range(across * across):
            cls = max(wanted, key=lambda c: outputs[i][0, cell, c])
            score = float(outputs[i][0, cell, cls])
            if score < min_score:
                continue
            x, y = stride * (cell % across + 0.5) - 0.5, stride * (cell // across + 0.5) - 0.5
            sides = []
            for edge in range(4):
                logits = outputs[3 + i][0, cell, edge * BINS : (edge + 1) * BINS].tolist()
                weights = [math.exp(value) for value in logits]
                mean = sum(k * w for k, w in enumerate(weights)) / sum(weights)
                sides.append(mean * stride)
            rows.append([x - sides[0], y - sides[1], x + sides[2], y + sides[3], score, cls])
    return rows


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3, 0.8, 1.1]),
    st.sampled_from([[0, 1, 2, 3, 4], [1, 4]]),
)
@settings(max_examples=30, deadline=None)
def test_decoding_equals_the_plain_reference(seed: int, min_score: float, wanted: list[int]) -> None:
    outputs = synthetic(seed)
    found = decode(outputs, LEVELS, np.array(wanted, np.int32), min_score)
    rows = np.array(plain_decode(outputs, wanted, min_score)).reshape(-1, 6)
    assert np.allclose(found.box, rows[:, :4], atol=1e-3)
    assert np.allclose(found.score, rows[:, 4])
    assert np.array_equal(found.cls, rows[:, 5])


def test_huge_logits_don_t_overflow() -> None:
    outputs = synthetic(1)
    for sides in outputs[3:]:
        sides[:] = 0
        sides[..., 2::BINS] = 1e4
    found = decode(outputs, LEVELS, np.arange(CLASSES, dtype=np.int32), 0.0)
    assert np.allclose(found.box[0], [3.5 - 16, 3.5 - 16, 3.5 + 16, 3.5 + 16])


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return load_package(write_marker_package(tmp_path / "marker"))


def picture(width: int, height: int, *patches: tuple[str, int, int, int, int]) -> np.ndarray:
    bgr = np.zeros((height, width, 3), np.uint8)
    for name, x1, y1, x2, y2 in patches:
        bgr[y1:y2, x1:x2] = COLOURS[name]
    return bgr


def test_a_red_cell_is_a_person_where_it_is(package: ModelPackage) -> None:
    found = Nanodet(package).detect(picture(64, 64, ("person", 16, 8, 24, 16)), 0.5)
    assert found.box.tolist() == [[15.5, 7.5, 23.5, 15.5]]
    assert found.cls.tolist() == [0]


def test_boxes_come_back_in_pixels_of_a_letterboxed_picture(package: ModelPackage) -> None:
    """256 x 128 pixels lie at a quarter of the size in the middle of the input."""
    found = Nanodet(package).detect(picture(256, 128, ("person", 64, 32, 96, 64)), 0.5)
    assert found.box.tolist() == [[62, 30, 94, 62]]


def test_stretching_uses_a_scale_for_each_axis(package: ModelPackage) -> None:
    spec = msgspec.structs.replace(package.manifest.input, fit="stretch")
    stretched = replace(package, manifest=msgspec.structs.replace(package.manifest, input=spec))
    found = Nanodet(stretched).detect(picture(256, 128, ("person", 64, 32, 96, 48)), 0.5)
    assert found.box.tolist() == [[62, 31, 94, 47]]


def test_rgb_models_get_their_planes_the_other_way_round(package: ModelPackage) -> None:
    spec = msgspec.structs.replace(package.manifest.input, colour="rgb")
    swapped = replace(package, manifest=msgspec.structs.replace(package.manifest, input=spec))
    assert len(Nanodet(swapped).detect(picture(64, 64, ("person", 16, 8, 24, 16)), 0.5)) == 0


def test_a_class_without_kind_is_never_found(package: ModelPackage) -> None:
    assert len(Nanodet(package).detect(picture(64, 64, ("chair", 0, 0, 64, 64)), 0.5)) == 0


def test_boxes_end_at_the_picture(package: ModelPackage) -> None:
    found = Nanodet(package).detect(picture(64, 64, ("person", 0, 0, 8, 8)), 0.5)
    assert found.box.tolist() == [[0, 0, 7.5, 7.5]]


def test_halves_find_what_is_too_small_for_the_whole(package: ModelPackage) -> None:
    """At 128 x 64 a patch of 8 pixels fills a quarter of a cell of the whole, and a cell of a half."""
    model = Nanodet(package)
    bgr = picture(128, 64, ("person", 104, 24, 112, 40))
    assert len(model.detect(bgr, 0.4)) == 0
    found = model.detect(bgr, 0.4, halves=True)
    assert len(found) > 0
    assert found.box[:, 0].min() >= 98
    assert found.box[:, 2].max() <= 118


def test_halves_join_what_lies_across_the_cut(package: ModelPackage) -> None:
    bgr = picture(128, 64, ("person", 32, 0, 96, 64))
    found = Nanodet(package).detect(bgr, 0.5, halves=True)
    assert found.box[:, 0].min() < 45
    assert found.box[:, 2].max() > 83


@pytest.mark.parametrize(
    "bgr",
    [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3), np.float32),
     np.zeros((0, 64, 3), np.uint8)],
)  # fmt: skip
def test_a_picture_of_another_shape_is_refused(package: ModelPackage, bgr: np.ndarray) -> None:
    with pytest.raises(ModelRunError, match=r"marker@1: a picture must be uint8 \(height, width, 3\)"):
        Nanodet(package).detect(bgr, 0.5)


def test_a_manifest_that_doesn_t_fit_the_weights_is_refused(package: ModelPackage) -> None:
    with pytest.raises(ModelPackageError, match=r"input: the manifest says \(1, 3, 64, 64\), the model has"):
        Nanodet(replace(package, weights=marker_weights(side=96)))
    more = msgspec.structs.replace(package.manifest, classes=("person", "bicycle", "chair", "table"))
    with pytest.raises(ModelPackageError, match=r"stride 8: expected outputs \(1, 64, 4\)"):
        Nanodet(replace(package, manifest=more))
