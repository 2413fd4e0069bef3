"""Layers of a trigger head out of an ONNX model.

One chain from one input to one output: ``Gemm``, or ``MatMul`` and ``Add``, with ``Relu`` between layers and none
behind the last. Anything else is refused by its name: what a head computes must be what its author tested. The one
file that imports the ``onnx`` package, where it is needed: it takes a second to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fsd_tools.campaign.head_layers import MAX_FILE_BYTES, Decimals, FloatLayer, LayersError


def read_onnx(path: Path) -> list[FloatLayer]:
    """Layers of an ONNX model. Raises :class:`LayersError` naming what is not a head's."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise LayersError(f"{path}: more than {MAX_FILE_BYTES} bytes")
        graph = onnx.load_model(path, load_external_data=False).graph
    except (OSError, DecodeError) as error:
        raise LayersError(f"{path}: can't be read as an ONNX model: {error}") from None
    constants = {tensor.name: _constant(path, tensor) for tensor in graph.initializer}
    inputs = [one.name for one in graph.input if one.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise LayersError(
            f"{path}: {len(inputs)} inputs and {len(graph.output)} outputs; one of each is possible"
        )
    chain = _Chain(str(path), inputs[0], constants)
    for node in graph.node:
        chain.take(node)
    return chain.end(graph.output[0].name)


def _constant(path: Path, tensor: Any) -> Decimals:
    import onnx

    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise LayersError(
            f"{path}: {tensor.name}: its numbers lie in another file; export them into the model"
        )
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor)).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise LayersError(f"{path}: {tensor.name}: not numbers: {error}") from None


class _Chain:
    """Follows the features from node to node."""

    def __init__(self, path: str, features: str, constants: dict[str, Decimals]) -> None:
        self._path = path
        self._value = features
        self._constants = constants
        self._layers: list[FloatLayer] = []
        self._closed = True
        """Whether a new layer may begin: at the start, and after a Relu."""

    def take(self, node: Any) -> None:
        """One node; it must take what the node before gave."""
        where = f"{self._path}: {node.op_type} {node.name or node.output[0]}"
        step = {"Gemm": self._gemm, "MatMul": self._matmul, "Add": self._add, "Relu": self._relu}.get(
            node.op_type
        )
        if step is None or node.domain not in {"", "ai.onnx"}:
            raise LayersError(f"{where}: a head is made of Gemm, MatMul, Add and Relu alone")
        if list(node.input).count(self._value) != 1:
            raise LayersError(f"{where}: does not take {self._value}, what the node before gave, once")
        try:
            step(node)
        except LayersError as error:
            raise LayersError(f"{where}: {error}") from None
        self._value = node.output[0]

    def end(self, output: str) -> list[FloatLayer]:
        """All layers."""
        if output != self._value or not self._layers:
            raise LayersError(f"{self._path}: output {output} is not what the last node gives")
        if self._closed:
            raise LayersError(f"{self._path}: ends in a Relu; a score is given as it is")
        return self._layers

    def _gemm(self, node: Any) -> None:
        import onnx

        known = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if known.get("transA", 0) or node.input[0] != self._value:
            raise LayersError("the features must be its first operand, not transposed")
        matrix = self._operand(node, 1) * known.get("alpha", 1.0)
        matrix = matrix if known.get("transB", 0) else matrix.T
        self._begin(matrix)
        if len(node.input) > 2 and node.input[2]:
            self._shift(self._operand(node, 2) * known.get("beta", 1.0))

    def _matmul(self, node: Any) -> None:
        if node.input[0] != self._value:
            raise LayersError("the features must be its first operand")
        self._begin(self._operand(node, 1).T)

    def _add(self, node: Any) -> None:
        if self._closed:
            raise LayersError("stands before a layer's matrix")
        self._shift(self._operand(node, 1 if node.input[0] == self._value else 0))

    def _relu(self, _node: Any) -> None:
        if self._closed:
            raise LayersError("stands before a layer")
        self._closed = True

    def _begin(self, matrix: Decimals) -> None:
        if not self._closed:
            raise LayersError("between two layers there must be a Relu")
        if matrix.ndim != 2 or not matrix.size:
            raise LayersError(f"its matrix has the shape {matrix.shape}")
        self._layers.append(FloatLayer(matrix, np.zeros(matrix.shape[0])))
        self._closed = False

    def _shift(self, by: Decimals) -> None:
        layer = self._layers[-1]
        outputs = layer.weights.shape[0]
        if by.size not in {1, outputs} or (by.ndim and by.shape[-1] != by.size):
            raise LayersError(f"{by.shape} can't be added to {outputs} outputs")
        self._layers[-1] = FloatLayer(layer.weights, layer.biases + by.reshape(-1))

    def _operand(self, node: Any, at: int) -> Decimals:
        name = node.input[at]
        if name not in self._constants:
            raise LayersError(f"{name} is not a constant of the model")
        return self._constants[name]
