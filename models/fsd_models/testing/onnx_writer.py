"""Whole ONNX models of a few nodes, for tests (IR version 8, operator set 13)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fsd_models.onnx_wire import FLOAT, block, number

INT64 = 7


def tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """A ``TensorProto`` with raw data."""
    kind = FLOAT if values.dtype == np.float32 else INT64
    dims = b"".join(number(1, size) for size in values.shape)
    return dims + number(2, kind) + block(8, name) + block(9, values.tobytes())


def model(
    nodes: Sequence[bytes], constants: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    """A ``ModelProto``."""
    graph = b"".join(block(1, one) for one in nodes) + block(2, "tiny")
    graph += b"".join(block(5, one) for one in constants)
    graph += b"".join(block(11, one) for one in inputs) + b"".join(block(12, one) for one in outputs)
    return number(1, 8) + block(7, graph) + block(8, number(2, 13))
