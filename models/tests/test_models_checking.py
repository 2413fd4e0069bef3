"""YuNet and LPD-YuNet: decoding against slow references, tiles, and the real weights on real pictures."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsd_models import lpd_yunet, yunet
from fsd_models.boxes import iou
from fsd_models.detectors import open_detector
from fsd_models.errors import ModelPackageError
from fsd_models.kinds import ModelKind
from fsd_models.lpd_yunet import LpdYunet, priors_of
from fsd_models.package import ModelPackage, load_package
from fsd_models.session import Tensor
from fsd_models.shipped import shipped_manifest
from fsd_models.testing.marker_model import COLOURS, write_marker_package
from fsd_models.tiles import OVERLAP, Tiling, look_tiled, spans
from fsd_models.yunet import Yunet, find_levels
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "pedestrian_cyclist_1.mp4"
FRONT = data_dir() / "train_permissive" / "frontcam"
WIDTH, HEIGHT = 64, 96
real = pytest.mark.skipif(
    not (WEIGHTS.is_dir() and VIDEO.is_file()), reason=f"no real weights and video in {data_dir()} (FSD_DATA)"
)


def yunet_outputs() -> list[Tensor]:
    names = itertools.product((8, 16, 32), (("cls", 1), ("obj", 1), ("bbox", 4)))
    return [Tensor(f"{part}_{s}", (None, None, columns)) for s, (part, columns) in names]


def small_yunet(**changes: object):  # noqa: ANN201 - a manifest
    manifest = shipped_manifest("yunet-n")
    spec = msgspec.structs.replace(manifest.input, width=WIDTH, height=HEIGHT)
    return msgspec.structs.replace(manifest, input=spec, **changes)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.4, 0.9]))
@settings(max_examples=25, deadline=None)
def test_faces_are_decoded_as_the_plain_reference_does(seed: int, min_score: float) -> None:
    rng, outputs, expected = np.random.default_rng(seed), [], []
    for s in (8, 16, 32):
        cells = (WIDTH // s) * (HEIGHT // s)
        cls, obj = rng.uniform(-0.1, 1.1, (2, 1, cells, 1)).astype(np.float32)
        box = rng.normal(0, 1, (1, cells, 4)).astype(np.float32)
        outputs += [cls, obj, box]
        for cell in range(cells):
            row, column = divmod(cell, WIDTH // s)
            score = math.sqrt(min(max(cls[0, cell, 0], 0), 1) * min(max(obj[0, cell, 0], 0), 1))
            if score >= min_score:
                x, y, w, h = box[0, cell].tolist()
                cx, cy, w, h = (column + x) * s, (row + y) * s, math.exp(w) * s, math.exp(h) * s
                expected.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score])
    levels = find_levels("here", small_yunet(), yunet_outputs())
    found = yunet.decode(outputs, levels, min_score)
    assert (found.box.dtype, found.score.dtype, found.cls.dtype) == (np.float32, np.float32, np.int32)
    got = np.concatenate([found.box, found.score[:, None]], axis=1)
    np.testing.assert_allclose(got, np.array(expected).reshape(-1, 5), rtol=1e-4, atol=1e-3)
    assert not found.cls.any()


def test_a_side_without_measure_stays_finite() -> None:
    levels = find_levels("here", small_yunet(), yunet_outputs())
    outputs = []
    for s in (8, 16, 32):
        cells = (WIDTH // s) * (HEIGHT // s)
        outputs += [np.ones((1, cells, 1)), np.ones((1, cells, 1)), np.full((1, cells, 4), 1e6)]
    found = yunet.decode([one.astype(np.float32) for one in outputs], levels, 0.5)
    assert len(found)
    assert np.isfinite(found.box).all()


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (yunet_outputs()[1:], r"output cls_8 \(1, 96, 1\) .* has None"),
        ([Tensor("cls_8", (1, 95, 1)), *yunet_outputs()[1:]], r"cls_8 .* has \(1, 95, 1\)"),
        (
            [*yunet_outputs()[:-1], Tensor("bbox_32", (1, None, 5))],
            r"bbox_32 \(1, 6, 4\) .* has \(1, None, 5\)",
        ),
        ([Tensor("cls_8", (1, 1)), *yunet_outputs()[1:]], r"cls_8 .* has \(1, 1\)"),
    ],
)
def test_outputs_that_are_not_a_yunet_s_are_refused(outputs: list[Tensor], text: str) -> None:
    with pytest.raises(ModelPackageError, match=text):
        find_levels("here", small_yunet(), outputs)


def test_more_than_one_class_is_refused() -> None:
    two = small_yunet(classes=("face", "mask"))
    with pytest.raises(ModelPackageError, match="classes: this kind has one, the manifest names 2"):
        find_levels("here", two, yunet_outputs())


def test_priors_are_those_of_the_model() -> None:
    """``gen_priors`` of the zoo, in pixels."""
    priors = priors_of(320, 240)
    assert priors.shape == (4385, 3)
    assert priors[:4].tolist() == [[4, 4, 10], [4, 4, 16], [4, 4, 24], [12, 4, 10]]
    assert priors[40 * 30 * 3].tolist() == [8, 8, 32]
    assert priors[-1].tolist() == [4.5 * 64, 2.5 * 64, 256]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.4, 0.9]))
@settings(max_examples=25, deadline=None)
def test_plates_are_decoded_as_the_plain_reference_does(seed: int, min_score: float) -> None:
    rng, priors, expected = np.random.default_rng(seed), priors_of(128, 64), []
    n = priors.shape[0]
    loc = rng.normal(0, 1, (n, 14)).astype(np.float32)
    conf, iou_ = (rng.uniform(-0.1, 1.1, (n, columns)).astype(np.float32) for columns in (2, 1))
    for at, (x, y, side) in enumerate(priors.tolist()):
        score = math.sqrt(min(max(conf[at, 1], 0), 1) * min(max(iou_[at, 0], 0), 1))
        if score >= min_score:
            xs = [x + loc[at, column] * 0.1 * side for column in (4, 6, 10, 12)]
            ys = [y + loc[at, column] * 0.1 * side for column in (5, 7, 11, 13)]
            expected.append([min(xs), min(ys), max(xs), max(ys), score])
    found = lpd_yunet.decode(loc, conf, iou_, priors, min_score)
    got = np.concatenate([found.box, found.score[:, None]], axis=1)
    np.testing.assert_allclose(got, np.array(expected).reshape(-1, 5), rtol=1e-4, atol=1e-3)
    assert (found.box.dtype, found.cls.dtype, found.cls.any()) == (np.float32, np.int32, False)


@given(st.integers(1, 3000), st.integers(1, 8))
def test_tiles_cover_the_length_with_one_size_and_share_their_edges(length: int, pieces: int) -> None:
    found = spans(length, pieces)
    assert len(found) == pieces
    assert (found[0][0], found[-1][1]) == (0, length)
    assert len({end - start for start, end in found}) == 1
    for (_, before), (start, end) in itertools.pairwise(found):
        assert start <= before
        if length >= 400:
            assert before - start >= (OVERLAP - 0.05) * (end - start)


def test_tiles_see_what_is_too_small_for_the_whole_and_say_where_it_is(tmp_path: Path) -> None:
    model = open_detector(load_package(write_marker_package(tmp_path / "marker")))
    bgr = np.zeros((128, 256, 3), np.uint8)
    bgr[96:112, 200:216] = COLOURS["person"]
    assert not len(look_tiled(model, bgr, 0.9, [Tiling(1, 1)]))
    tiled = look_tiled(model, bgr, 0.9, [Tiling(1, 1), Tiling(4, 2)])
    assert len(tiled)
    centre = (tiled.box[:, :2] + tiled.box[:, 2:]) / 2
    assert (np.abs(centre - [208, 104]) < 12).all()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    root = tmp_path_factory.mktemp("packages")
    return {
        name: load_package(assemble_package(name, WEIGHTS, root / name)) for name in ("yunet-n", "lpd-yunet")
    }


@real
def test_the_kind_says_which_class_runs_it_and_what_it_finds(packages: dict[str, ModelPackage]) -> None:
    for name, cls, kind in (("yunet-n", Yunet, ModelKind.FACE), ("lpd-yunet", LpdYunet, ModelKind.PLATE)):
        assert isinstance(open_detector(packages[name]), cls)
        assert packages[name].manifest.kind_of_class() == (kind,)


@real
def test_real_weights_see_the_face_that_opencv_s_own_detector_sees(packages: dict[str, ModelPackage]) -> None:
    ours = open_detector(packages["yunet-n"])
    theirs = cv2.FaceDetectorYN.create(str(WEIGHTS / "yunet_n_dynamic.onnx"), "", (1280, 736), 0.8, 0.3)
    video, compared = cv2.VideoCapture(str(VIDEO)), 0
    for _ in range(46):
        more, bgr = video.read()
        assert more
    canvas = np.zeros((736, 1280, 3), np.uint8)
    canvas[8:728] = bgr
    rows = theirs.detect(canvas)[1]
    found = ours.detect(np.asarray(bgr, np.uint8), 0.75)
    for row in np.asarray(rows):
        x, y, w, h = row[:4]
        box = np.array([[x, y - 8, x + w, y - 8 + h]], np.float32)
        assert iou(box, found.box).max() > 0.7
        compared += 1
    assert compared >= 1


@real
def test_weights_that_are_not_the_manifest_s_kind_are_refused(packages: dict[str, ModelPackage]) -> None:
    plates, faces = packages["lpd-yunet"], packages["yunet-n"]
    smaller = msgspec.structs.replace(
        plates.manifest, input=msgspec.structs.replace(plates.manifest.input, width=352)
    )
    with pytest.raises(ModelPackageError, match="input: the manifest says"):
        open_detector(replace(plates, manifest=smaller))
    with pytest.raises(ModelPackageError, match=r"expected an output loc"):
        open_detector(replace(faces, manifest=msgspec.structs.replace(faces.manifest, kind="lpd-yunet")))
    two = msgspec.structs.replace(plates.manifest, classes=("plate", "sign"))
    with pytest.raises(ModelPackageError, match="classes: this kind has one, the manifest names 2"):
        open_detector(replace(plates, manifest=two))
