"""The detector port: by a real session on a tiny model, by real weights on a street scene, and by the fake."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_agent.ports.detector import Detector, DetectorError, DetectorStalledError
from fsd_agent.testing.detector import MARKERS, MarkerDetector
from fsd_firmware.samples import Detections, Frame, Kind
from fsd_models.testing.marker_model import COLOURS, write_marker_package
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "pedestrian_cyclist_1.mp4"


def scene(*patches: tuple[tuple[int, int, int], int, int, int, int]) -> Frame:
    bgr = np.zeros((64, 64, 3), np.uint8)
    for colour, x1, y1, x2, y2 in patches:
        bgr[y1:y2, x1:x2] = colour
    return Frame("front", 123, bgr)


def check_columns(found: Detections, *, source: str, n: int) -> None:
    assert (found.camera, found.source, found.frame_t_ns.tolist()) == ("front", source, [123])
    assert found.frame.tolist() == [0] * n
    assert found.frame.dtype == np.int32
    assert found.kind.dtype == np.uint8
    assert found.box.shape == (n, 4)
    assert found.box.dtype == np.float32
    assert found.score.dtype == np.float32
    assert np.isnan(found.distance_m).all()
    assert found.track_id.tolist() == [-1] * n


@pytest.fixture
def detector(tmp_path: Path) -> OnnxDetector:
    package = write_marker_package(tmp_path / "marker")
    return OnnxDetector(package, halves=False, threads=1, run_limit_s=30.0)


def test_kinds_of_the_model_become_kinds_of_the_vehicle(detector: Detector) -> None:
    found = detector.detect(
        scene((COLOURS["person"], 0, 0, 8, 8), (COLOURS["bicycle"], 40, 40, 48, 48)), min_score=0.5
    ).detections
    check_columns(found, source="marker@1", n=2)
    assert sorted(found.kind.tolist()) == [Kind.PEDESTRIAN, Kind.BICYCLE]


def test_a_person_above_a_bicycle_is_a_cyclist(detector: Detector) -> None:
    """A coarse cell, still mostly red, over a fine green one in its lower half: one box around both."""
    frame = scene((COLOURS["person"], 16, 16, 32, 32))
    frame.bgr[24:32, 16:24] = COLOURS["bicycle"]
    found = detector.detect(frame, min_score=0.005).detections
    assert found.box[found.kind == Kind.CYCLIST].tolist() == [[15.5, 15.5, 31.5, 31.5]]
    assert Kind.BICYCLE not in found.kind.tolist()


def test_nothing_seen_is_a_frame_without_boxes(detector: Detector) -> None:
    check_columns(detector.detect(scene(), min_score=0.5).detections, source="marker@1", n=0)


def test_the_threshold_is_kept(detector: Detector) -> None:
    frame = scene((COLOURS["person"], 0, 0, 8, 6))
    weak = detector.detect(frame, min_score=0.01).detections
    assert weak.score.min() >= 0.01
    assert len(detector.detect(frame, min_score=float(weak.score.max()) + 0.001).detections) == 0


def test_a_damaged_package_is_a_detector_error_that_names_the_file(tmp_path: Path) -> None:
    package = write_marker_package(tmp_path / "marker")
    (package / "weights.onnx").write_bytes(b"other")
    with pytest.raises(DetectorError, match=r"marker/weights\.onnx: weights\.bytes"):
        OnnxDetector(package, halves=False, threads=1)


def test_a_bad_picture_is_a_detector_error_that_names_camera_and_time(detector: Detector) -> None:
    grey = Frame("front", 123, np.zeros((8, 8), np.uint8))
    with pytest.raises(DetectorError, match=r"front at 123 ns: marker@1: a picture must be"):
        detector.detect(grey, min_score=0.5)


@pytest.mark.parametrize("fitted", [False, True])
def test_a_look_past_its_limit_is_told_apart_and_the_next_one_goes_on(
    tmp_path: Path, *, fitted: bool
) -> None:
    package = write_marker_package(tmp_path / "marker")
    slow = OnnxDetector(package, halves=False, threads=1, run_limit_s=1e-9, fitted=fitted)

    def look_until_it_stalls() -> None:
        for _ in range(10_000):  # The timer may lose a race against so small a model.
            slow.detect(scene(), min_score=0.5)

    with pytest.raises(DetectorStalledError, match="front at 123 ns: marker@1: stopped after 1e-09 s"):
        look_until_it_stalls()


def test_the_fake_finds_marker_rectangles() -> None:
    fake = MarkerDetector()
    found = fake.detect(
        scene(
            (MARKERS[Kind.PEDESTRIAN], 4, 5, 14, 25),
            (MARKERS[Kind.PEDESTRIAN], 4, 40, 10, 60),
            (MARKERS[Kind.CAR], 30, 30, 60, 50),
        ),
        min_score=0.9,
    ).detections
    check_columns(found, source="marker@1", n=3)
    boxes = sorted(zip(found.kind.tolist(), found.box.tolist(), strict=True))
    assert boxes == [
        (Kind.PEDESTRIAN, [4, 5, 14, 25]),
        (Kind.PEDESTRIAN, [4, 40, 10, 60]),
        (Kind.CAR, [30, 30, 60, 50]),
    ]


def test_the_fake_scores_by_filling_and_overlooks_specks() -> None:
    frame = scene((MARKERS[Kind.CYCLIST], 10, 10, 20, 20), (MARKERS[Kind.CYCLIST], 40, 40, 42, 42))
    frame.bgr[12:18, 12:18] = 0
    assert MarkerDetector().detect(frame, min_score=0.6).detections.score.tolist() == pytest.approx([0.64])
    assert len(MarkerDetector().detect(frame, min_score=0.65).detections) == 0


def test_the_fake_fails_when_told_and_goes_on() -> None:
    fake = MarkerDetector()
    fake.fail_next()
    with pytest.raises(DetectorError, match="told to fail"):
        fake.detect(scene(), min_score=0.5)
    assert len(fake.detect(scene(), min_score=0.5).detections) == 0
    assert fake.looked_at == [("front", 123), ("front", 123)]


@pytest.mark.parametrize("halves", [False, True])
def test_features_are_one_vector_a_frame_and_say_how_it_was_looked_at(tmp_path: Path, halves: bool) -> None:
    detector = OnnxDetector(write_marker_package(tmp_path / "marker"), halves=halves, threads=1)
    frame = scene((COLOURS["person"], 0, 0, 32, 64))
    found = detector.detect(frame, min_score=0.5).features
    assert found is not None
    assert (found.camera, found.t_ns.tolist()) == ("front", [123])
    assert found.source == ("marker@1+halves" if halves else "marker@1")
    assert found.value.dtype == np.float32
    assert found.value.shape == (1, 3)
    assert found.value[0, :2].tolist() == [0, 0]
    assert found.value[0, 2] == pytest.approx(0.5, abs=0.01) if not halves else found.value[0, 2] > 0.3


@pytest.mark.parametrize("halves", [False, True])
def test_a_thorough_look_adds_what_is_seen_the_other_way(tmp_path: Path, halves: bool) -> None:
    """A patch of 8 of 128 pixels fills a cell of a half, and a quarter of one of the whole."""
    detector = OnnxDetector(write_marker_package(tmp_path / "marker"), halves=halves, threads=1)
    bgr = np.zeros((64, 128, 3), np.uint8)
    bgr[24:40, 104:112] = COLOURS["person"]
    frame = Frame("front", 123, bgr)
    plain = detector.detect(frame, min_score=0.4)
    thorough = detector.detect(frame, min_score=0.4, thorough=True)
    assert len(plain.detections) == (1 if halves else 0)
    check_columns(thorough.detections, source="marker@1", n=1)
    assert thorough.features is not None
    assert plain.features is not None
    assert thorough.features.source == plain.features.source
    assert thorough.features.value.tolist() == plain.features.value.tolist()


def test_the_fake_s_features_are_the_mean_colour() -> None:
    frame = scene((MARKERS[Kind.CAR], 0, 0, 32, 64))
    found = MarkerDetector().detect(frame, min_score=0.5).features
    assert found is not None
    assert found.value.tolist() == [[0.0, 0.5, 0.5]]
    assert (found.camera, found.source, found.t_ns.tolist()) == ("front", "marker@1", [123])


@pytest.mark.skipif(
    not (WEIGHTS.is_dir() and VIDEO.is_file()), reason=f"no real weights and video in {data_dir()} (FSD_DATA)"
)
def test_real_weights_find_the_pedestrian_and_the_cyclist_of_a_street_scene(tmp_path: Path) -> None:
    package = assemble_package("nanodet-m-416-int8", WEIGHTS, tmp_path / "package")
    detector = OnnxDetector(package, halves=True, threads=1)
    video = cv2.VideoCapture(str(VIDEO))
    kinds = []
    for index in range(63):
        more, bgr = video.read()
        assert more
        if index % 3 == 0:
            found = detector.detect(Frame("front", index, bgr), min_score=0.35).detections
            kinds.append(set(found.kind.tolist()))
    assert sum(Kind.PEDESTRIAN in seen for seen in kinds) >= 19
    assert sum(Kind.CYCLIST in seen for seen in kinds) >= 16


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no real weights in {data_dir()} (FSD_DATA)")
@pytest.mark.parametrize("name", ["yunet-n", "lpd-yunet"])
def test_a_package_that_finds_faces_or_plates_alone_is_no_detector(name: str, tmp_path: Path) -> None:
    package = assemble_package(name, WEIGHTS, tmp_path / name)
    with pytest.raises(DetectorError, match="finds faces or plates alone: it can check clips"):
        OnnxDetector(package, halves=False, threads=1)
