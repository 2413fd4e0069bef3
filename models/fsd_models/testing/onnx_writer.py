"""The few ONNX messages that a tiny model needs, written by hand in protobuf's wire format.

Field numbers are those of ``onnx.proto3`` (IR version 8, operator set 13).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, INT64 = 1, 7
ATTRIBUTE_INTS = 7


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _block(field: int, data: bytes | str) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def tensor(name: str, values: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """A ``TensorProto`` with raw data."""
    kind = FLOAT if values.dtype == np.float32 else INT64
    dims = b"".join(_number(1, size) for size in values.shape)
    return dims + _number(2, kind) + _block(8, name) + _block(9, values.tobytes())


def node(op: str, inputs: Sequence[str], output: str, **ints: Sequence[int]) -> bytes:
    """A ``NodeProto`` with one output and attributes that are lists of integers."""
    named = b"".join(_block(1, name) for name in inputs) + _block(2, output) + _block(4, op)
    for name, values in ints.items():
        listed = b"".join(_number(8, value) for value in values)
        named += _block(5, _block(1, name) + listed + _number(20, ATTRIBUTE_INTS))
    return named


def value(name: str, shape: Sequence[int]) -> bytes:
    """A ``ValueInfoProto`` of a float tensor."""
    dims = b"".join(_block(1, _number(1, size)) for size in shape)
    return _block(1, name) + _block(2, _block(1, _number(1, FLOAT) + _block(2, dims)))


def model(
    nodes: Sequence[bytes], constants: Sequence[bytes], inputs: Sequence[bytes], outputs: Sequence[bytes]
) -> bytes:
    """A ``ModelProto``."""
    graph = b"".join(_block(1, one) for one in nodes) + _block(2, "tiny")
    graph += b"".join(_block(5, one) for one in constants)
    graph += b"".join(_block(11, one) for one in inputs) + b"".join(_block(12, one) for one in outputs)
    return _number(1, 8) + _block(7, graph) + _block(8, _number(2, 13))
