"""A package with a tiny NanoDet-shaped model that sees colours: red is a person, green a bicycle, blue a chair.

Each cell of each stride averages its pixels; a class' score is high where its colour is full and the other two
are dark. All distributions are flat over two bins, so a cell's box is the cell itself (half a pixel up and
left, as in the real model). Its features are the picture's mean blue, green and red, 0 to 1. It runs through the same package check, session and post-processing as real
weights.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from fsd_models.onnx_wire import node, value
from fsd_models.package import MANIFEST_NAME
from fsd_models.testing.onnx_writer import model, tensor

SIDE = 64
CLASSES = ("person", "bicycle", "chair")
BINS = 2
COLOURS = {"person": (0, 0, 255), "bicycle": (0, 255, 0), "chair": (255, 0, 0)}
"""Blue, green, red."""

MANIFEST = """\
format = 1
name = "marker"
version = "1"
kind = "nanodet"
licence = "Apache-2.0"
origin = "made by fsd_models.testing"
classes = ["person", "bicycle", "chair"]

[kinds]
person = "pedestrian"
bicycle = "bicycle"

[weights]
file = "weights.onnx"
sha256 = "{sha256}"
bytes = {size}

[input]
width = 64
height = 64
layout = "nchw"
colour = "bgr"
fit = "letterbox"
mean = [0, 0, 0]
std = [255, 255, 255]

[features]
tensor = "mean32"
size = 3
limit = 1.0

[thresholds]
score = 0.5
iou = 0.6
"""


def write_marker_package(folder: Path) -> Path:
    """Make ``folder`` with manifest and weights, and return it."""
    folder.mkdir(parents=True)
    weights = marker_weights()
    (folder / "weights.onnx").write_bytes(weights)
    manifest = MANIFEST.format(sha256=hashlib.sha256(weights).hexdigest(), size=len(weights))
    (folder / MANIFEST_NAME).write_text(manifest, encoding="utf-8")
    return folder


def marker_weights(side: int = SIDE) -> bytes:
    """The ONNX model for square inputs of ``side`` pixels."""
    gain = np.full((len(CLASSES), 3), -20, np.float32)
    for row, name in enumerate(CLASSES):
        gain[row, np.argmax(COLOURS[name])] = 20
    constants = [
        tensor("gain", gain.reshape(len(CLASSES), 3, 1, 1)),
        tensor("bias", np.full(len(CLASSES), -15, np.float32)),
        tensor("flat", np.zeros((4 * BINS, 3, 1, 1), np.float32)),
        tensor("scores_shape", np.array([1, len(CLASSES), -1], np.int64)),
        tensor("sides_shape", np.array([1, 4 * BINS, -1], np.int64)),
    ]
    nodes, outputs = [], []
    for s in (8, 16, 32):
        cells = (side // s) ** 2
        nodes += [
            node("AveragePool", ["image"], f"mean{s}", kernel_shape=[s, s], strides=[s, s]),
            node("Conv", [f"mean{s}", "gain", "bias"], f"logit{s}"),
            node("Sigmoid", [f"logit{s}"], f"score{s}"),
            node("Reshape", [f"score{s}", "scores_shape"], f"by_class{s}"),
            node("Transpose", [f"by_class{s}"], f"scores{s}", perm=[0, 2, 1]),
            node("Conv", [f"mean{s}", "flat"], f"side{s}"),
            node("Reshape", [f"side{s}", "sides_shape"], f"by_bin{s}"),
            node("Transpose", [f"by_bin{s}"], f"sides{s}", perm=[0, 2, 1]),
        ]
        outputs.append(value(f"scores{s}", [1, cells, len(CLASSES)]))
        outputs.append(value(f"sides{s}", [1, cells, 4 * BINS]))
    return model(nodes, constants, [value("image", [1, 3, side, side])], outputs)
