"""Decoding against a slow reference, the whole way through a tiny model, and real weights on real pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_models.boxes import iou
from fsd_models.detectors import open_detector
from fsd_models.errors import ModelPackageError
from fsd_models.fastestdet import STRIDE, FastestDet, decode
from fsd_models.nanodet import Nanodet
from fsd_models.package import ModelPackage, load_package
from fsd_models.testing.marker_model import COLOURS, write_marker_package
from fsd_models.testing.one_output_model import one_output_weights, write_one_output_package
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "pedestrian_cyclist_1.mp4"
CLASSES = 5


def plain_decode(output: np.ndarray, wanted: list[int], min_score: float) -> list[list[float]]:
    """Rows of x1, y1, x2, y2, score, class: one cell at a time."""
    _, rows, columns = output.shape
    found = []
    for r in range(rows):
        for c in range(columns):
            obj, x, y, w, h, *classes = output[:, r, c].tolist()
            cls = max(wanted, key=lambda one: classes[one])
            score = obj**0.6 * classes[cls] ** 0.4
            if score < min_score:
                continue
            across, down = (c + math.tanh(x)) * STRIDE, (r + math.tanh(y)) * STRIDE
            wide = columns * STRIDE / (1 + math.exp(-w))
            high = rows * STRIDE / (1 + math.exp(-h))
            box = [across - wide / 2, down - high / 2, across + wide / 2, down + high / 2]
            found.append([*box, score, cls])
    return found


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3, 0.8, 1.1]),
    st.sampled_from([[0, 1, 2, 3, 4], [1, 4]]),
    st.sampled_from([(4, 4), (2, 6)]),
)
@settings(max_examples=30, deadline=None)
def test_decoding_equals_the_plain_reference(
    seed: int, min_score: float, wanted: list[int], cells: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    output = np.concatenate(
        [rng.random((1, *cells)), rng.normal(0, 2, (4, *cells)), rng.random((CLASSES, *cells))]
    ).astype(np.float32)
    found = decode(output, np.array(wanted, np.int32), min_score)
    expected = plain_decode(output, wanted, min_score)
    assert len(found) == len(expected)
    assert (found.box.dtype, found.score.dtype, found.cls.dtype) == (np.float32, np.float32, np.int32)
    if expected:
        table = np.array(expected)
        np.testing.assert_allclose(found.box, table[:, :4], atol=0.01)
        np.testing.assert_allclose(found.score, table[:, 4], atol=1e-5)
        assert found.cls.tolist() == table[:, 5].tolist()


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return load_package(write_one_output_package(tmp_path / "one"))


def picture(width: int, height: int, *patches: tuple[str, int, int, int, int]) -> np.ndarray:
    bgr = np.zeros((height, width, 3), np.uint8)
    for name, x1, y1, x2, y2 in patches:
        bgr[y1:y2, x1:x2] = COLOURS[name]
    return bgr


def test_the_manifest_s_kind_says_which_class_runs_it(package: ModelPackage, tmp_path: Path) -> None:
    assert isinstance(open_detector(package), FastestDet)
    marker = load_package(write_marker_package(tmp_path / "marker"))
    assert isinstance(open_detector(marker), Nanodet)


def test_a_box_is_found_where_the_picture_shows_it(package: ModelPackage) -> None:
    """A cell's box in the tiny model is one cell around the cell's upper left corner."""
    found = open_detector(package).detect(picture(256, 128, ("person", 128, 64, 192, 96)), 0.5)
    assert found.box.tolist() == [[96, 48, 160, 80]]
    assert found.cls.tolist() == [0]


def test_a_class_without_kind_is_never_found(package: ModelPackage) -> None:
    assert len(open_detector(package).detect(picture(64, 64, ("chair", 0, 0, 64, 64)), 0.5)) == 0


def test_two_halves_see_what_is_too_small_for_the_whole(package: ModelPackage) -> None:
    bgr = picture(256, 64, ("person", 224, 32, 256, 48))
    whole = open_detector(package).detect(bgr, 0.9)
    halves = open_detector(package).detect(bgr, 0.9, halves=True)
    assert (len(whole), len(halves)) == (0, 1)
    assert halves.box[0, 0] > 180


def test_a_manifest_that_doesn_t_fit_the_weights_is_refused(package: ModelPackage) -> None:
    with pytest.raises(ModelPackageError, match=r"input: the manifest says \(1, 3, 64, 64\), the model has"):
        open_detector(replace(package, weights=one_output_weights(side=96)))
    more = msgspec.structs.replace(package.manifest, classes=("person", "bicycle", "chair", "table"))
    with pytest.raises(ModelPackageError, match=r"expected an output \(1, 9, 4, 4\) .* has \[\(1, 8, 4, 4\)"):
        open_detector(replace(package, manifest=more))


@pytest.mark.skipif(
    not (WEIGHTS.is_dir() and VIDEO.is_file()), reason=f"no real weights and video in {data_dir()} (FSD_DATA)"
)
def test_real_weights_find_the_persons_that_nanodet_finds(tmp_path: Path) -> None:
    """Another family of model, so agreement of boxes shows that the decoding is right."""
    names = ("fastestdet-352", "nanodet-m-416")
    small, large = (open_detector(load_package(assemble_package(n, WEIGHTS, tmp_path / n))) for n in names)
    video = cv2.VideoCapture(str(VIDEO))
    wanted = shared = 0
    for index in range(63):
        more, bgr = video.read()
        assert more
        if index % 5:
            continue
        theirs = large.detect(np.asarray(bgr, np.uint8), 0.5, halves=True)
        theirs = theirs.take(theirs.cls == 0)
        ours = small.detect(np.asarray(bgr, np.uint8), 0.3, halves=True)
        same = iou(theirs.box, ours.take(ours.cls == 0).box) >= 0.5
        wanted, shared = wanted + len(theirs), shared + int(same.any(axis=1).sum())
    assert wanted >= 15
    assert shared / wanted >= 0.6
