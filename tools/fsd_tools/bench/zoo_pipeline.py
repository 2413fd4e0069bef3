"""The peer of ``bench detect``: NanoDet as the OpenCV model zoo's demo runs it.

Letterbox, then float arithmetic over the whole picture in NumPy; softmax and expectation of every cell; the best
of all 80 classes; OpenCV's batched suppression. The inference engine is given, so that the same pipeline runs
on ONNX Runtime with its default options and on OpenCV's own DNN module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from fsd_models.boxes import RawBoxes

SIDE, BINS, STRIDES, IOU = 416, 8, (8, 16, 32), 0.6
MEAN = np.array([103.53, 116.28, 123.675], np.float32)
STD = np.array([57.375, 57.12, 58.395], np.float32)
LOG_ERRORS_ONLY = 3

Engine = Callable[[NDArray[np.float32]], Sequence[NDArray[np.float32]]]
"""Input (1, 3, 416, 416) to scores of three strides, then distributions of three strides."""


def onnxruntime_engine(weights: Path, threads: int) -> Engine:
    """ONNX Runtime with its defaults, except for the number of threads."""
    options = ort.SessionOptions()
    options.log_severity_level = LOG_ERRORS_ONLY
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(tensor: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        outputs: Sequence[NDArray[np.float32]] = session.run(None, {name: tensor})
        return outputs

    return run


def opencv_engine(weights: Path) -> Engine:
    """OpenCV's DNN module; its threads are those of OpenCV."""
    net = cv2.dnn.readNetFromONNX(str(weights))
    names = net.getUnconnectedOutLayersNames()

    def run(tensor: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        net.setInput(tensor)
        outputs = [np.asarray(out, np.float32) for out in net.forward(names)]
        return sorted(outputs, key=lambda out: (out.shape[2] != 80, -out.shape[1]))

    return run


def preprocess(bgr: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float, int, int]:
    """Tensor, scale, and where the picture begins in it."""
    height, width = bgr.shape[:2]
    scale = min(SIDE / width, SIDE / height)
    w, h = round(width * scale), round(height * scale)
    left, top = (SIDE - w) // 2, (SIDE - h) // 2
    fitted = cv2.copyMakeBorder(
        cv2.resize(bgr, (w, h)),
        top,
        SIDE - h - top,
        left,
        SIDE - w - left,
        cv2.BORDER_CONSTANT,
        value=(0, 0, 0),
    )
    normal = (fitted.astype(np.float32) - MEAN) / STD
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None]), scale, left, top


def postprocess(
    outputs: Sequence[NDArray[np.float32]], min_score: float, scale: float, left: int, top: int
) -> RawBoxes:
    """Boxes in the picture's pixels."""
    boxes, best, classes = [], [], []
    for level, stride in enumerate(STRIDES):
        scores, sides = outputs[level][0], outputs[3 + level][0].reshape(-1, BINS)
        weights = np.exp(sides)
        mean = np.dot(weights / weights.sum(axis=1, keepdims=True), np.arange(BINS)).reshape(-1, 4) * stride
        x, y = np.meshgrid(np.arange(SIDE // stride) * stride, np.arange(SIDE // stride) * stride)
        centre = np.stack([x.ravel(), y.ravel()], axis=1) + 0.5 * (stride - 1)
        boxes.append(np.clip(np.concatenate([centre - mean[:, :2], centre + mean[:, 2:]], axis=1), 0, SIDE))
        best.append(scores.max(axis=1))
        classes.append(scores.argmax(axis=1))
    box, score, cls = np.concatenate(boxes), np.concatenate(best), np.concatenate(classes)
    corner = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    kept = np.array(
        cv2.dnn.NMSBoxesBatched(corner.tolist(), score.tolist(), cls.tolist(), min_score, IOU), np.intp
    ).reshape(-1)
    placed = (box[kept] - np.array([left, top, left, top])) / scale
    return RawBoxes(placed.astype(np.float32), score[kept], cls[kept].astype(np.int32))


def detect(engine: Engine, bgr: NDArray[np.uint8], min_score: float) -> RawBoxes:
    """One picture to boxes."""
    tensor, scale, left, top = preprocess(bgr)
    return postprocess(engine(tensor), min_score, scale, left, top)
