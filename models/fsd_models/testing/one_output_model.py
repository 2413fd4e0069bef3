"""A package with a tiny FastestDet-shaped model that sees colours, as :mod:`.marker_model` does: the other kind.

Each cell of stride 16 averages its pixels. Its objectness is 1, a class' probability is high where its colour is full
and the other two are dark, and its box is as large as a cell, around the cell's upper left corner.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np

from fsd_models.onnx_wire import node, value
from fsd_models.package import MANIFEST_NAME
from fsd_models.testing.marker_model import CLASSES, COLOURS, MANIFEST, SIDE
from fsd_models.testing.onnx_writer import model, tensor

STRIDE = 16
PLAIN = 5
"""Planes before the classes: objectness, x, y, w, h."""


def write_one_output_package(folder: Path, name: str = "marker-one") -> Path:
    """Make ``folder`` with manifest and weights, and return it."""
    folder.mkdir(parents=True)
    weights = one_output_weights()
    (folder / "weights.onnx").write_bytes(weights)
    manifest = MANIFEST.format(sha256=hashlib.sha256(weights).hexdigest(), size=len(weights))
    head, _, rest = manifest.partition("[features]")
    manifest = head + rest[rest.index("[thresholds]") :]
    manifest = manifest.replace('name = "marker"', f'name = "{name}"').replace('"nanodet"', '"fastestdet"')
    manifest = manifest.replace('"letterbox"', '"stretch"')
    (folder / MANIFEST_NAME).write_text(manifest, encoding="utf-8")
    return folder


def one_output_weights(side: int = SIDE) -> bytes:
    """The ONNX model for square inputs of ``side`` pixels."""
    cells = side // STRIDE
    seen = slice(PLAIN, PLAIN + len(CLASSES))
    gain = np.full((seen.stop, 3), -20, np.float32)
    for row, name in enumerate(CLASSES):
        gain[PLAIN + row, np.argmax(COLOURS[name])] = 20
    times, plus = np.zeros((1, seen.stop, 1, 1), np.float32), np.zeros((1, seen.stop, 1, 1), np.float32)
    times[0, seen] = 1
    plus[0, 0] = 1
    plus[0, 3:PLAIN] = math.log(STRIDE / (side - STRIDE))  # the sigmoid of it is one cell's share of the side
    constants = [
        tensor("gain", gain.reshape(seen.stop, 3, 1, 1)),
        tensor("bias", np.full(seen.stop, -15, np.float32)),
        tensor("times", times),
        tensor("plus", plus),
    ]
    nodes = [
        node("AveragePool", ["image"], "mean", kernel_shape=[STRIDE, STRIDE], strides=[STRIDE, STRIDE]),
        node("Conv", ["mean", "gain", "bias"], "logit"),
        node("Sigmoid", ["logit"], "score"),
        node("Mul", ["score", "times"], "classes"),
        node("Add", ["classes", "plus"], "found"),
    ]
    outputs = [value("found", [1, seen.stop, cells, cells])]
    return model(nodes, constants, [value("image", [1, 3, side, side])], outputs)
