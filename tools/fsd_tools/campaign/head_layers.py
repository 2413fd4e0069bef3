"""A trigger head as its author trained it: layers of decimals, with a ReLU between two of them.

They come from an ONNX model (:mod:`head_onnx`), from an ``.npz``, or stand in the campaign file. An ``.npz`` holds ``weights_0`` (outputs, inputs), ``biases_0`` (outputs), ``weights_1`` ..., never
pickled objects.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fsd_agent.records.head import MAX_HIDDEN, MAX_INPUTS, MAX_LAYERS, MAX_WEIGHTS

MAX_MAGNITUDE: Final = 1e12
"""Of a weight or bias; what is larger was never trained."""
MAX_FILE_BYTES: Final = 4 << 20
"""The largest head has 1 MiB of doubles."""
Decimals = NDArray[np.float64]


class LayersError(Exception):
    """These are no layers of a head; says which and why."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatLayer:
    """``W x + b``."""

    weights: Decimals
    """Shape (outputs, inputs)."""
    biases: Decimals
    """Shape (outputs,)."""


def check_layers(layers: list[FloatLayer]) -> tuple[FloatLayer, ...]:
    """Layers that follow on each other, end in one score and fit a head. Raises :class:`LayersError`."""
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise LayersError(f"{len(layers)} layers; 1 to {MAX_LAYERS} are possible")
    for at, layer in enumerate(layers):
        outputs, inputs = layer.weights.shape
        if at and inputs != layers[at - 1].weights.shape[0]:
            given = layers[at - 1].weights.shape[0]
            raise LayersError(f"layer {at}: takes {inputs} values, the layer before gives {given}")
        if not (1 <= outputs <= MAX_HIDDEN and 1 <= inputs <= MAX_INPUTS):
            raise LayersError(f"layer {at}: {outputs} x {inputs}; at most {MAX_HIDDEN} x {MAX_INPUTS}")
        if not all((np.abs(numbers) <= MAX_MAGNITUDE).all() for numbers in (layer.weights, layer.biases)):
            raise LayersError(f"layer {at}: holds a number that is not finite, or beyond {MAX_MAGNITUDE:g}")
    if layers[-1].weights.shape[0] != 1:
        raise LayersError(
            f"the last layer gives {layers[-1].weights.shape[0]} values; a head gives one score"
        )
    count = sum(layer.weights.size for layer in layers)
    if count > MAX_WEIGHTS:
        raise LayersError(f"{count} weights; at most {MAX_WEIGHTS}")
    return tuple(layers)


def make_layer(at: int, weights: Any, biases: Any) -> FloatLayer:
    """One layer of array-likes; a single row may be a plain list. Raises :class:`LayersError`."""
    try:
        matrix = np.atleast_2d(np.asarray(weights, np.float64))
        vector = np.asarray(biases, np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise LayersError(f"layer {at}: not numbers in rows of one length: {error}") from None
    if matrix.ndim != 2 or not matrix.size or vector.shape[0] != matrix.shape[0]:
        raise LayersError(
            f"layer {at}: weights {matrix.shape} and biases {vector.shape} don't fit each other"
        )
    return FloatLayer(matrix, vector)


def read_npz(path: Path) -> list[FloatLayer]:
    """Layers of an ``.npz``. Raises :class:`LayersError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_FILE_BYTES:
            raise LayersError(f"{path}: unpacks to {size} bytes; at most {MAX_FILE_BYTES}")
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise LayersError(f"{path}: can't be read: {error}") from None
    count = sum(name.startswith("weights_") for name in arrays)
    wanted = {f"{kind}_{at}" for at in range(count) for kind in ("weights", "biases")}
    if not count or arrays.keys() != wanted:
        there = ", ".join(sorted(arrays)) or "nothing"
        raise LayersError(f"{path}: holds {there}; weights_0, biases_0, weights_1 ... are expected")
    return [make_layer(at, arrays[f"weights_{at}"], arrays[f"biases_{at}"]) for at in range(count)]
