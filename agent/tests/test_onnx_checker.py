"""The checker port by real sessions: what a package is for, where it looks, and the real weights on a street scene."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fsd_agent.adapters.onnx_checker import OnnxChecker
from fsd_agent.ports.checker import Checker
from fsd_agent.ports.detector import DetectorError, DetectorStalledError
from fsd_agent.records.check import Sight
from fsd_firmware.samples import Frame
from fsd_models.package import load_package
from fsd_models.testing.marker_model import COLOURS, write_marker_package
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "pedestrian_cyclist_1.mp4"


def scene(width: int, height: int, *patches: tuple[str, int, int, int, int]) -> Frame:
    bgr = np.zeros((height, width, 3), np.uint8)
    for name, x1, y1, x2, y2 in patches:
        bgr[y1:y2, x1:x2] = COLOURS[name]
    return Frame("front", 7, bgr)


@pytest.fixture
def checker(tmp_path: Path) -> OnnxChecker:
    return OnnxChecker(write_marker_package(tmp_path / "marker"), threads=1)


def test_persons_are_sights_and_what_no_rule_is_about_is_left_out(checker: Checker) -> None:
    frame = scene(192, 64, ("person", 0, 0, 32, 32), ("bicycle", 96, 0, 128, 32))
    seen = checker.look(frame, full=True)
    assert seen.source == checker.source == "marker@1"
    assert len(seen.what)
    assert set(seen.what.tolist()) == {Sight.PERSON}
    assert (seen.box[:, 0] < 40).all()
    assert seen.box.shape == (seen.what.shape[0], 4)
    assert (seen.score >= 0.5).all()


def test_a_full_look_sees_what_a_quick_one_sees_and_more_of_what_is_large(checker: Checker) -> None:
    frame = scene(192, 64, ("person", 0, 0, 192, 64))
    quick, full = (checker.look(frame, full=full) for full in (False, True))
    assert 0 < len(quick.what) < len(full.what)


def test_the_digest_is_the_package_s(tmp_path: Path) -> None:
    folder = write_marker_package(tmp_path / "marker")
    assert OnnxChecker(folder, threads=1).digest == load_package(folder).digest


def test_a_pass_past_its_limit_is_told_apart(tmp_path: Path) -> None:
    slow = OnnxChecker(write_marker_package(tmp_path / "slow"), threads=1, run_limit_s=1e-9)

    def look_until_it_stalls() -> None:
        for _ in range(10_000):  # The timer may lose a race against so small a model.
            slow.look(scene(64, 64), full=False)

    with pytest.raises(DetectorStalledError, match="front at 7 ns: marker@1: stopped after 1e-09 s"):
        look_until_it_stalls()


def test_a_package_that_finds_nothing_to_check_is_refused(tmp_path: Path) -> None:
    folder = write_marker_package(tmp_path / "marker")
    manifest = folder / "model.toml"
    manifest.write_text(manifest.read_text().replace('person = "pedestrian"\n', ""))
    with pytest.raises(DetectorError, match="finds no faces, plates or persons"):
        OnnxChecker(folder, threads=1)


def test_damaged_packages_and_pictures_are_errors_of_the_port(tmp_path: Path, checker: Checker) -> None:
    with pytest.raises(DetectorError, match=r"front at 7 ns: marker@1"):
        checker.look(Frame("front", 7, np.zeros((8, 8), np.uint8)), full=False)
    folder = write_marker_package(tmp_path / "other")
    (folder / "weights.onnx").write_bytes(b"other")
    with pytest.raises(DetectorError, match=r"weights\.bytes"):
        OnnxChecker(folder, threads=1)


@pytest.mark.skipif(
    not (WEIGHTS.is_dir() and VIDEO.is_file()), reason=f"no real weights and video in {data_dir()} (FSD_DATA)"
)
def test_real_packages_see_a_face_in_the_street_and_none_where_it_is_painted(tmp_path: Path) -> None:
    video = cv2.VideoCapture(str(VIDEO))
    for _ in range(46):
        more, read = video.read()
        assert more
    bgr = np.asarray(read, np.uint8).copy()
    faces, persons = (
        OnnxChecker(assemble_package(name, WEIGHTS, tmp_path / name), threads=1)
        for name in ("yunet-n", "nanodet-m-416")
    )
    seen = faces.look(Frame("front", 0, bgr), full=False)
    assert set(seen.what.tolist()) == {Sight.FACE}
    x1, y1, x2, y2 = seen.box[0].astype(int)
    walkers = persons.look(Frame("front", 0, bgr), full=False)
    walkers_box = walkers.box[walkers.what == Sight.PERSON]
    inside = (walkers_box[:, 0] <= x1 + 5) & (walkers_box[:, 2] >= x2 - 5) & (walkers_box[:, 1] <= y1 + 5)
    assert inside.any()
    bgr[y1 - 8 : y2 + 8, x1 - 8 : x2 + 8] = 0
    painted = faces.look(Frame("front", 0, bgr), full=True)
    centre = (painted.box[:, :2] + painted.box[:, 2:]) / 2
    assert not ((centre > [x1, y1]) & (centre < [x2, y2])).all(axis=1).any()
