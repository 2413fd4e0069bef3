"""One network in several input sizes: shapes follow, weights stay, and what is no model is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsd_models.boxes import iou
from fsd_models.detectors import open_detector
from fsd_models.errors import ModelPackageError, ModelRunError
from fsd_models.fitted import MAX_SIZES, FittedNetwork, input_size
from fsd_models.nanodet import Nanodet
from fsd_models.onnx_wire import block, fields, node, number, value
from fsd_models.package import ModelPackage, load_package
from fsd_models.resized import resized
from fsd_models.session import Session, SessionLimits
from fsd_models.shipped import shipped_manifest
from fsd_models.testing.marker_model import COLOURS, marker_weights, write_marker_package
from fsd_models.testing.onnx_writer import model, tensor
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "pedestrian_cyclist_1.mp4"
NANODET = shipped_manifest("nanodet-m-416-int8").input


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    """The marker package, said to be resizable."""
    made = load_package(write_marker_package(tmp_path / "marker"))
    spec = msgspec.structs.replace(made.manifest.input, resizable=True)
    return replace(made, manifest=msgspec.structs.replace(made.manifest, input=spec))


def picture(width: int, height: int, *patches: tuple[str, int, int, int, int]) -> np.ndarray:
    bgr = np.zeros((height, width, 3), np.uint8)
    for colour, x1, y1, x2, y2 in patches:
        bgr[y1:y2, x1:x2] = COLOURS[colour]
    return bgr


def shuffling(package: ModelPackage) -> ModelPackage:
    """Weights that tell their size as a shape of four and of five, beside numbers that only look alike."""
    constants = [
        tensor("grid", np.array([1, 3, 8, 8], np.int64)),
        tensor("split", np.array([1, 3, 1, 8, 8], np.int64)),
        tensor("open", np.array([1, 3, -1], np.int64)),
        tensor("eight", np.array([8, 8], np.int64)),
    ]
    nodes = [
        node("AveragePool", ["image"], "pooled", kernel_shape=[8, 8], strides=[8, 8]),
        node("Reshape", ["pooled", "split"], "b"),
        node("Reshape", ["b", "grid"], "c"),
        node("Reshape", ["c", "open"], "out"),
    ]
    outputs = [value("out", [1, 3, 64])]
    return replace(package, weights=model(nodes, constants, [value("image", [1, 3, 64, 64])], outputs))


def test_shapes_of_the_old_size_become_those_of_the_new(package: ModelPackage) -> None:
    wide = resized(shuffling(package), 64, 32)
    session = Session(wide, SessionLimits())
    assert [one.shape for one in session.inputs] == [(1, 3, 32, 64)]
    assert [one.shape for one in session.outputs] == [(1, 3, 32)]
    image = np.random.default_rng(1).random((1, 3, 32, 64), np.float32)
    (out,) = session.run({"image": image})
    assert out[0] == pytest.approx(image[0].reshape(3, 4, 8, 8, 8).mean(axis=(2, 4)).reshape(3, 32))


def test_what_is_no_shape_stays_byte_for_byte(package: ModelPackage) -> None:
    before = shuffling(package).weights
    after = resized(shuffling(package), 64, 32).weights
    for constant in (
        tensor("eight", np.array([8, 8], np.int64)),
        tensor("open", np.array([1, 3, -1], np.int64)),
    ):
        assert constant in before
        assert constant in after


def test_the_same_bytes_and_size_give_the_same_bytes_and_another_manifest(package: ModelPackage) -> None:
    one, other = resized(package, 64, 32), resized(package, 64, 32)
    assert one.weights == other.weights
    assert (one.manifest.input.width, one.manifest.input.height) == (64, 32)
    assert one.manifest.features is None
    assert one.manifest.weights == package.manifest.weights


@pytest.mark.parametrize("weights", [b"no model", b"\x3a\x05\x0a", b"\xff" * 12])
def test_what_is_no_model_is_refused_by_file(package: ModelPackage, weights: bytes) -> None:
    with pytest.raises(ModelPackageError, match=r"weights\.onnx: no ONNX model"):
        resized(replace(package, weights=weights), 64, 32)


def test_a_resized_network_finds_what_the_square_one_finds(package: ModelPackage) -> None:
    bgr = picture(128, 64, ("person", 64, 32, 80, 48))
    found = open_detector(resized(package, 64, 32)).detect(bgr, 0.5)
    assert found.box.tolist() == open_detector(package).detect(bgr, 0.5).box.tolist() == [[63, 31, 79, 47]]


_MESSAGES = st.recursive(
    st.builds(number, st.integers(1, 2000), st.integers(0, 2**63)),
    lambda inner: st.builds(
        lambda parts, field: block(field, b"".join(parts)), st.lists(inner, max_size=4), st.integers(1, 2000)
    ),
)


@given(st.lists(_MESSAGES, max_size=5))
def test_the_fields_together_are_the_message(parts: list[bytes]) -> None:
    found = list(fields(b"".join(parts)))
    assert [raw for _, raw, _ in found] == parts
    assert all(block(field, body) == raw for field, raw, body in found if body is not None)


@given(st.binary(max_size=40))
def test_any_bytes_are_fields_or_refused(message: bytes) -> None:
    try:
        found = list(fields(message))
    except ValueError:
        return
    assert b"".join(raw for _, raw, _ in found) == message


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (64, 64, (64, 64)),
        (128, 64, (64, 32)),
        (64, 128, (32, 64)),
        (128, 65, (64, 64)),  # 32.5 rows
        (640, 32, (64, 32)),
        (6400, 64, (64, 32)),
        (1, 1, (64, 64)),
    ],
)
def test_the_input_is_as_low_as_the_picture(
    package: ModelPackage, width: int, height: int, size: tuple[int, int]
) -> None:
    assert input_size(package.manifest.input, width, height) == size


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_no_input_is_larger_than_the_package_s_or_higher_than_the_picture(width: int, height: int) -> None:
    spec = NANODET
    got = input_size(spec, width, height)
    own = min(spec.width / width, spec.height / height)
    assert got[0] in range(32, spec.width + 1, 32)
    assert got[1] in range(32, spec.height + 1, 32)
    assert min(got[0] / width, got[1] / height) >= own * (1 - 1e-6)
    assert got[1] - 32 < height * own
    assert got[0] - 32 < width * own


def test_halves_are_looked_at_in_an_input_for_halves(package: ModelPackage) -> None:
    network = FittedNetwork(package, SessionLimits())
    bgr = picture(256, 64, ("person", 224, 32, 256, 48))
    found = network.detect(bgr, 0.9, halves=True)
    assert found.box.tolist() == open_detector(package).detect(bgr, 0.9, halves=True).box.tolist()


def test_a_package_that_is_not_resizable_is_looked_at_as_it_is(package: ModelPackage, tmp_path: Path) -> None:
    fixed = load_package(write_marker_package(tmp_path / "fixed"))
    bgr = picture(128, 64, ("person", 64, 32, 80, 48))
    found = FittedNetwork(fixed, SessionLimits()).look(bgr, 0.5)
    assert found.boxes.box.tolist() == open_detector(package).detect(bgr, 0.5).box.tolist()
    assert found.features is None


def test_sizes_are_kept_and_the_one_used_longest_ago_goes(package: ModelPackage) -> None:
    spec = msgspec.structs.replace(package.manifest.input, width=128, height=128)
    large = replace(
        package,
        weights=marker_weights(128),
        manifest=msgspec.structs.replace(package.manifest, input=spec, features=None),
    )
    network = FittedNetwork(large, SessionLimits())
    for width, height in [(128, 128), (128, 32), (128, 64), (128, 96), (128, 64), (32, 128)]:
        assert len(network.detect(picture(width, height, ("person", 0, 0, 32, 32)), 0.5)) > 0
    assert MAX_SIZES == 3
    assert network.sizes == ((128, 96), (128, 64), (32, 128))


def test_weights_that_have_no_other_size_fail_the_picture(package: ModelPackage) -> None:
    """A constant that nobody recognises as a shape: the runtime or the check of outputs says so, never a wrong box."""
    constants = [tensor("all", np.array([1, 64 * 64 * 3], np.int64))]
    nodes = [node("Reshape", ["image", "all"], "flat")]
    broken = model(nodes, constants, [value("image", [1, 3, 64, 64])], [value("flat", [1, 64 * 64 * 3])])
    with pytest.raises(ModelPackageError):
        open_detector(resized(replace(package, weights=broken), 64, 32))


def test_a_picture_of_another_shape_is_refused(package: ModelPackage) -> None:
    with pytest.raises(ModelRunError, match="a picture must be"):
        FittedNetwork(package, SessionLimits()).detect(np.zeros((4, 4), np.uint8), 0.5)


@pytest.mark.skipif(
    not (WEIGHTS.is_dir() and VIDEO.is_file()), reason=f"no real weights and video in {data_dir()} (FSD_DATA)"
)
@pytest.mark.parametrize("name", ["nanodet-m-416", "nanodet-m-416-int8"])
def test_real_weights_see_in_a_low_input_what_they_see_in_a_square(tmp_path: Path, name: str) -> None:
    package = load_package(assemble_package(name, WEIGHTS, tmp_path / "package"))
    square, fitted = Nanodet(package), FittedNetwork(package, SessionLimits())
    video = cv2.VideoCapture(str(VIDEO))
    wanted = shared = 0
    for _ in range(8):
        bgr = np.asarray(video.read()[1], np.uint8)[100:500]
        one, other = square.detect(bgr, 0.4, halves=True), fitted.detect(bgr, 0.3, halves=True)
        wanted += len(one)
        shared += int((iou(one.box, other.box).max(axis=1, initial=0) > 0.6).sum())
    assert fitted.sizes == ((416, 256),)
    assert wanted > 8
    assert shared >= 0.9 * wanted
