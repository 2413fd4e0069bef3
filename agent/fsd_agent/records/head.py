"""A trigger head: a small network over the pooled features of a camera's picture, in whole numbers.

Whole numbers, because a floating-point matrix product depends in its last bits on how many rows and columns it is
computed with, on the library and on the processor, and firings must not. Features are quantised to steps of
``2**-input_bits``, weights are integers, and every sum stays below 2**53 (4096 products of at most 2**30, and a bias
of at most 2**45), so that any order of adding gives the same result; doubles carry it through the fast matrix
product.

A layer computes ``y = W x + b``. Between two layers: negative values become 0 (ReLU), then the value is divided by
``2**shift``, rounded half to even, and limited to ``HIDDEN_MAX``. The score is the last layer's single output times
``scale``; what it means (a logit, a distance) is the author's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

FEATURE_MAX: Final = 2**15 - 1
"""Magnitude of a quantised feature; what is beyond is limited to it."""
HIDDEN_MAX: Final = 2**15 - 1
WEIGHT_MAX: Final = 2**15 - 1
WEIGHT_BYTES: Final = 2
BIAS_MAX: Final = 2**45
MAX_INPUT_BITS: Final = 24
"""Features that stay below 0.002 still get all 32,767 steps."""
MAX_SHIFT: Final = 40
MAX_INPUTS: Final = 4096
MAX_HIDDEN: Final = 256
MAX_LAYERS: Final = 3
MAX_WEIGHTS: Final = 2**17
"""Of all layers: 256 KiB of a push, 1 MiB of the vehicle's memory."""
MAX_NAME: Final = 128
"""Characters of a name, source or camera."""


class HeadError(ValueError):
    """The numbers are not a head; the message names the layer and the reason."""


@dataclass(frozen=True, slots=True)
class HeadLayer:
    """One affine layer."""

    outputs: int
    inputs: int
    weights: bytes
    """Little-endian int16, in rows of outputs: (outputs, inputs). Bytes, because a tuple of a campaign set's weights
    would take eighteen times the memory."""
    biases: tuple[int, ...]
    shift: int
    """Applied to the outputs before the next layer; 0 in the last."""


@dataclass(frozen=True, slots=True)
class Head:
    """One head. Raises :class:`HeadError`."""

    name: str
    source: str
    """Whose features, as in :attr:`~fsd_firmware.samples.Features.source`."""
    camera: str
    input_bits: int
    layers: tuple[HeadLayer, ...]
    scale: float

    def __post_init__(self) -> None:
        for field, text in (("name", self.name), ("source", self.source), ("camera", self.camera)):
            if not 1 <= len(text) <= MAX_NAME:
                raise HeadError(f"{field}: {len(text)} characters; 1 to {MAX_NAME} are possible")
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise HeadError(f"{len(self.layers)} layers; 1 to {MAX_LAYERS} are possible")
        if not 0 <= self.input_bits <= MAX_INPUT_BITS:
            raise HeadError(f"input_bits {self.input_bits}; 0 to {MAX_INPUT_BITS} are possible")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise HeadError(f"scale {self.scale}; a number more than 0 is possible")
        for number, layer in enumerate(self.layers):
            reason = _wrong(layer, self.layers[number - 1].outputs if number else None)
            if reason:
                raise HeadError(f"layer {number}: {reason}")
        if self.weight_count > MAX_WEIGHTS:
            raise HeadError(f"{self.weight_count} weights; at most {MAX_WEIGHTS}")
        if self.layers[-1].outputs != 1 or self.layers[-1].shift:
            raise HeadError("the last layer has one output and no shift")

    @property
    def inputs(self) -> int:
        """How many features it takes."""
        return self.layers[0].inputs

    @property
    def weight_count(self) -> int:
        """Of all layers: the multiplications that one frame's features cost."""
        return sum(layer.outputs * layer.inputs for layer in self.layers)


def _wrong(layer: HeadLayer, wanted_inputs: int | None) -> str:
    """Why this is no layer; empty when it is one."""
    shape = f"{layer.outputs} x {layer.inputs}"
    expected_bytes = layer.inputs * layer.outputs * WEIGHT_BYTES
    wrong = {
        f"takes {layer.inputs} values, the layer before gives {wanted_inputs}": wanted_inputs
        not in {None, layer.inputs},
        f"{shape}; at most {MAX_HIDDEN} x {MAX_INPUTS}": not (
            1 <= layer.inputs <= MAX_INPUTS and 1 <= layer.outputs <= MAX_HIDDEN
        ),
        f"{len(layer.weights)} bytes of weights and {len(layer.biases)} biases for {shape}": (
            len(layer.weights) != expected_bytes or len(layer.biases) != layer.outputs
        ),
        f"shift {layer.shift}; 0 to {MAX_SHIFT} are possible": not 0 <= layer.shift <= MAX_SHIFT,
        f"a bias beyond {BIAS_MAX}": any(abs(bias) > BIAS_MAX for bias in layer.biases),
    }
    return next((reason for reason, is_wrong in wrong.items() if is_wrong), "")
