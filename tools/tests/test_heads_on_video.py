"""A head made of one half of a street video tells cyclists in the other half, through the vehicle's own path.

The video (459 pictures, static camera) shows one cyclist twice: in its first half alone, in its second among a
pedestrian and a car. Labels by eye; pictures in which the cyclist is cut by the border are left out. A head is a linear
classifier (weighted ridge regression) on our detector's pooled features, compiled from an ``.npz`` as an author's would
be, and scored by the engine's bank.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fsd_agent.adapters.onnx_detector import OnnxDetector
from fsd_agent.rules.triggers.heads import HeadBank
from fsd_agent.rules.triggers.signals.columns import join_samples
from fsd_firmware.samples import Features, Frame
from fsd_tools.campaign.head import compile_head
from fsd_tools.data import data_dir
from fsd_tools.model.assemble import assemble_package

WEIGHTS = data_dir() / "models"
VIDEO = data_dir() / "video" / "person-bicycle-car-detection.mp4"
PICTURES, HALF, EVERY = 459, 230, 3
CYCLIST = ((116, 164), (354, 408))
BORDER = ((108, 116), (164, 170), (344, 354), (408, 414))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (WEIGHTS.is_dir() and VIDEO.is_file()),
        reason=f"no real weights and video in {data_dir()} (FSD_DATA)",
    ),
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[Features]:
    """Features of every third picture, its number as its time."""
    package = assemble_package("nanodet-m-416-int8", WEIGHTS, tmp_path_factory.mktemp("packages") / "nanodet")
    detector = OnnxDetector(package, halves=True, threads=1)
    video, found = cv2.VideoCapture(str(VIDEO)), []
    for number in range(PICTURES):
        more, bgr = video.read()
        assert more
        if number % EVERY == 0:
            features = detector.detect(Frame("front", number, bgr), min_score=0.35).features
            assert features is not None
            found.append(features)
    return found


def within(spans: tuple[tuple[int, int], ...], number: np.ndarray) -> np.ndarray:
    return np.any([(number >= low) & (number < high) for low, high in spans], axis=0)


def fit(value: np.ndarray, cyclist: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (1, k) and bias (1,): ridge regression to -1 and 1, both classes weighing the same."""
    mean, spread = value.mean(axis=0), value.std(axis=0) + 1e-3
    x, target = (value - mean) / spread, np.where(cyclist, 1.0, -1.0)
    share = np.where(cyclist, 0.5 / cyclist.sum(), 0.5 / (~cyclist).sum())
    weights = np.linalg.solve(x.T @ (x * share[:, None]) + 0.1 * np.eye(x.shape[1]), x.T @ (share * target))
    weights /= spread
    return weights[None], np.array([-(mean @ weights)])


def area(score: np.ndarray, cyclist: np.ndarray) -> float:
    """Under the ROC curve: how often a picture with a cyclist scores above one without."""
    return float((score[cyclist][:, None] > score[~cyclist]).mean())


@pytest.mark.parametrize(("learn_from_first", "at_least"), [(True, 0.9), (False, 0.65)])
def test_a_head_of_one_half_separates_the_other(
    seen: list[Features], tmp_path: Path, learn_from_first: bool, at_least: float
) -> None:
    number = np.concatenate([one.t_ns for one in seen])
    value = np.concatenate([one.value for one in seen]).astype(np.float64)
    usable, cyclist = ~within(BORDER, number), within(CYCLIST, number)
    first = (number < HALF) == learn_from_first
    weights, biases = fit(value[usable & first], cyclist[usable & first])
    np.savez(tmp_path / "cyclist.npz", weights_0=weights, biases_0=biases)
    np.save(tmp_path / "typical.npy", value[usable & first])
    spec = {
        "source": "nanodet-m-416-int8@2022.11+halves",
        "camera": "front",
        "weights": "cyclist.npz",
        "sample": "typical.npy",
    }
    compiled = compile_head("cyclist", spec, tmp_path)
    assert compiled.loss.error < 0.005 * compiled.loss.spread

    scores = join_samples(HeadBank([(0, compiled.head)]).samples(seen))
    assert scores.known.all()
    assert np.array_equal(scores.t_ns, number)
    assert np.allclose(scores.value, value @ weights[0] + biases, atol=compiled.loss.error * 2)
    other = usable & ~first
    found = area(scores.value[other], cyclist[other])
    print(
        f"area under the curve, trained on the {'first' if learn_from_first else 'second'} half: {found:.3f}"
    )
    assert found > at_least
