"""Pooled features: what the backbone knows of a picture, as one vector, at next to no cost.

The manifest names the tensor that leaves the backbone's last stage; its mean over the picture becomes one more
output of the model. The pinned weights file stays as it is: two serialised protobuf messages one after the other are
one message in which repeated fields are joined (protobuf encoding, "Last One Wins"), so that a graph of one node and
one output, put behind the verified bytes, is added to the graph in them.

Two halves. Each half gives a vector, and the picture's holds the larger of the two at each place: what one half shows
must not be thinned by the other. (Of heads for "cyclist present" on a street video, trained on its one half and tried
on the other, those on the larger value were right more often than those on the mean: docs/campaigns.md.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fsd_models.errors import ModelPackageError
from fsd_models.onnx_wire import block, node, value
from fsd_models.package import FeatureSpec
from fsd_models.session import Tensor

OUTPUT: Final = "fsd_features"
MODEL_GRAPH, GRAPH_NODE, GRAPH_OUTPUT = 7, 1, 12
"""Field numbers of ``onnx.proto3``."""

HALVES_SUFFIX: Final = "+halves"
"""Behind a package's ``name@version``: features of two halves are others than those of the whole picture."""

Vector = NDArray[np.float32]


def pooled_output(spec: FeatureSpec) -> bytes:
    """What makes the mean of ``spec.tensor`` (1, size, h, w) a model's last output, (1, size, 1, 1), put behind it."""
    pool = node("GlobalAveragePool", [spec.tensor], OUTPUT)
    graph = block(GRAPH_NODE, pool) + block(GRAPH_OUTPUT, value(OUTPUT, [1, spec.size, 1, 1]))
    return block(MODEL_GRAPH, graph)


def find_pooled(where: str, spec: FeatureSpec, outputs: Sequence[Tensor]) -> int:
    """Which output holds them. Raises :class:`ModelPackageError`."""
    wanted = (1, spec.size, 1, 1)
    for at, output in enumerate(outputs):
        if output.name == OUTPUT and output.shape == wanted:
            return at
    shapes = [output.shape for output in outputs if output.name == OUTPUT]
    raise ModelPackageError(
        f"{where}: features.size: the manifest says {spec.size}, {spec.tensor} gives {shapes}"
    )


def joined(left: Vector, right: Vector) -> Vector:
    """The picture's features from those of its halves, each (k,)."""
    return np.maximum(left, right)
