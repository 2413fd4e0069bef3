"""The same network for another input size: a verified package to one whose shapes are others, weights untouched.

A fully convolutional network has the size of its input in few places of its file: the shape of the input, shapes that
somebody wrote down beside it, and the constants of Reshape and Resize that tell a tensor's height and width: of four or five whole numbers, with ``H / s, W / s`` at
the end, where the file was made for W x H and s is 1, 2, 4 ... 32. Those are rewritten, all else stays byte for byte.

What the file says of outputs and of tensors between is left out, so that the runtime infers it; what is then inferred
is checked against the manifest as for any package, so a network that can't be had in this size is refused.

Trust. The bytes were verified before (:mod:`package`), and the same bytes and size always give the same bytes: the digest
stays that of the package that was verified.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from fsd_models.errors import ModelPackageError
from fsd_models.onnx_wire import FLOAT, block, fields, number, value
from fsd_models.package import ModelPackage

MODEL_GRAPH = 7
GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO = 5, 11, 12, 13
TENSOR_TYPE, TENSOR_RAW = 2, 9
INT64 = 7
"""Numbers of fields and types in ``onnx.proto3``."""
STRIDES = (1, 2, 4, 8, 16, 32)
SHAPE_ENTRIES = frozenset({4, 5})
"""Of a shape that ends with height and width: a batch of planes, or of groups of planes."""

Size = tuple[int, int]
"""Width and height."""


def resized(package: ModelPackage, width: int, height: int) -> ModelPackage:
    """``package`` for an input of ``width`` x ``height``, multiples of 32; without features, whose scale would be another.

    Raises :class:`ModelPackageError` where the file is no ONNX model.
    """
    made_for = (package.manifest.input.width, package.manifest.input.height)
    where = package.folder / package.manifest.weights.file
    try:
        weights = b"".join(_of_model(package.weights, made_for, (width, height)))
    except (ValueError, IndexError) as error:
        raise ModelPackageError(f"{where}: no ONNX model: {error}") from None
    new_input = msgspec.structs.replace(package.manifest.input, width=width, height=height)
    manifest = msgspec.structs.replace(package.manifest, input=new_input, features=None)
    return ModelPackage(package.folder, manifest, weights, package.digest)


def _of_model(model: bytes, old: Size, new: Size) -> Iterator[bytes]:
    for field, raw, body in fields(model):
        if field == MODEL_GRAPH and body is not None:
            yield block(MODEL_GRAPH, b"".join(_of_graph(body, old, new)))
        else:
            yield raw


def _of_graph(graph: bytes, old: Size, new: Size) -> Iterator[bytes]:
    for field, raw, body in fields(graph):
        if body is None:
            yield raw
        elif field == GRAPH_INPUT:
            yield from _of_input(body, old, new)
        elif field == GRAPH_OUTPUT:
            yield block(GRAPH_OUTPUT, _unshaped(body))
        elif field == GRAPH_INITIALIZER:
            yield block(GRAPH_INITIALIZER, _of_constant(body, old, new))
        elif field != GRAPH_VALUE_INFO:
            yield raw


def _of_input(info: bytes, old: Size, new: Size) -> Iterator[bytes]:
    """The picture's input in the new size, and nothing else.

    Files before format 4 also name their constants here, of which the runtime would then infer nothing.
    """
    name = _text(info)
    if info == value(name, [1, 3, old[1], old[0]]):
        yield block(GRAPH_INPUT, value(name, [1, 3, new[1], new[0]]))


def _unshaped(info: bytes) -> bytes:
    return block(1, _text(info)) + block(2, block(1, number(1, FLOAT)))


def _text(info: bytes) -> str:
    return next(body for field, _, body in fields(info) if field == 1 and body is not None).decode()


def _of_constant(tensor: bytes, old: Size, new: Size) -> bytes:
    """A ``TensorProto``, rewritten where it is a shape that tells the old size."""
    numbers = _whole_numbers(tensor)
    if numbers is None:
        return tensor
    shape = _shape(numbers, old, new)
    if (shape == numbers).all():
        return tensor
    kept = b"".join(raw for field, raw, _ in fields(tensor) if field != TENSOR_RAW)
    return kept + block(TENSOR_RAW, shape.astype("<i8").tobytes())


def _whole_numbers(tensor: bytes) -> NDArray[np.int64] | None:
    """The values of a vector of int64 that lie in one piece; None of any other tensor."""
    found = {field: (raw, body) for field, raw, body in fields(tensor)}
    if TENSOR_RAW not in found or number(TENSOR_TYPE, INT64) != found.get(TENSOR_TYPE, (b"", None))[0]:
        return None
    return np.frombuffer(found[TENSOR_RAW][1] or b"", "<i8")


def _shape(numbers: NDArray[np.int64], old: Size, new: Size) -> NDArray[np.int64]:
    """``numbers`` for the new size, where they are a shape of the old one."""
    (width, height), (new_width, new_height) = old, new
    shape = numbers.copy()
    for stride in STRIDES:
        down, across = height // stride, width // stride
        if numbers.size in SHAPE_ENTRIES and numbers[-2:].tolist() == [down, across]:
            shape[-2:] = new_height // stride, new_width // stride
            return shape
    return shape
