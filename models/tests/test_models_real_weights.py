"""Real weights on real pictures; skipped where they aren't."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fsd_models.boxes import RawBoxes, iou
from fsd_models.errors import ModelPackageError
from fsd_models.nanodet import Nanodet
from fsd_models.package import load_package
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "pedestrian_cyclist_1.mp4"
PERSON = 0

pytestmark = pytest.mark.skipif(
    not (WEIGHTS.is_dir() and VIDEO.is_file()), reason=f"no real weights and video in {data_dir()} (FSD_DATA)"
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Nanodet]:
    root = tmp_path_factory.mktemp("packages")
    names = ("nanodet-m-416", "nanodet-m-416-int8")
    return {name: Nanodet(load_package(assemble_package(name, WEIGHTS, root / name))) for name in names}


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Every seventh picture of the street scene."""
    video = cv2.VideoCapture(str(VIDEO))
    pictures = []
    while True:
        more, bgr = video.read()
        if not more:
            return pictures[::7]
        pictures.append(bgr)


def agreement(a: RawBoxes, b: RawBoxes) -> int:
    """Boxes of ``a`` that ``b`` has as well."""
    same = (iou(a.box, b.box) >= 0.5) & (a.cls[:, None] == b.cls[None, :])
    return int(same.any(axis=1).sum())


def test_int8_sees_what_float_sees(models: dict[str, Nanodet], pictures: list[np.ndarray]) -> None:
    seen = [
        (models["nanodet-m-416"].detect(p, 0.4), models["nanodet-m-416-int8"].detect(p, 0.3))
        for p in pictures
    ]
    total = sum(len(a) for a, _ in seen)
    assert total >= len(pictures)
    assert sum(agreement(a, b) for a, b in seen) / total >= 0.9


def test_halves_see_persons_that_the_whole_misses(
    models: dict[str, Nanodet], pictures: list[np.ndarray]
) -> None:
    model = models["nanodet-m-416-int8"]
    whole = sum(int((model.detect(p, 0.35).cls == PERSON).sum()) for p in pictures)
    halves = sum(int((model.detect(p, 0.35, halves=True).cls == PERSON).sum()) for p in pictures)
    assert halves > 1.3 * whole


def test_one_flipped_byte_of_real_weights_is_refused(tmp_path: Path) -> None:
    """The runtime itself would load them without a word."""
    package = assemble_package("nanodet-m-416-int8", WEIGHTS, tmp_path / "package")
    weights = bytearray((package / "weights.onnx").read_bytes())
    weights[len(weights) // 2] ^= 0xFF
    (package / "weights.onnx").write_bytes(weights)
    with pytest.raises(ModelPackageError, match=r"weights\.sha256"):
        load_package(package)
